/* lanes_bf16_weight.h - the weight gradient on bf16 pairs.
 *
 * Images: a tile of (outputs x taps) accumulates lane by lane over the pixels of some pairs of blocks; one
 * horizontal sum, then the next ones are added, in order. How many pairs depends on the layer alone.
 * Dense (bf16_dense): features lie in the lanes, and dw[o] grows by pairs of samples (lanes_pairs.h).
 *
 * Included by lanes_bf16.c only. */
#ifndef WORKER_KERNELS_LANES_BF16_WEIGHT_H
#define WORKER_KERNELS_LANES_BF16_WEIGHT_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_pairs.h"

enum {
    GROUP_PIXELS = 256, /* at least so many between two horizontal sums, if there are */
    GROUP_MAX = 4,      /* pairs of blocks */
    DOT_TAPS = 6,
#if defined(__AVX512F__)
    LOG_DOT_OUTS = 2
#else
    LOG_DOT_OUTS = 1
#endif
};

/* What a tile sums over: `count` pairs of blocks. */
struct dot_area {
    const struct conv *c;
    int count;
    ptrdiff_t row, x_two, dy_two; /* to the next padded row; to the next pair of blocks */
    const bf16_pair *x, *dy;      /* of the first input, of the tile's first output */
    const ptrdiff_t *tap;         /* the tile's first: where it lies in x */
    real *dw, step;
    ptrdiff_t dw_row;
};

