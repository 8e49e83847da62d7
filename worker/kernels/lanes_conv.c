/* lanes_conv.c - convolution with 16 samples side by side, for one instruction set (KERNEL_SET).
 *
 * forward:        columns are output pixels, steps are (channel, kernel tap), scalars the weights;
 * backward data:  columns are pixels of one input row, steps the (output channel, tap) that reach the row;
 * weight:         lanes_weight.h.
 *
 * Inner loops have no bounds checks: where there is padding, a padded copy of a few blocks is made first. */
#include "worker/kernels/bf16.h"
#include "worker/kernels/int8.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_product.h"
#include "worker/kernels/lanes_weight.h"

/* Blocks that are padded together, so that small images fill the tiles too. It depends on the layer alone. */
static int padded_blocks(int pixels)
{
    return pixels >= 24 ? 1 : pixels >= 12 ? 2 : 4;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Backward data, columns of one phase: input pixels iw = phase + i * stride_w, i in [0, count). */
struct phase {
    int first, count;
};

static struct phase phase_of(const struct conv *c, int first)
{
    return (struct phase){ first, (c->W - first + c->stride_w - 1) / c->stride_w };
}

/* The output column that tap kw takes to the phase's first pixel; false when the tap misses the phase. */
static bool tap_column(const struct conv *c, struct phase f, int kw, int *ow)
{
    int at = f.first + c->left - kw * c->dilation_w;
    if (at % c->stride_w)
        return false;
    int column = at / c->stride_w;
    *ow = column;
    return column < c->OW && column + f.count > 0;
}

/* How far the taps reach beyond the output's columns. */
static void reach(const struct conv *c, int *left, int *right)
{
    *left = *right = 0;
    for (int first = 0; first < smaller(c->stride_w, c->W); first++) {
        struct phase f = phase_of(c, first);
        for (int kw = 0, ow; kw < c->KW; kw++) {
            if (!tap_column(c, f, kw, &ow))
                continue;
            if (-ow > *left)
                *left = -ow;
            if (ow + f.count - c->OW > *right)
                *right = ow + f.count - c->OW;
        }
    }
}

static void forward_group(const struct conv *c, const real *x, const real *w, const real *bias, real *y,
                          int lo, int hi, void *scratch, int group)
{
    int C = c->C / c->groups, O = c->O / c->groups, K = C * c->KH * c->KW;
    struct padded in = padded_input(c, x, group * C, C, (char *)scratch + taps_bytes(c));
    struct product p = {
        .step = taps_fill(scratch, c, C, in.H, in.W),
        .steps = K,
        .outs = O,
        .w = w + (ptrdiff_t)group * O * K,
        .w_row = K,
        .y_row = (ptrdiff_t)c->OH * c->OW * LANES,
        .bias = bias ? bias + group * O : NULL,
    };
    struct columns columns = { 0 };
    int together = in.copied ? padded_blocks(c->OH * c->OW) : hi - lo;
    for (int at = lo; at < hi; at += together) {
        int end = smaller(at + together, hi);
        padded_load(&in, at, end);
        for (int b = at; b < end; b++) {
            const real *xb = padded_block(&in, b, at);
            real *yb = y + ((ptrdiff_t)b * c->O + group * O) * c->OH * c->OW * LANES;
            for (int oh = 0; oh < c->OH; oh++)
                for (int ow = 0; ow < c->OW; ow++, yb += LANES)
                    product_pixel(&p, &columns,
                                  xb + ((ptrdiff_t)oh * c->stride_h * in.W + ow * c->stride_w) * LANES, yb);
        }
        product_run(&p, &columns);
    }
}

static void conv_forward(const struct conv *c, const real *x, const real *w, const real *bias, real *y,
                         int lo, int hi, void *scratch)
{
    for (int group = 0; group < c->groups; group++)
        forward_group(c, x, w, bias, y, lo, hi, scratch, group);
}

/* The steps that lead to input row ih in this phase; their number. */
static int row_steps(const struct conv *c, struct product_step *step, const struct padded *in, int ih,
                     struct phase f)
{
    int C = c->C / c->groups, O = c->O / c->groups, steps = 0;
    for (int o = 0; o < O; o++)
        for (int kh = 0; kh < c->KH; kh++) {
            int at = ih + c->top - kh * c->dilation_h, oh = at / c->stride_h;
            if (at < 0 || at % c->stride_h || oh >= c->OH)
                continue;
            for (int kw = 0, ow; kw < c->KW; kw++)
                if (tap_column(c, f, kw, &ow))
                    step[steps++] = (struct product_step){
                        (((ptrdiff_t)o * in->H + oh) * in->W + in->left + ow) * LANES,
                        ((ptrdiff_t)o * C * c->KH + kh) * c->KW + kw,
                    };
        }
    return steps;
}

static void backward_data_group(const struct conv *c, const real *dy, const real *w, real *dx, int lo, int hi,
                                void *scratch, int group)
{
    int C = c->C / c->groups, O = c->O / c->groups, taps = c->KH * c->KW;
    struct product_step *step = scratch;
    struct padded in = {
        .x = dy,
        .channels = c->O,
        .first = group * O,
        .count = O,
        .h = c->OH,
        .w = c->OW,
        .H = c->OH,
        .copy = (real *)((char *)scratch + taps_bytes(c)),
    };
    int right;
    reach(c, &in.left, &right);
    in.W = c->OW + in.left + right;
    in.copied = in.W > c->OW;
    struct product p = {
        .step = step,
        .outs = C,
        .w = w + (ptrdiff_t)group * O * C * taps,
        .w_row = taps,
        .y_row = (ptrdiff_t)c->H * c->W * LANES,
        .add = true,
    };
    struct columns columns = { 0 };
    int together = in.copied ? padded_blocks(c->W) : hi - lo;
    for (int at = lo; at < hi; at += together) {
        int end = smaller(at + together, hi);
        padded_load(&in, at, end);
        for (int ih = 0; ih < c->H; ih++)
            for (int first = 0; first < smaller(c->stride_w, c->W); first++) {
                struct phase f = phase_of(c, first);
                p.steps = row_steps(c, step, &in, ih, f);
                for (int b = at; b < end && p.steps; b++) {
                    const real *yb = padded_block(&in, b, at);
                    real *xb = dx + (((ptrdiff_t)b * c->C + group * C) * c->H + ih) * c->W * LANES;
                    for (int i = 0; i < f.count; i++)
                        product_pixel(&p, &columns, yb + (ptrdiff_t)i * LANES,
                                      xb + (first + (ptrdiff_t)i * c->stride_w) * LANES);
                }
                product_run(&p, &columns);
            }
    }
}

static void conv_backward_data(const struct conv *c, const real *dy, const real *w, real *dx, int lo, int hi,
                               void *scratch)
{
    for (int group = 0; group < c->groups; group++)
        backward_data_group(c, dy, w, dx, lo, hi, scratch, group);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t conv_scratch(const struct conv *c)
{
    int left, right;
    reach(c, &left, &right);
    size_t lane = LANES * sizeof(real);
    size_t in = (size_t)(c->C / c->groups) * (c->H + c->top + c->bottom) * (c->W + c->left + c->right) * lane;
    size_t out = (size_t)(c->O / c->groups) * c->OH * (c->OW + left + right) * lane;
    in *= (size_t)larger(padded_blocks(c->OH * c->OW), WEIGHT_BLOCKS);
    out *= (size_t)padded_blocks(c->W);
    return taps_bytes(c) + larger(larger(in, out), dense_bytes(c));
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
};
