/* kernels.c - GFLOP/s (of CPU time) of every kernel set of this CPU on the layers that matter, one core,
 * beside the measured peak of fused multiply-add. Usage: kernels [seconds per figure [set [part of a layer's
 * name]]]. Figures are the best of many repeats; machines differ and neighbours disturb, so compare ratios
 * within one run. */
#include "worker/kernels/kernels.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layer {
    const char *name;
    struct conv c;
    int blocks;
};

#define CONV(C, H, W, O, K, P)                                                                               \
    {                                                                                                        \
        C, H, W, O, (H) + 2 * (P) - (K) + 1, (W) + 2 * (P) - (K) + 1, K, K, 1, 1, 1, 1, P, P, P, P, 1, false \
    }

static const struct layer layers[] = {
    { "lenet conv1 b64", CONV(1, 28, 28, 20, 5, 0), 4 },
    { "lenet conv2 b64", CONV(20, 12, 12, 50, 5, 0), 4 },
    { "lenet fc1 b64", CONV(800, 1, 1, 500, 1, 0), 4 },
    { "lenet fc2 b64", CONV(500, 1, 1, 10, 1, 0), 4 },
    { "3x3 16ch 32x32 b128", CONV(16, 32, 32, 16, 3, 1), 8 },
    { "3x3 32ch 16x16 b128", CONV(32, 16, 16, 32, 3, 1), 8 },
    { "3x3 64ch 8x8 b128", CONV(64, 8, 8, 64, 3, 1), 8 },
    { "3x3 64ch 41x41 b16", CONV(64, 41, 41, 64, 3, 1), 1 },
    { "5x5 64>32ch 33x33 b16", CONV(64, 33, 33, 32, 5, 2), 1 },
    { "1x1 64>128ch 32x32 b64", CONV(64, 32, 32, 128, 1, 0), 4 },
    { "1x1 256ch 16x16 b64", CONV(256, 16, 16, 256, 1, 0), 4 },
    { "1x1 512ch 8x8 b64", CONV(512, 8, 8, 512, 1, 0), 4 },
    { "1x1 1024ch 4x4 b64", CONV(1024, 4, 4, 1024, 1, 0), 4 },
    { "1x1 144>24ch 16x16 b64", CONV(144, 16, 16, 24, 1, 0), 4 },
    { "1x1 24>144ch 16x16 b64", CONV(24, 16, 16, 144, 1, 0), 4 },
};

/* Sixteen independent chains of multiply-add: what the core can do at best. Their values don't matter. */
#define CHAIN(n) "vfmadd213ps %%zmm16, %%zmm16, %%zmm" #n "\n\t"
static void chains(long rounds)
{
    for (long r = 0; r < rounds; r++)
        __asm__ volatile(CHAIN(0) CHAIN(1) CHAIN(2) CHAIN(3) CHAIN(4) CHAIN(5) CHAIN(6) CHAIN(7) CHAIN(8)
                             CHAIN(9) CHAIN(10) CHAIN(11) CHAIN(12) CHAIN(13) CHAIN(14) CHAIN(15)::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static double peak_gflops(double seconds)
{
    const long rounds = 100000;
    double best = 0;
    if (!__builtin_cpu_supports("avx512f"))
        return 0;
    for (int64_t end = clock_mono_ns() + (int64_t)(seconds * 1e9); clock_mono_ns() < end;) {
        int64_t start = clock_mono_ns();
        chains(rounds);
        double g = 2.0 * 16 * 16 * (double)rounds / (double)(clock_mono_ns() - start);
        best = g > best ? g : best;
    }
    return best;
}

/* The arrays of one layer and the kernels under test. */
struct run {
    const struct layer *l;
    const struct kernels *k;
    real *x, *y, *w, *dw, *dx;
    void *scratch;
};

static void forward(struct run *r)
{
    r->k->conv_forward(&r->l->c, r->x, r->w, NULL, r->y, 0, r->l->blocks, r->scratch);
}

static void backward_data(struct run *r)
{
    r->k->conv_backward_data(&r->l->c, r->y, r->w, r->dx, false, 0, r->l->blocks, r->scratch);
}

static void backward_weight(struct run *r)
{
    r->k->conv_backward_weight(&r->l->c, r->l->blocks, r->x, r->y, r->dw, NULL, 0, r->l->c.O, r->scratch);
}

static double gflops(struct run *r, void (*stage)(struct run *), double seconds)
{
    double flops = 2.0 * (double)conv_macs(&r->l->c) * LANES * r->l->blocks, best = 0;
    stage(r);
    for (int64_t end = clock_mono_ns() + (int64_t)(seconds * 1e9); clock_mono_ns() < end;) {
        double start = clock_cpu_s();
        stage(r);
        double g = flops / ((clock_cpu_s() - start) * 1e9);
        best = g > best ? g : best;
    }
    return best;
}

static real *fill(size_t count)
{
    real *p = mem_aligned(64, count * sizeof *p);
    for (size_t i = 0; p && i < count; i++)
        p[i] = (real)(i % 17) * (real)0.01;
    return p;
}

static void measure(const struct layer *l, const struct kernels *k, double seconds, double peak)
{
    size_t in = (size_t)l->blocks * l->c.C * l->c.H * l->c.W * LANES;
    size_t out = (size_t)l->blocks * l->c.O * l->c.OH * l->c.OW * LANES;
    size_t weights = (size_t)l->c.O * l->c.C * l->c.KH * l->c.KW;
    struct run r = { l,
                     k,
                     fill(in),
                     fill(out),
                     fill(weights),
                     fill(weights),
                     fill(in),
                     mem_aligned(64, k->conv_scratch(&l->c)) };
    if (r.x && r.y && r.w && r.dw && r.dx && r.scratch) {
        double f = gflops(&r, forward, seconds), d = gflops(&r, backward_data, seconds);
        double w = gflops(&r, backward_weight, seconds);
        printf("%-20s %-8s forward %6.1f (%.2f)  data %6.1f (%.2f)  weight %6.1f (%.2f)\n", l->name, k->name,
               f, f / peak, d, d / peak, w, w / peak);
    }
    free(r.x);
    free(r.y);
    free(r.w);
    free(r.dw);
    free(r.dx);
    free(r.scratch);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.2, peak = peak_gflops(seconds);
    const char *set = argc > 2 ? argv[2] : "", *layer = argc > 3 ? argv[3] : "";
    printf("peak %.1f GFLOP/s (0: no AVX-512)\n", peak);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int k = 0; kernels_list[k]; k++)
            if (kernels_list[k]->usable() && (!*set || strcmp(kernels_list[k]->name, set) == 0) &&
                strstr(layers[i].name, layer))
                measure(&layers[i], kernels_list[k], seconds, peak);
    return 0;
}
