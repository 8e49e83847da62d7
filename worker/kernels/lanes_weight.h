/* lanes_weight.h - the weight gradient: a tile of (output channels x taps) accumulates lane by lane over the
 * pixels that see all of its taps, in some blocks; one horizontal sum, then the next blocks are added, in
 * order. Layers that are better off another way: lanes_turned.h, lanes_depthwise.h.
 *
 * Included by lanes_conv.c only. */
#ifndef WORKER_KERNELS_LANES_WEIGHT_H
#define WORKER_KERNELS_LANES_WEIGHT_H

#include "worker/kernels/lanes_depthwise.h"
#include "worker/kernels/lanes_turned.h"
#include "worker/kernels/tiles.h"

enum {
    WEIGHT_PIXELS = 1024, /* at least so many between two horizontal sums */
    TILE_TAPS = 6,
#if defined(__AVX512F__)
    LOG_TILE_OUTS = 2
#else
    LOG_TILE_OUTS = 1
#endif
};

static size_t taps_bytes(const struct conv *c)
{
    return ((size_t)(c->C / c->groups) * c->KW * sizeof(struct product_step) + 63) / 64 * 64;
}

/* What a tile sums over: the crossing of some rows and columns of the output in some blocks. */
struct area {
    const struct conv *c;
    int blocks, rows, columns;
    ptrdiff_t x_block, dy_block; /* from one block to the next */
    const real *x,
        *dy; /* the first output's tap (0,0) in channel 0; that output of the tile's first channel */
    const struct product_step *step; /* first tap of the tile */
    real *dw;
    ptrdiff_t dw_row;
};

INLINE void weight_tile(const struct area *a, const int O, const int T)
{
    const struct conv *c = a->c;
    ptrdiff_t dy_row = (ptrdiff_t)c->OH * c->OW * LANES, next = (ptrdiff_t)c->stride_w * LANES;
    vec sum[4][TILE_TAPS], g[4];
    EACH (o, O)
        EACH (t, T)
            sum[o][t] = (vec){ 0 };
    for (int b = 0; b < a->blocks; b++)
        for (int row = 0; row < a->rows; row++) {
            const real *x[TILE_TAPS], *dy = a->dy + b * a->dy_block + (ptrdiff_t)row * c->OW * LANES;
            EACH (t, T)
                x[t] = a->x + b * a->x_block + (ptrdiff_t)row * c->stride_h * c->W * LANES + a->step[t].x;
            ptrdiff_t at = 0;
            for (int i = 0; i < a->columns; i++, dy += LANES, at += next)
                EACH (part, PARTS) {
                    EACH (o, O)
                        g[o] = *(const vec *)(dy + o * dy_row + part * VEC);
                    EACH (t, T) {
                        vec v = *(const vec *)(x[t] + at + part * VEC);
                        EACH (o, O)
                            sum[o][t] += v * g[o];
                    }
                }
        }
    EACH (o, O)
        EACH (t, T)
            a->dw[o * a->dw_row + a->step[t].w] += lanes_sum(sum[o][t]);
}

typedef void weight_fn(const struct area *a);

#define WEIGHT(O, T)                                                                                         \
    static void weight_##O##_##T(const struct area *a)                                                       \
    {                                                                                                        \
        weight_tile(a, O, T);                                                                                \
    }
#define WEIGHTS(O) WEIGHT(O, 1) WEIGHT(O, 2) WEIGHT(O, 3) WEIGHT(O, 4) WEIGHT(O, 5) WEIGHT(O, 6)
#define WEIGHT_ROW(O)                                                                                        \
    weight_##O##_1, weight_##O##_2, weight_##O##_3, weight_##O##_4, weight_##O##_5, weight_##O##_6

WEIGHTS(1)
WEIGHTS(2)
#if defined(__AVX512F__)
WEIGHTS(4)
#endif

/* By the logarithm of outs and by taps - 1. */
static weight_fn *const weight_table[LOG_TILE_OUTS + 1][TILE_TAPS] = {
    { WEIGHT_ROW(1) },
    { WEIGHT_ROW(2) },
#if defined(__AVX512F__)
    { WEIGHT_ROW(4) },
#endif
};

/* The taps that a run of columns sees, of all channels; their number. */
static int run_taps(const struct conv *c, const struct axis *column, struct run run,
                    struct product_step *step)
{
    int C = c->C / c->groups, taps = 0;
    for (int i = 0; i < C; i++)
        for (int kw = 0; kw < c->KW; kw++)
            if (axis_source(column, run.first, kw) >= 0)
                step[taps++] = (struct product_step){
                    ((ptrdiff_t)i * c->H * c->W + axis_source(column, run.first, kw)) * LANES,
                    (ptrdiff_t)i * c->KH * c->KW + kw,
                };
    return taps;
}

