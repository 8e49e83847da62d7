/* bf16.c - time of the backward pass on bf16 pairs against the float kernels, per layer: data gradient,
 * weight gradient (where these are Winograd's tiles also from codes), and what packing costs, as shares of
 * the float peak; and which of both a net of mixed precision takes. CPU time, best of several, interleaved.
 */
#include "worker/kernels/bf16.h"
#include "base/clock.h"
#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/tiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 25 };

static const struct {
    const char *name;
    int C, size, O, kernel, pad, blocks;
} layers[] = {
    { "LeNet-5 conv2", 20, 12, 50, 5, 0, 4 },     { "LeNet-5 fc1", 800, 1, 500, 1, 0, 4 },
    { "3x3 16 32x32", 16, 32, 16, 3, 1, 8 },      { "3x3 32 16x16", 32, 16, 32, 3, 1, 8 },
    { "3x3 64 8x8", 64, 8, 64, 3, 1, 8 },         { "3x3 64 41x41", 64, 41, 64, 3, 1, 1 },
    { "1x1 128 16x16", 128, 16, 128, 1, 0, 4 },   { "1x1 256 8x8", 256, 8, 256, 1, 0, 4 },
    { "1x1 512 4x4", 512, 4, 512, 1, 0, 4 },      { "1x1 1024 2x2", 1024, 2, 1024, 1, 0, 4 },
    { "3x3 128 16x16", 128, 16, 128, 3, 1, 4 },   { "3x3 256 4x4", 256, 4, 256, 3, 1, 4 },
    { "5x5 64-32 33x33", 64, 33, 32, 5, 2, 2 },   { "1x1 256 4x4", 256, 4, 256, 1, 0, 4 },
    { "1x1 512 8x8", 512, 8, 512, 1, 0, 4 },      { "1x1 24-144 16x16", 24, 16, 144, 1, 0, 4 },
    { "1x1 144-24 16x16", 144, 16, 24, 1, 0, 4 },
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct times {
    double data, weight, pack, float_data, float_weight, coded_weight;
};

static void shorter(double *best, double begin)
{
    double took = now_s() - begin;
    if (took < *best || *best == 0)
        *best = took;
}

static void measure(const struct kernels *k, const struct conv *c, int blocks, struct times *t)
{
    const size_t in = (size_t)blocks * c->C * c->H * c->W * LANES,
                 out = (size_t)blocks * c->O * c->OH * c->OW * LANES;
    const size_t taps = (size_t)c->O * c->C * c->KH * c->KW;
    real *x = mem_aligned(64, in * sizeof(real)), *dy = mem_aligned(64, out * sizeof(real));
    real *w = mem_aligned(64, taps * sizeof(real)), *dw = mem_aligned(64, taps * sizeof(real));
    real *dx = mem_aligned(64, in * sizeof(real)), one = 1;
    uint8_t *code = mem_aligned(64, in + (size_t)blocks * 4 * c->H * c->W * LANES);
    int8_t *weight = mem_aligned(64, taps);
    void *room = mem_aligned(64, bf16_room(c, blocks).bytes);
    void *scratch = mem_aligned(64, k->conv_scratch(c) + k->bf16->scratch(c) + 64);
    if (!x || !dy || !w || !dw || !dx || !code || !weight || !room || !scratch)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < out; i++)
        dy[i] = (real)(i % 13) - 6;
    for (int i = 0; i < REPEATS; i++) {
        double begin = now_s();
        k->bf16->pack_dy(c, blocks, dy, &one, 1, room, true, 0, (blocks + 1) / 2);
        k->bf16->pack_x(c, blocks, &(struct coded){ code, 0 }, room, 0, (blocks + 1) / 2);
        k->bf16->pack_weights(c, blocks, weight, room, 0, c->C);
        shorter(&t->pack, begin);
        begin = now_s();
        k->bf16->data(c, blocks, room, dx, false, 0, blocks, scratch);
        shorter(&t->data, begin);
        begin = now_s();
        k->bf16->weight(c, blocks, room, 1, dw, 0, c->O, scratch);
        shorter(&t->weight, begin);
        begin = now_s();
        k->conv_backward_data(c, dy, w, dx, false, 0, blocks, scratch);
        shorter(&t->float_data, begin);
        begin = now_s();
        k->conv_backward_weight(c, blocks, x, dy, dw, NULL, 0, c->O, scratch);
        shorter(&t->float_weight, begin);
        begin = now_s();
        if (tiles_pay(c))
            k->tiles->coded_weight(c, blocks, &(struct coded){ code, 0 }, 1, dy, dw, 0, c->O, scratch);
        shorter(&t->coded_weight, begin);
    }
    void *owned[] = { x, dy, w, dw, dx, code, weight, room, scratch };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

int main(void)
{
    const struct kernels *k = kernels_best();
    const double peak = kernels_peak(k, 0.3) * 1e9;
    printf("%s, float peak %.0f GFLOP/s; shares of it\n%-16s %8s %8s %8s %8s %8s %8s  %s\n", k->name,
           peak * 1e-9, "layer", "data", "weight", "float d", "float w", "codes w", "packing", "mixed");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        struct conv c = { .C = layers[i].C,
                          .H = layers[i].size,
                          .W = layers[i].size,
                          .O = layers[i].O,
                          .KH = layers[i].kernel,
                          .KW = layers[i].kernel,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .top = layers[i].pad,
                          .left = layers[i].pad,
                          .bottom = layers[i].pad,
                          .right = layers[i].pad,
                          .groups = 1 };
        struct times t = { 0 };
        c.OH = c.OW = c.H + 2 * layers[i].pad - c.KH + 1;
        measure(k, &c, layers[i].blocks, &t);
        double ideal = 2 * (double)conv_macs(&c) * layers[i].blocks * LANES / peak;
        printf("%-16s %8.2f %8.2f %8.2f %8.2f %8.2f %7.0f%%  %s\n", layers[i].name, ideal / t.data,
               ideal / t.weight, ideal / t.float_data, ideal / t.float_weight,
               tiles_pay(&c) ? ideal / t.coded_weight : 0, 100 * t.pack / (t.data + t.weight),
               tiles_beat_pairs(&c) ? "tiles" : "bf16");
    }
    return 0;
}
