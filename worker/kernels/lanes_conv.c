/* lanes_conv.c - convolution with 16 samples side by side, for one instruction set (KERNEL_SET).
 *
 * forward:        columns are output pixels, steps are (channel, kernel tap), scalars the weights;
 * backward data:  columns are pixels of one input row, steps the (output channel, tap) that reach the row;
 * weight:         lanes_weight.h.
 *
 * Inner loops have no bounds checks: where there is padding, a padded copy of a few blocks is made first. */
#include "worker/kernels/bf16.h"
#include "worker/kernels/fixed.h"
#include "worker/kernels/int8.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_gather.h"
#include "worker/kernels/lanes_weight.h"
#include "worker/kernels/tiles.h"

enum {
    PACKED_PIXELS = 4, /* a layer of that many pixels or more pays for weights turned round once, */
    PACKED_OUTS = 16   /* of so many outputs at a time: whole lines are written */
};

static bool packs(const struct conv *c)
{
    return c->H * c->W >= PACKED_PIXELS && c->C / c->groups >= 4;
}

static size_t packed_bytes(const struct conv *c)
{
    size_t outs = ((size_t)c->C / c->groups + 3) / 4 * 4;
    return packs(c) ? (outs * (c->O / c->groups) * c->KH * c->KW * sizeof(real) + 63) / 64 * 64 : 0;
}

/* Weights [O][C][taps] to [C / 4][O][taps][4]. */
static void pack(const real *w, int O, int C, int taps, real *packed)
{
    for (int first = 0; first < O; first += PACKED_OUTS)
        for (int c = 0; c < C; c += 4)
            for (int o = first; o < O && o < first + PACKED_OUTS; o++) {
                const real *from = w + ((ptrdiff_t)o * C + c) * taps;
                real *to = packed + ((ptrdiff_t)(c / 4) * O + o) * taps * 4;
                for (int k = 0; k < taps; k++)
                    for (int i = 0; i < 4 && c + i < C; i++)
                        to[k * 4 + i] = from[i * taps + k];
            }
}

static void conv_forward(const struct conv *c, const real *x, const real *w, const real *bias, real *y,
                         int lo, int hi, void *scratch)
{
    int C = c->C / c->groups, O = c->O / c->groups, taps = c->KH * c->KW;
    bool deep = is_depthwise(c);
    if (!c->exact && tiles_pay(c)) {
        SYMBOL(tiles_, KERNEL_SET).forward(c, x, w, bias, y, lo, hi, scratch);
        return;
    }
    for (int group = 0; group < (deep ? 1 : c->groups); group++) {
        struct gather g = {
            .row = { c->H, c->OH, c->KH, c->stride_h, c->dilation_h, c->top, false },
            .column = { c->W, c->OW, c->KW, c->stride_w, c->dilation_w, c->left, false },
            .sources = C,
            .channels = c->C,
            .outs = O,
            .out_channels = c->O,
            .x = x + (ptrdiff_t)group * C * c->H * c->W * LANES,
            .y = y + (ptrdiff_t)group * O * c->OH * c->OW * LANES,
            .w_channel = taps,
            .w_k = 1,
            .p = { .outs = O,
                   .w = w + (ptrdiff_t)group * O * C * taps,
                   .w_row = (ptrdiff_t)C * taps,
                   .y_row = (ptrdiff_t)c->OH * c->OW * LANES,
                   .bias = bias ? bias + group * O : NULL },
        };
        gather_room(&g, scratch);
        if (deep)
            depth_run(&g, taps, lo, hi, scratch);
        else
            gather_run(&g, lo, hi);
    }
}

static void conv_backward_data(const struct conv *c, const real *dy, const real *w, real *dx, bool add,
                               int lo, int hi, void *scratch)
{
    int C = c->C / c->groups, O = c->O / c->groups, taps = c->KH * c->KW;
    real *packed = (real *)((char *)scratch + gather_bytes(taps, O));
    bool deep = is_depthwise(c);
    if (tiles_pay(c)) {
        SYMBOL(tiles_, KERNEL_SET).backward_data(c, dy, w, dx, add, lo, hi, scratch);
        return;
    }
    for (int group = 0; group < (deep ? 1 : c->groups); group++) {
        const real *from = w + (ptrdiff_t)group * O * C * taps;
        bool turned = packs(c);
        if (turned)
            pack(from, O, C, taps, packed);
        struct gather g = {
            .row = { c->OH, c->H, c->KH, c->stride_h, c->dilation_h, c->top, true },
            .column = { c->OW, c->W, c->KW, c->stride_w, c->dilation_w, c->left, true },
            .sources = O,
            .channels = c->O,
            .outs = C,
            .out_channels = c->C,
            .x = dy + (ptrdiff_t)group * O * c->OH * c->OW * LANES,
            .y = dx + (ptrdiff_t)group * C * c->H * c->W * LANES,
            .w_channel = turned ? taps * 4 : (ptrdiff_t)C * taps,
            .w_k = turned ? 4 : 1,
            .p = { .outs = C,
                   .w = turned ? packed : from,
                   .w_row = turned ? (ptrdiff_t)O * taps * 4 : taps,
                   .packed = turned,
                   .y_row = (ptrdiff_t)c->H * c->W * LANES,
                   .add = add },
        };
        gather_room(&g, scratch);
        if (deep)
            depth_run(&g, taps, lo, hi, scratch);
        else
            gather_run(&g, lo, hi);
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t conv_scratch(const struct conv *c)
{
    int taps = c->KH * c->KW;
    size_t gather = larger(gather_bytes(taps, c->C / c->groups), gather_bytes(taps, c->O / c->groups));
    size_t direct = larger(gather + packed_bytes(c), larger(taps_bytes(c), turned_bytes(c)));
    direct = larger(direct, depth_bytes(c));
    return tiles_pay(c) ? larger(direct, SYMBOL(tiles_, KERNEL_SET).scratch(c)) : direct;
}

static bool usable(void)
{
#if defined(__AVX512VNNI__)
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
#elif defined(__AVX512F__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

extern const struct kernels SYMBOL(kernels_, KERNEL_SET);

const struct kernels SYMBOL(kernels_, KERNEL_SET) = {
    .name = SET_NAME,
    .usable = usable,
    .conv_scratch = conv_scratch,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weight = conv_backward_weight,
    .unary = SYMBOL(unary_, KERNEL_SET),
    .element = &SYMBOL(element_, KERNEL_SET),
    .pool = &SYMBOL(pool_, KERNEL_SET),
    .update = &SYMBOL(update_, KERNEL_SET),
    .int8 = &SYMBOL(int8_, KERNEL_SET),
#ifndef QUANTD_DOUBLE
    .bf16 = &SYMBOL(bf16_, KERNEL_SET),
#endif
    .fixed = &SYMBOL(fixed_, KERNEL_SET),
    .tiles = &SYMBOL(tiles_, KERNEL_SET),
};
