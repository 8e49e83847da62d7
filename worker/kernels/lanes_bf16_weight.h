/* lanes_bf16_weight.h - the weight gradient on bf16 pairs.
 *
 * Images: a tile of (outputs x taps) accumulates lane by lane over an area, which is some pairs of blocks or
 * some rows of one pair; one horizontal sum, then the next area's is added, in order. All outputs go over as
 * many channels of an area as stay in L2. How an area is cut depends on the layer alone.
 * Dense (bf16_dense): features lie in the lanes, and dw[o] grows by pairs of samples (lanes_pairs.h).
 *
 * Included by lanes_bf16.c only. */
#ifndef WORKER_KERNELS_LANES_BF16_WEIGHT_H
#define WORKER_KERNELS_LANES_BF16_WEIGHT_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_bf16_pack.h"
#include "worker/kernels/lanes_pairs.h"

enum {
    AREA_PIXELS = 256,    /* at least so many between two horizontal sums, if there are */
    AREA_PAIRS = 4,       /* at most */
    AREA_BYTES = 3 << 17, /* of the input */
    DOT_TAPS = 6,
    DENSE_PIXELS = 16, /* at a time: with the columns of a tile they are 48 KiB */
#if defined(__AVX512F__)
    LOG_DOT_OUTS = 2
#else
    LOG_DOT_OUTS = 1
#endif
};

/* What a tile sums over: `rows` rows of `count` pairs of blocks. */
struct dot_area {
    const struct conv *c;
    int count, rows;
    ptrdiff_t row, x_two, dy_two; /* to the next padded row; to the next pair of blocks */
    const bf16_pair *x, *dy;      /* of the first input, of the tile's first output; at the first row */
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

/* Four sums in one tree. */
INLINE void four_sums(const vec v[4], real sum[4])
{
#if defined(__AVX512F__)
    __m512 two =
        _mm512_unpacklo_ps((__m512)v[0], (__m512)v[1]) + _mm512_unpackhi_ps((__m512)v[0], (__m512)v[1]);
    __m512 more =
        _mm512_unpacklo_ps((__m512)v[2], (__m512)v[3]) + _mm512_unpackhi_ps((__m512)v[2], (__m512)v[3]);
    __m512 four = (__m512)_mm512_unpacklo_pd((__m512d)two, (__m512d)more) +
                  (__m512)_mm512_unpackhi_pd((__m512d)two, (__m512d)more);
    __m256 half = _mm512_castps512_ps256(four) + (__m256)_mm512_extractf64x4_pd((__m512d)four, 1);
    _mm_storeu_ps(sum, _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1));
#else
    EACH (i, 4)
        sum[i] = sum_of(v[i]);
#endif
}

