/* lanes_depthwise.h - convolution where each channel is a group of its own: a few products per pixel, bound
 * by memory, so pixels are walked through without lists of them. Forward and data gradient are gatherings
 * (lanes_gather.h); the weight gradient is a product of two rectangles per tap.
 *
 * Included by lanes_conv.c and lanes_weight.h only. */
#ifndef WORKER_KERNELS_LANES_DEPTHWISE_H
#define WORKER_KERNELS_LANES_DEPTHWISE_H

#include "worker/kernels/lanes_gather.h"

enum {
    DEPTH_PIXELS = PARTS > 4 ? 2 : 8 / PARTS, /* side by side: independent sums */
    DEPTH_TAPS = 3,                           /* of a weight gradient, side by side */
    DEPTH_BYTES = 1 << 17 /* channels that are gone through together: their planes stay in L2 */
};

static bool is_depthwise(const struct conv *c)
{
    return c->groups == c->C && c->groups == c->O;
}

/* P destinations; the sources of the next one are `move` numbers on, itself `hop`. */
INLINE void depth_pixels(const struct gather *g, int taps, const real *x, ptrdiff_t move, const real *w,
                         real start, real *y, ptrdiff_t hop, const int P)
{
    vec sum[DEPTH_PIXELS][PARTS];
    EACH (j, P)
        EACH (p, PARTS)
            sum[j][p] = all(start);
    if (g->p.add)
        EACH (j, P)
            EACH (p, PARTS)
                sum[j][p] = load(y + j * hop + p * VEC);
    for (const struct product_step *s = g->step, *end = s + taps; s < end; s++) {
        const real *at = x + s->x;
        real scalar = w[s->w];
        EACH (j, P)
            EACH (p, PARTS)
                sum[j][p] += scalar * load(at + j * move + p * VEC);
    }
    EACH (j, P)
        EACH (p, PARTS)
            store(y + j * hop + p * VEC, sum[j][p]);
}

typedef void depth_fn(const struct gather *g, int taps, const real *x, ptrdiff_t move, const real *w,
                      real start, real *y, ptrdiff_t hop);

#define DEPTH(P)                                                                                             \
    static void depth_##P(const struct gather *g, int taps, const real *x, ptrdiff_t move, const real *w,    \
                          real start, real *y, ptrdiff_t hop)                                                \
    {                                                                                                        \
        depth_pixels(g, taps, x, move, w, start, y, hop, P);                                                 \
    }

DEPTH(1)
DEPTH(2)
#if defined(__AVX2__)
DEPTH(3)
DEPTH(4)
#endif
#if defined(__AVX512F__)
DEPTH(5)
DEPTH(6)
DEPTH(7)
DEPTH(8)
#endif

static depth_fn *const depth_table[DEPTH_PIXELS] = {
    depth_1, depth_2,
#if defined(__AVX2__)
    depth_3, depth_4,
#endif
#if defined(__AVX512F__)
    depth_5, depth_6, depth_7, depth_8,
#endif
};

/* Where two runs cross in one channel. */
static void depth_area(const struct gather *g, int taps, struct run rows, struct run columns, const real *x,
                       const real *w, real start, real *y)
{
    ptrdiff_t move = (ptrdiff_t)axis_move(&g->column) * LANES, hop = (ptrdiff_t)axis_step(&g->column) * LANES;
    int pieces = (columns.count + DEPTH_PIXELS - 1) / DEPTH_PIXELS;
    for (int i = 0; i < rows.count; i++) {
        const real *from = x + (ptrdiff_t)i * axis_move(&g->row) * g->column.from * LANES;
        real *to =
            y + ((ptrdiff_t)(rows.first + i * axis_step(&g->row)) * g->column.to + columns.first) * LANES;
        for (int k = 0, j = 0; k < pieces; k++) {
            int end = columns.count * (k + 1) / pieces;
            depth_table[end - j - 1](g, taps, from + j * move, move, w, start, to + j * hop, hop);
            j = end;
        }
    }
}

/* Blocks [lo, hi) of all channels; g->x, g->y and g->p.w are those of channel 0. */
static void depth_run(struct gather *g, int taps, int lo, int hi)
{
    ptrdiff_t from = (ptrdiff_t)g->row.from * g->column.from * LANES,
              to = (ptrdiff_t)g->row.to * g->column.to * LANES;
    int fit = (int)(DEPTH_BYTES / ((size_t)(from + to) * sizeof(real))), together = fit < 1 ? 1 : fit;
    for (int b = lo; b < hi; b++)
        for (int first = 0; first < g->channels; first += together) {
            int end = first + together < g->channels ? first + together : g->channels;
            for (struct run r = run_at(&g->row, 0); r.count; r = run_next(&g->row, r))
                for (struct run c = run_at(&g->column, 0); c.count; c = run_next(&g->column, c)) {
                    int seen = area_taps(g, r.first, c.first, g->step);
                    for (int i = first; i < end; i++) {
                        ptrdiff_t plane = (ptrdiff_t)b * g->channels + i;
                        depth_area(g, seen, r, c, g->x + plane * from, g->p.w + (ptrdiff_t)i * taps,
                                   g->p.bias ? g->p.bias[i] : 0, g->y + plane * to);
                    }
                }
        }
}