/* The sum of a vector's lanes, always in the same tree. */
INLINE real sum_of(vec v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#else
    real lane[VEC] __attribute__((aligned(VEC_BYTES)));
    *(vec *)lane = v;
    for (int half = VEC / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
#endif
}

INLINE void dot_tile(const struct dot_area *a, const int O, const int T)
{
    const struct conv *c = a->c;
    const ptrdiff_t dy_row = (ptrdiff_t)c->OH * c->OW * LANES, next = (ptrdiff_t)c->stride_w * LANES;
    vec sum[4][DOT_TAPS];
    pairs g[4];
    EACH (o, O)
        EACH (t, T)
            sum[o][t] = (vec){ 0 };
    for (int i = 0; i < a->count; i++)
        for (int oh = 0; oh < c->OH; oh++) {
            const bf16_pair *dy = a->dy + i * a->dy_two + (ptrdiff_t)oh * c->OW * LANES, *x[DOT_TAPS];
            EACH (t, T)
                x[t] = a->x + i * a->x_two + oh * c->stride_h * a->row + a->tap[t];
            ptrdiff_t at = 0;
            for (int ow = 0; ow < c->OW; ow++, dy += LANES, at += next)
                EACH (part, PARTS) {
                    EACH (o, O)
                        g[o] = load_pairs(dy + o * dy_row + part * VEC);
                    EACH (t, T) {
                        pairs v = load_pairs(x[t] + at + part * VEC);
                        EACH (o, O)
                            sum[o][t] = dot(sum[o][t], v, g[o]);
                    }
                }
        }
    EACH (o, O)
        EACH (t, T)
            a->dw[o * a->dw_row + t] += a->step * sum_of(sum[o][t]);
}

typedef void dot_fn(const struct dot_area *a);

#define DOT(O, T)                                                                                            \
    static void dot_##O##_##T(const struct dot_area *a)                                                      \
    {                                                                                                        \
        dot_tile(a, O, T);                                                                                   \
    }
#define DOTS(O)    DOT(O, 1) DOT(O, 2) DOT(O, 3) DOT(O, 4) DOT(O, 5) DOT(O, 6)
#define DOT_ROW(O) dot_##O##_1, dot_##O##_2, dot_##O##_3, dot_##O##_4, dot_##O##_5, dot_##O##_6

DOTS(1)
DOTS(2)
#if defined(__AVX512F__)
DOTS(4)
#endif

/* By the logarithm of outputs and by taps - 1. */
static dot_fn *const dot_table[LOG_DOT_OUTS + 1][DOT_TAPS] = {
    { DOT_ROW(1) },
    { DOT_ROW(2) },
#if defined(__AVX512F__)
    { DOT_ROW(4) },
#endif
};

/* All taps of outputs [o, o + 2^log), tiles of nearly equal width. */
static void dot_strip(const struct dot_area *whole, int o, int log, int taps)
{
    struct dot_area a = *whole;
    int tiles = (taps + DOT_TAPS - 1) / DOT_TAPS;
    a.dy += (ptrdiff_t)o * a.c->OH * a.c->OW * LANES;
    for (int t = 0; t < tiles; t++) {
        int lo = (int)((int64_t)taps * t / tiles), hi = (int)((int64_t)taps * (t + 1) / tiles);
        a.tap = whole->tap + lo;
        a.dw = whole->dw + o * a.dw_row + lo;
        dot_table[log][hi - lo - 1](&a);
    }
}

static size_t weight_scratch(const struct conv *c)
{
    size_t taps = (size_t)c->C * c->KH * c->KW * sizeof(ptrdiff_t), edge = (size_t)c->O * VEC * sizeof(real);
    return bf16_dense(c) ? edge + SAMPLE_PAIRS * sizeof(struct pair_tap) : taps;
}

/* Pairs of blocks between two horizontal sums. */
static int group_size(const struct conv *c)
{
    int pixels = c->OH * c->OW, size = (GROUP_PIXELS + pixels - 1) / pixels;
    return size < GROUP_MAX ? size : GROUP_MAX;
}

static void weight_images(const struct conv *c, int blocks, const bf16_pair *x, const bf16_pair *dy,
                          real step, real *dw, int lo, int hi, ptrdiff_t *tap)
{
    const ptrdiff_t HP = c->H + c->top + c->bottom, WP = c->W + c->left + c->right;
    const int K = c->C * c->KH * c->KW, pairs_all = (blocks + 1) / 2, group = group_size(c);
    struct dot_area a = { .c = c, .row = WP * LANES, .step = step, .dw_row = K, .tap = tap, .dw = dw };
    a.x_two = c->C * HP * WP * LANES;
    a.dy_two = (ptrdiff_t)c->O * c->OH * c->OW * LANES;
    for (int k = 0; k < K; k++) {
        int i = k / (c->KH * c->KW), kh = k / c->KW % c->KH, kw = k % c->KW;
        tap[k] = ((i * HP + kh * c->dilation_h) * WP + kw * c->dilation_w) * LANES;
    }
    for (int at = 0; at < pairs_all; at += group) {
        a.count = pairs_all - at < group ? pairs_all - at : group;
        a.x = x + at * a.x_two;
        a.dy = dy + at * a.dy_two;
        for (int o = lo; o < hi;) {
            int log = LOG_DOT_OUTS;
            while (1 << log > hi - o)
                log--;
            dot_strip(&a, o, log, K);
            o += 1 << log;
        }
    }
}

/* The last features that don't fill a vector: through `edge`[outputs][VEC]. */
static void dense_edge(const struct pair_sum *whole, const bf16_pair *x, real *dw, int features, int lo,
                       int hi, real *edge)
{
    struct pair_sum p = *whole;
    struct pair_columns columns = { 1, { x }, { edge } };
    size_t bytes = (size_t)(features % VEC) * sizeof(real);
    p.y_row = VEC;
    memset(edge, 0, (size_t)hi * VEC * sizeof(real));
    pair_run(&p, &columns, lo, hi);
    for (int o = lo; o < hi; o++)
        for (size_t i = 0; i < bytes / sizeof(real); i++)
            dw[(ptrdiff_t)o * features + i] += edge[o * VEC + i];
}

static void weight_dense(const struct conv *c, int blocks, const bf16_pair *x, const bf16_pair *dy, real step,
                         real *dw, int lo, int hi, void *scratch)
{
    const int planes = blocks * c->OH * c->OW, features = (c->C + LANES - 1) / LANES * LANES;
    struct pair_tap *tap = scratch;
    real *edge = (real *)(tap + SAMPLE_PAIRS);
    struct pair_columns columns = { 0 };
    struct pair_sum p = { .tap = tap,
                          .taps = SAMPLE_PAIRS,
                          .planes = planes,
                          .x_plane = (ptrdiff_t)SAMPLE_PAIRS * features,
                          .w_plane = SAMPLE_PAIRS * OUTS,
                          .w_group = (ptrdiff_t)planes * SAMPLE_PAIRS * OUTS,
                          .w = dy,
                          .y_row = c->C,
                          .scale = step,
                          .add = true };
    int whole = c->C / VEC * VEC;
    for (int l = 0; l < SAMPLE_PAIRS; l++)
        tap[l] = (struct pair_tap){ (ptrdiff_t)l * features, (ptrdiff_t)l * OUTS };
    for (int i = 0; i < whole; i += VEC) {
        columns.x[columns.count] = x + i;
        columns.y[columns.count++] = dw + i;
        if (columns.count == PAIR_CHUNK)
            pair_run(&p, &columns, lo, hi);
    }
    if (columns.count)
        pair_run(&p, &columns, lo, hi);
    if (whole < c->C)
        dense_edge(&p, x + whole, dw + whole, c->C, lo, hi, edge);
}

static void weight(const struct conv *c, int blocks, const void *room, real step, real *dw, int lo, int hi,
                   void *scratch)
{
    const struct bf16_room at = bf16_room(c, blocks);
    const bf16_pair *x = (const bf16_pair *)((const char *)room + at.x);
    const bf16_pair *dy = (const bf16_pair *)((const char *)room + at.dy_blocks);
    if (bf16_dense(c))
        weight_dense(c, blocks, x, dy, step, dw, lo, hi, scratch);
    else
        weight_images(c, blocks, x, dy, step, dw, lo, hi, scratch);
}

static void bias(const struct conv *c, int blocks, const void *room, real *dbias, int lo, int hi)
{
    const real *sum = (const real *)((const char *)room + bf16_room(c, blocks).sums);
    for (int b = 0; b < blocks; b++)
        for (int o = lo; o < hi; o++)
            dbias[o] += sum[(ptrdiff_t)b * c->O + o];
}

#endif
