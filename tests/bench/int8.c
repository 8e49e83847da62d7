/* int8.c - what integer convolution reaches in every kernel set of this CPU, one core, as a multiple of the
 * set's fp32 multiply-add peak (vpdpbusd alone would give 4). Usage: int8 [seconds per figure]. CPU time of
 * this thread, best of many repeats; a core that is shared still disturbs through its caches. */
#include "worker/kernels/int8.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct layer {
    const char *name;
    struct conv c;
    int blocks;
};

#define CONV(C, H, W, O, K, P, S, G)                                                                         \
    {                                                                                                        \
        C, H, W, O, ((H) + 2 * (P) - (K)) / (S) + 1, ((W) + 2 * (P) - (K)) / (S) + 1, K, K, S, S, 1, 1, P,   \
            P, P, P, G, false                                                                                \
    }

static const struct layer layers[] = {
    { "lenet conv2 b64", CONV(20, 12, 12, 50, 5, 0, 1, 1), 4 },
    { "lenet fc1 b64", CONV(800, 1, 1, 500, 1, 0, 1, 1), 4 },
    { "3x3 3 to 16 32x32 b128", CONV(3, 32, 32, 16, 3, 1, 1, 1), 8 },
    { "3x3 16ch 32x32 b128", CONV(16, 32, 32, 16, 3, 1, 1, 1), 8 },
    { "3x3 16 to 32 stride 2", CONV(16, 32, 32, 32, 3, 1, 2, 1), 8 },
    { "3x3 32ch 16x16 b128", CONV(32, 16, 16, 32, 3, 1, 1, 1), 8 },
    { "3x3 64ch 8x8 b128", CONV(64, 8, 8, 64, 3, 1, 1, 1), 8 },
    { "1x1 64ch 16x16 b128", CONV(64, 16, 16, 64, 1, 0, 1, 1), 8 },
    { "depthwise 3x3 64ch 16x16", CONV(64, 16, 16, 64, 3, 1, 1, 64), 8 },
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes)
{
    unsigned char *p = mem_aligned(64, bytes);
    for (size_t i = 0; p && i < bytes; i++)
        p[i] = (unsigned char)(i % 7);
    return p;
}

static double measure(const struct layer *l, const struct int8_kernels *k, enum int8_form form, int weight,
                      double seconds)
{
    struct int8_conv c = { .conv = l->c };
    const size_t outs = (size_t)quads(l->c.O) * QUAD,
                 weights = (size_t)l->c.O * l->c.C / l->c.groups * l->c.KH * l->c.KW;
    uint8_t *x = room((size_t)l->blocks * quads(l->c.C) * l->c.H * l->c.W * PIXEL);
    int8_t *w = room(weights), *packed = room(int8_packed(&l->c));
    void *y = room((size_t)l->blocks * outs * l->c.OH * l->c.OW * LANES * sizeof(int32_t));
    double *factor = room(outs * sizeof *factor), *shift = room(outs * sizeof *shift), best = 1e9;
    void *scratch = room(k->scratch(&c));
    if (!x || !w || !packed || !y || !factor || !shift || !scratch)
        exit(1);
    memset(w, weight, weights);
    memset(shift, 0, outs * sizeof *shift);
    for (size_t o = 0; o < outs; o++)
        factor[o] = 0x1p-12;
    int8_pack(&c, w, packed);
    struct int8_in in = int8_dense_in(&l->c, x);
    struct int8_out out = int8_dense_out(&l->c, form, y);
    out.factor = factor;
    out.shift = shift;
    for (double end = cpu_seconds() + seconds; cpu_seconds() < end;) {
        double start = cpu_seconds();
        k->conv(&c, &in, packed, &out, 0, l->blocks, scratch);
        double t = cpu_seconds() - start;
        best = t < best ? t : best;
    }
    free(x);
    free(w);
    free(packed);
    free(y);
    free(factor);
    free(shift);
    free(scratch);
    return 2e-9 * (double)conv_macs(&l->c) * LANES * l->blocks / best;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.1;
    for (int s = 0; kernels_list[s]; s++) {
        const struct kernels *k = kernels_list[s];
        if (!k->usable() || strcmp(k->name, "blas") == 0)
            continue;
        double peak = kernels_peak(k, seconds);
        printf("%s, fp32 peak %.0f GFLOP/s\n", k->name, peak);
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
            printf("  %-26s sums %5.2f  codes %5.2f  reals %5.2f  any weights %5.2f\n", layers[i].name,
                   measure(&layers[i], k->int8, INT8_SUMS, 3, seconds) / peak,
                   measure(&layers[i], k->int8, INT8_CODES, 3, seconds) / peak,
                   measure(&layers[i], k->int8, INT8_REALS, 3, seconds) / peak,
                   measure(&layers[i], k->int8, INT8_SUMS, 100, seconds) / peak);
    }
    return 0;
}