/* Destinations [first, end) that see tap k; empty when end is first. */
static void tap_range(const struct axis *a, int k, int *first, int *end)
{
    *first = 0;
    *end = a->to;
    while (*first < *end && axis_source(a, *first, k) < 0)
        ++*first;
    while (*end > *first && axis_source(a, *end - 1, k) < 0)
        --*end;
}

/* Sums of a channel's taps, in two chains each. */
typedef vec tap_sums[2][PARTS];

/* Taps side by side in the kernel, which share dy: x is that of the first, `tap` numbers on that of the next.
 */
INLINE void depth_product(const struct conv *c, const real *x, ptrdiff_t tap, const real *dy, int rows,
                          int columns, tap_sums *sum, const int T)
{
    ptrdiff_t next = (ptrdiff_t)c->stride_w * LANES;
    for (int i = 0; i < rows;
         i++, x += (ptrdiff_t)c->stride_h * c->W * LANES, dy += (ptrdiff_t)c->OW * LANES) {
        int j = 0;
        for (; j + 2 <= columns; j += 2)
            EACH (k, 2)
                EACH (p, PARTS) {
                    vec g = load(dy + (ptrdiff_t)(j + k) * LANES + p * VEC);
                    EACH (t, T)
                        sum[t][k][p] += load(x + (j + k) * next + t * tap + p * VEC) * g;
                }
        for (; j < columns; j++)
            EACH (p, PARTS)
                EACH (t, T)
                    sum[t][0][p] +=
                        load(x + j * next + t * tap + p * VEC) * load(dy + (ptrdiff_t)j * LANES + p * VEC);
    }
}

/* Columns [left, right) of the rows that see kernel row kh. */
INLINE void depth_rectangle(const struct conv *c, const real *x, const real *dy, const struct axis *row,
                            const struct axis *column, int kh, int kw, int left, int right, tap_sums *sum,
                            const int T)
{
    int top, bottom;
    tap_range(row, kh, &top, &bottom);
    if (top == bottom || left >= right)
        return;
    x += ((ptrdiff_t)axis_source(row, top, kh) * c->W + axis_source(column, left, kw)) * LANES;
    dy += ((ptrdiff_t)top * c->OW + left) * LANES;
    depth_product(c, x, (ptrdiff_t)c->dilation_w * LANES, dy, bottom - top, right - left, sum, T);
}

/* T taps from (kh, kw) on of one channel, over all blocks in order: columns that all of them see, then each
 * one's rest. */
INLINE void depth_taps(const struct conv *c, int blocks, const real *x, const real *dy,
                       const struct axis *row, const struct axis *column, int kh, int kw, real *dw,
                       const int T)
{
    ptrdiff_t from = (ptrdiff_t)c->C * c->H * c->W * LANES, to = (ptrdiff_t)c->O * c->OH * c->OW * LANES;
    int left[DEPTH_TAPS], right[DEPTH_TAPS], first = 0, end = c->OW;
    tap_sums sum[DEPTH_TAPS];
    memset(sum, 0, sizeof sum);
    for (int t = 0; t < T; t++) {
        tap_range(column, kw + t, &left[t], &right[t]);
        first = left[t] > first ? left[t] : first;
        end = right[t] < end ? right[t] : end;
    }
    end = end > first ? end : first;
    for (int b = 0; b < blocks; b++, x += from, dy += to) {
        depth_rectangle(c, x, dy, row, column, kh, kw, first, end, sum, T);
        for (int t = 0; t < T; t++) {
            int inner = right[t] < first ? right[t] : first, outer = left[t] > end ? left[t] : end;
            depth_rectangle(c, x, dy, row, column, kh, kw + t, left[t], inner, sum + t, 1);
            depth_rectangle(c, x, dy, row, column, kh, kw + t, outer, right[t], sum + t, 1);
        }
    }
    for (int t = 0; t < T; t++) {
        vec total = { 0 };
        EACH (p, PARTS)
            total += sum[t][0][p] + sum[t][1][p];
        dw[t] += lanes_sum(total);
    }
}

static void weight_depthwise(const struct conv *c, int blocks, const real *x, const real *dy, real *dw,
                             int lo, int hi)
{
    const struct axis row = { c->H, c->OH, c->KH, c->stride_h, c->dilation_h, c->top, false };
    const struct axis column = { c->W, c->OW, c->KW, c->stride_w, c->dilation_w, c->left, false };
    for (int i = lo; i < hi; i++) {
        const real *from = x + (ptrdiff_t)i * c->H * c->W * LANES,
                   *to = dy + (ptrdiff_t)i * c->OH * c->OW * LANES;
        for (int kh = 0; kh < c->KH; kh++) {
            real *at = dw + ((ptrdiff_t)i * c->KH + kh) * c->KW;
            int kw = 0;
            for (; kw + DEPTH_TAPS <= c->KW; kw += DEPTH_TAPS)
                depth_taps(c, blocks, from, to, &row, &column, kh, kw, at + kw, DEPTH_TAPS);
            for (; kw < c->KW; kw++)
                depth_taps(c, blocks, from, to, &row, &column, kh, kw, at + kw, 1);
        }
    }
}

#endif