/* Taps [lo, hi) of the table in every row of the kernel, for 2^log outputs. */
static void weight_rows(const struct area *whole, const struct axis *row, int lo, int hi, int log)
{
    const struct conv *c = whole->c;
    for (int kh = 0; kh < c->KH; kh++) {
        struct area a = *whole;
        int first = 0, end = c->OH;
        while (first < end && axis_source(row, first, kh) < 0)
            first++;
        while (end > first && axis_source(row, end - 1, kh) < 0)
            end--;
        if (first == end)
            continue;
        a.rows = end - first;
        a.x += (ptrdiff_t)axis_source(row, first, kh) * c->W * LANES;
        a.dy += (ptrdiff_t)first * c->OW * LANES;
        a.step += lo;
        a.dw += kh * c->KW;
        weight_table[log][hi - lo - 1](&a);
    }
}

/* Outputs [lo, hi) of the group, tiles of nearly equal width. */
static void weight_run(const struct area *whole, const struct axis *row, int taps, int lo, int hi)
{
    int tiles = (taps + TILE_TAPS - 1) / TILE_TAPS;
    for (int o = lo, log = LOG_TILE_OUTS; o < hi; o += 1 << log) {
        struct area a = *whole;
        while (1 << log > hi - o)
            log--;
        a.dy += (ptrdiff_t)o * a.c->OH * a.c->OW * LANES;
        a.dw += o * a.dw_row;
        for (int t = 0; t < tiles; t++)
            weight_rows(&a, row, (int)((int64_t)taps * t / tiles), (int)((int64_t)taps * (t + 1) / tiles),
                        log);
    }
}

/* Outputs [lo, hi) of one group, counted from the group's first. */
static void weight_group(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int group,
                         int lo, int hi, void *scratch)
{
    int C = c->C / c->groups, O = c->O / c->groups, pixels = c->OH * c->OW;
    const struct axis row = { c->H, c->OH, c->KH, c->stride_h, c->dilation_h, c->top, false };
    const struct axis column = { c->W, c->OW, c->KW, c->stride_w, c->dilation_w, c->left, false };
    struct area a = { .c = c, .step = scratch, .dw_row = (ptrdiff_t)C * c->KH * c->KW };
    int together = (WEIGHT_PIXELS + pixels - 1) / pixels;
    a.dy_block = (ptrdiff_t)c->O * pixels * LANES;
    a.x_block = (ptrdiff_t)c->C * c->H * c->W * LANES;
    a.dw = dw + (ptrdiff_t)group * O * a.dw_row;
    for (int at = 0; at < blocks; at += together) {
        a.blocks = blocks - at < together ? blocks - at : together;
        for (struct run r = run_at(&column, 0); r.count; r = run_next(&column, r)) {
            int taps = run_taps(c, &column, r, scratch);
            a.columns = r.count;
            a.x = x + at * a.x_block + (ptrdiff_t)group * C * c->H * c->W * LANES;
            a.dy = dy + at * a.dy_block + ((ptrdiff_t)group * O * pixels + r.first) * LANES;
            weight_run(&a, &row, taps, lo, hi);
        }
    }
}

static void bias_gradient(const struct conv *c, int blocks, const real *dy, real *dbias, int lo, int hi)
{
    int pixels = c->OH * c->OW;
    for (int o = lo; o < hi; o++)
        for (int b = 0; b < blocks; b++) {
            const real *from = dy + ((ptrdiff_t)b * c->O + o) * pixels * LANES;
            vec sum = { 0 };
            for (ptrdiff_t i = 0; i < (ptrdiff_t)pixels * LANES; i += VEC)
                sum += *(const vec *)(from + i);
            dbias[o] += lanes_sum(sum);
        }
}

static void conv_backward_weight(const struct conv *c, int blocks, const real *x, const real *dy, real *dw,
                                 real *dbias, int lo, int hi, void *scratch)
{
    int O = c->O / c->groups;
    if (dbias)
        bias_gradient(c, blocks, dy, dbias, lo, hi);
    if (!dw)
        return;
    if (tiles_pay(c)) {
        SYMBOL(tiles_, KERNEL_SET).backward_weight(c, blocks, x, dy, dw, lo, hi, scratch);
        return;
    }
    if (turns(c)) {
        weight_turned(c, blocks, x, dy, dw, lo, hi, scratch);
        return;
    }
    if (is_depthwise(c)) {
        weight_depthwise(c, blocks, x, dy, dw, lo, hi, scratch);
        return;
    }
    for (int o = lo; o < hi;) {
        int group = o / O, end = (group + 1) * O < hi ? (group + 1) * O : hi;
        weight_group(c, blocks, x, dy, dw, group, o - group * O, end - group * O, scratch);
        o = end;
    }
}

#endif