/* dw += step * the sums of a tile. */
INLINE void dot_put(const struct dot_area *a, vec sum[4][DOT_TAPS], const int O, const int T)
{
    EACH (t, T) {
        real total[4];
        if (O == 4)
            four_sums((const vec[4]){ sum[0][t], sum[1][t], sum[2][t], sum[3][t] }, total);
        else
            EACH (o, O)
                total[o] = sum_of(sum[o][t]);
        EACH (o, O)
            a->dw[o * a->dw_row + t] += a->step * total[o];
    }
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
        for (int oh = 0; oh < a->rows; oh++) {
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
    dot_put(a, sum, O, T);
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

/* Taps [first, end) of outputs [o, o + 2^log), tiles of nearly equal width. */
static void dot_strip(const struct dot_area *whole, int o, int log, int first, int end)
{
    struct dot_area a = *whole;
    int taps = end - first, tiles = (taps + DOT_TAPS - 1) / DOT_TAPS;
    a.dy += (ptrdiff_t)o * a.c->OH * a.c->OW * LANES;
    for (int t = 0; t < tiles; t++) {
        int lo = first + (int)((int64_t)taps * t / tiles),
            hi = first + (int)((int64_t)taps * (t + 1) / tiles);
        a.tap = whole->tap + lo;
        a.dw = whole->dw + o * a.dw_row + lo;
        dot_table[log][hi - lo - 1](&a);
    }
}

/* All outputs [lo, hi) of an area, some channels after the others. */
static void dot_outputs(const struct dot_area *a, int channels, int lo, int hi)
{
    const int C = a->c->C, taps = a->c->KH * a->c->KW;
    for (int first = 0; first < C; first += channels) {
        int end = first + channels < C ? first + channels : C;
        for (int o = lo; o < hi;) {
            int log = LOG_DOT_OUTS;
            while (1 << log > hi - o)
                log--;
            dot_strip(a, o, log, first * taps, end * taps);
            o += 1 << log;
        }
    }
}

/* What the dense way needs of a thread's memory. */
struct dense_room {
    real *sums;       /* [outputs][features], where dw's rows are not whole vectors */
    bf16_pair *panel; /* of some planes */
    size_t bytes;
};

static struct dense_room dense_room(const struct conv *c, void *scratch)
{
    const size_t sums = c->C % LANES ? (size_t)c->O * dense_features(c) * sizeof(real) : 0;
    return (struct dense_room){ scratch, (bf16_pair *)((char *)scratch + sums),
                                sums + (size_t)DENSE_PIXELS * SAMPLE_PAIRS * PAIR_COLUMNS * VEC_BYTES };
}

static size_t weight_scratch(const struct conv *c)
{
    const size_t taps = (size_t)c->C * c->KH * c->KW * sizeof(ptrdiff_t);
    return bf16_dense(c) ? dense_room(c, NULL).bytes : taps;
}

struct area_cut {
    int pairs, rows, channels;
};

static struct area_cut area_cut(const struct conv *c)
{
    const int pixels = c->OH * c->OW, many = (AREA_PIXELS + pixels - 1) / pixels;
    struct area_cut cut = { many < AREA_PAIRS ? many : AREA_PAIRS, c->OH, c->C };
    if (many == 1) { /* rows in nearly equal parts */
        int parts = pixels / AREA_PIXELS;
        cut.rows = parts < c->OH ? (c->OH + parts - 1) / parts : 1;
    }
    int in = (cut.rows - 1) * c->stride_h + (c->KH - 1) * c->dilation_h + 1;
    size_t channel = (size_t)cut.pairs * in * (c->W + c->left + c->right) * LANES * sizeof(bf16_pair);
    size_t fit = AREA_BYTES / channel, parts = ((size_t)c->C + fit) / (fit + 1);
    cut.channels = (int)(((size_t)c->C + parts - 1) / parts);
    return cut;
}

static void weight_images(const struct conv *c, int blocks, const bf16_pair *x, const bf16_pair *dy,
                          real step, real *dw, int lo, int hi, ptrdiff_t *tap)
{
    const ptrdiff_t HP = c->H + c->top + c->bottom, WP = c->W + c->left + c->right;
    const int K = c->C * c->KH * c->KW, twos = (blocks + 1) / 2;
    const struct area_cut cut = area_cut(c);
    struct dot_area a = { .c = c, .row = WP * LANES, .step = step, .dw_row = K, .tap = tap, .dw = dw };
    a.x_two = c->C * HP * WP * LANES;
    a.dy_two = (ptrdiff_t)c->O * c->OH * c->OW * LANES;
    for (int k = 0; k < K; k++) {
        int i = k / (c->KH * c->KW), kh = k / c->KW % c->KH, kw = k % c->KW;
        tap[k] = ((i * HP + kh * c->dilation_h) * WP + kw * c->dilation_w) * LANES;
    }
    for (int at = 0; at < twos; at += a.count) {
        const bool alone = 2 * at + 1 == blocks;
        const int rows = alone ? half_rows(c) : c->OH, left = blocks / 2 - at;
        a.count = alone ? 1 : left < cut.pairs ? left : cut.pairs;
        for (int row = 0; row < rows; row += cut.rows) {
            a.rows = rows - row < cut.rows ? rows - row : cut.rows;
            a.x = x + at * a.x_two + (ptrdiff_t)row * c->stride_h * a.row;
            a.dy = dy + at * a.dy_two + (ptrdiff_t)row * c->OW * LANES;
            dot_outputs(&a, cut.channels, lo, hi);
        }
    }
}

/* Adds what some planes say: sample pairs of pixels are planes of one tap. */
static void dense_planes(const struct pair_sum *p, const bf16_pair *x, real *sums, int features, int lo,
                         int hi)
{
    struct pair_columns columns = { 0 };
    for (int i = 0; i < features; i += VEC) {
        columns.x[columns.count] = x + i;
        columns.y[columns.count++] = sums + i;
        if (columns.count == PAIR_CHUNK)
            pair_run(p, &columns, lo, hi);
    }
    if (columns.count)
        pair_run(p, &columns, lo, hi);
}

static void weight_dense(const struct conv *c, int blocks, const bf16_pair *x, const bf16_pair *dy, real step,
                         real *dw, int lo, int hi, void *scratch)
{
    const int pixels = blocks * c->OH * c->OW, features = dense_features(c);
    const struct dense_room room = dense_room(c, scratch);
    const struct pair_tap tap = { 0, 0 };
    real *sums = features == c->C ? dw : room.sums;
    struct pair_sum p = { .tap = &tap,
                          .taps = 1,
                          .x_plane = features,
                          .w_plane = OUTS,
                          .w_group = (ptrdiff_t)pixels * SAMPLE_PAIRS * OUTS,
                          .y_row = features,
                          .scale = step,
                          .add = true,
                          .panel = pixels > DENSE_PIXELS ? room.panel : NULL };
    real *first = dw + (ptrdiff_t)lo * c->C, *whole = sums + (ptrdiff_t)lo * features;
    if (sums != dw) {
        memset(whole, 0, (size_t)(hi - lo) * features * sizeof(real));
        copy_rows(whole, features, first, c->C, hi - lo, c->C);
    }
    for (int at = 0; at < pixels; at += DENSE_PIXELS) {
        p.planes = (pixels - at < DENSE_PIXELS ? pixels - at : DENSE_PIXELS) * SAMPLE_PAIRS;
        p.w = dy + (ptrdiff_t)at * SAMPLE_PAIRS * OUTS;
        dense_planes(&p, x + (ptrdiff_t)at * SAMPLE_PAIRS * features, sums, features, lo, hi);
    }
    if (sums != dw)
        copy_rows(first, c->C, whole, features, hi - lo, c->C);
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
