/* lanes_weight.h - the weight gradient, and the padded copies and tap tables that all kernels share.
 *
 * Two ways, chosen by the layer alone:
 * Images: a tile of (output channels x taps) accumulates lane by lane over the pixels of a few blocks; one
 * horizontal sum, then the next blocks are added, in order.
 *
 * Dense (one output pixel): too few pixels for that. The inputs of up to four blocks are turned, so that
 * features lie in the lanes, and dw[o] grows by dy[o][sample] * x[sample] in sample order (lanes_product.h).
 *
 * Included by lanes_conv.c only. */
#ifndef WORKER_KERNELS_LANES_WEIGHT_H
#define WORKER_KERNELS_LANES_WEIGHT_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_product.h"

enum {
    WEIGHT_BLOCKS = 4,   /* blocks between two horizontal sums, and turned at once */
    DENSE_FEATURES = 96, /* turned at once: 64 samples of them fit L1 */
    TILE_TAPS = 6,
#if defined(__AVX512F__)
    LOG_TILE_OUTS = 2
#else
    LOG_TILE_OUTS = 1
#endif
};

/* Some channels of x[block][channels][h][w][LANES] seen as [H][W] images, copied when those are larger. */
struct padded {
    const real *x;
    int channels, first, count; /* of x; those wanted */
    int h, w, H, W, top, left;
    bool copied;
    real *copy; /* [blocks][count][H][W][LANES] */
};

static struct padded padded_input(const struct conv *c, const real *x, int first, int count, void *copy)
{
    struct padded p = {
        .x = x,
        .channels = c->C,
        .first = first,
        .count = count,
        .h = c->H,
        .w = c->W,
        .H = c->H + c->top + c->bottom,
        .W = c->W + c->left + c->right,
        .top = c->top,
        .left = c->left,
        .copy = copy,
    };
    p.copied = p.H > p.h || p.W > p.w;
    return p;
}

static const real *padded_source(const struct padded *p, int block)
{
    return p->x + ((ptrdiff_t)block * p->channels + p->first) * p->h * p->w * LANES;
}

/* Copy blocks [lo, hi) if they need it. */
static void padded_load(const struct padded *p, int lo, int hi)
{
    if (!p->copied)
        return;
    size_t pixel = LANES * sizeof(real), image = (size_t)p->H * p->W * pixel;
    memset(p->copy, 0, (size_t)(hi - lo) * p->count * image);
    for (int b = lo; b < hi; b++) {
        const real *from = padded_source(p, b);
        for (int i = 0; i < p->count; i++) {
            real *to = p->copy + (((ptrdiff_t)(b - lo) * p->count + i) * p->H + p->top) * p->W * LANES;
            for (int row = 0; row < p->h; row++, from += p->w * LANES)
                memcpy(to + ((ptrdiff_t)row * p->W + p->left) * LANES, from, (size_t)p->w * pixel);
        }
    }
}

/* Block b, when blocks from `loaded` on were copied. */
static const real *padded_block(const struct padded *p, int b, int loaded)
{
    return p->copied ? p->copy + (ptrdiff_t)(b - loaded) * p->count * p->H * p->W * LANES
                     : padded_source(p, b);
}

static size_t taps_bytes(const struct conv *c)
{
    size_t in = (size_t)(c->C / c->groups) * c->KH * c->KW, out = (size_t)(c->O / c->groups) * c->KH * c->KW;
    size_t steps = in > out ? in : out;
    if (steps < WEIGHT_BLOCKS * LANES)
        steps = WEIGHT_BLOCKS * LANES;
    return (steps * sizeof(struct product_step) + 63) / 64 * 64;
}

/* The steps of the forward sum over C channels of H x W images, in the weights' own order. */
static const struct product_step *taps_fill(void *at, const struct conv *c, int C, int H, int W)
{
    struct product_step *s = at;
    for (int i = 0, k = 0; i < C; i++)
        for (int kh = 0; kh < c->KH; kh++)
            for (int kw = 0; kw < c->KW; kw++, k++)
                s[k] = (struct product_step){
                    (((ptrdiff_t)i * H + kh * c->dilation_h) * W + kw * c->dilation_w) * LANES, k
                };
    return at;
}

/* The sum of a vector's lanes, always in the same tree. */
INLINE real lanes_sum(vec v)
{
    real lane[VEC] __attribute__((aligned(VEC_BYTES)));
    *(vec *)lane = v;
    for (int half = VEC / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* What the image way sums over: `blocks` images of OH x OW, given by their first elements. */
struct area {
    const struct conv *c;
    int blocks, W;                   /* W: of the padded input */
    ptrdiff_t x_block, dy_block;     /* from one block to the next */
    const real *x, *dy;              /* first channel wanted, first output of the tile */
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
        for (int oh = 0; oh < c->OH; oh++) {
            const real *x[TILE_TAPS], *dy = a->dy + b * a->dy_block + (ptrdiff_t)oh * c->OW * LANES;
            EACH (t, T)
                x[t] = a->x + b * a->x_block + (ptrdiff_t)oh * c->stride_h * a->W * LANES + a->step[t].x;
            ptrdiff_t at = 0;
            for (int ow = 0; ow < c->OW; ow++, dy += LANES, at += next)
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
            a->dw[o * a->dw_row + t] += lanes_sum(sum[o][t]);
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

/* All taps of outputs [o, o + 2^log), tiles of nearly equal width. */
static void weight_strip(const struct area *whole, int o, int log, int taps)
{
    struct area a = *whole;
    int tiles = (taps + TILE_TAPS - 1) / TILE_TAPS;
    a.dy += (ptrdiff_t)o * a.c->OH * a.c->OW * LANES;
    for (int t = 0; t < tiles; t++) {
        int lo = (int)((int64_t)taps * t / tiles), hi = (int)((int64_t)taps * (t + 1) / tiles);
        a.step = whole->step + lo;
        a.dw = whole->dw + o * a.dw_row + lo;
        weight_table[log][hi - lo - 1](&a);
    }
}

/* Outputs [lo, hi) of one group, counted from the group's first. */
static void weight_group(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int group,
                         int lo, int hi, void *scratch)
{
    int C = c->C / c->groups, O = c->O / c->groups, K = C * c->KH * c->KW;
    struct padded in = padded_input(c, x, group * C, C, (char *)scratch + taps_bytes(c));
    struct area a = { .c = c, .W = in.W, .step = taps_fill(scratch, c, C, in.H, in.W), .dw_row = K };
    a.dy_block = (ptrdiff_t)c->O * c->OH * c->OW * LANES;
    a.x_block = (in.copied ? (ptrdiff_t)C * in.H * in.W : (ptrdiff_t)c->C * c->H * c->W) * LANES;
    a.dw = dw + (ptrdiff_t)group * O * K;
    for (int at = 0; at < blocks; at += a.blocks) {
        a.blocks = blocks - at < WEIGHT_BLOCKS ? blocks - at : WEIGHT_BLOCKS;
        padded_load(&in, at, at + a.blocks);
        a.x = padded_block(&in, at, at);
        a.dy = dy + at * a.dy_block + (ptrdiff_t)group * O * c->OH * c->OW * LANES;
        for (int o = lo; o < hi;) {
            int log = LOG_TILE_OUTS;
            while (1 << log > hi - o)
                log--;
            weight_strip(&a, o, log, K);
            o += 1 << log;
        }
    }
}

/* Does every weight meet exactly one input feature? Then the layer is fully connected. */
static bool is_dense(const struct conv *c)
{
    return c->groups == 1 && c->OH * c->OW == 1 && c->KH == c->H && c->KW == c->W &&
           !(c->top | c->left | c->bottom | c->right) && (c->KH == 1 || c->dilation_h == 1) &&
           (c->KW == 1 || c->dilation_w == 1);
}

static size_t dense_bytes(const struct conv *c)
{
    return is_dense(c) ? (WEIGHT_BLOCKS * LANES * DENSE_FEATURES + (size_t)c->O * VEC) * sizeof(real) : 0;
}

/* `count` features of x[block][features][LANES] -> turned[sample][DENSE_FEATURES], filled up with zeros. */
static void turn(const real *x, int features, int first, int count, int blocks, real *turned)
{
    for (int b = 0; b < blocks; b++)
        for (int lane = 0; lane < LANES; lane++) {
            const real *from = x + ((ptrdiff_t)b * features + first) * LANES + lane;
            real *to = turned + ((ptrdiff_t)b * LANES + lane) * DENSE_FEATURES;
            for (int i = 0; i < count; i++)
                to[i] = from[(ptrdiff_t)i * LANES];
            for (int i = count; i % VEC; i++)
                to[i] = 0;
        }
}

/* The last features that don't fill a vector: through `edge`[outs][VEC]. */
static void dense_edge(const struct product *whole, const real *turned, real *dw, int features, real *edge)
{
    struct product p = *whole;
    struct columns columns = { 1, { turned }, { edge } };
    size_t bytes = (size_t)(features % VEC) * sizeof(real);
    p.y_row = VEC;
    memset(edge, 0, (size_t)p.outs * VEC * sizeof(real));
    for (int o = 0; o < p.outs; o++)
        memcpy(edge + o * VEC, dw + (ptrdiff_t)o * features, bytes);
    product_run(&p, &columns);
    for (int o = 0; o < p.outs; o++)
        memcpy(dw + (ptrdiff_t)o * features, edge + o * VEC, bytes);
}

static void weight_dense(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int lo,
                         int hi, void *scratch)
{
    int features = c->C * c->H * c->W;
    struct product_step *step = scratch;
    real *turned = (real *)((char *)scratch + taps_bytes(c));
    real *edge = turned + WEIGHT_BLOCKS * LANES * DENSE_FEATURES;
    for (int s = 0; s < WEIGHT_BLOCKS * LANES; s++)
        step[s] = (struct product_step){ (ptrdiff_t)s * DENSE_FEATURES,
                                         (ptrdiff_t)(s / LANES) * c->O * LANES + s % LANES };
    struct product p = { .step = step, .outs = hi - lo, .w_row = LANES, .y_row = features, .add = true };
    struct columns columns = { 0 };
    for (int at = 0; at < blocks; at += WEIGHT_BLOCKS) {
        int count = blocks - at < WEIGHT_BLOCKS ? blocks - at : WEIGHT_BLOCKS;
        p.rounds = 1;
        p.last = count * LANES;
        p.w = dy + ((ptrdiff_t)at * c->O + lo) * LANES;
        for (int first = 0; first < features; first += DENSE_FEATURES) {
            int width = features - first < DENSE_FEATURES ? features - first : DENSE_FEATURES, whole = 0;
            real *to = dw + (ptrdiff_t)lo * features + first;
            turn(x + (ptrdiff_t)at * features * LANES, features, first, width, count, turned);
            for (; whole + VEC <= width; whole += VEC) {
                columns.x[columns.count] = turned + whole;
                columns.y[columns.count++] = to + whole;
            }
            product_run(&p, &columns);
            if (whole < width)
                dense_edge(&p, turned + whole, to + whole, features, edge);
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
    if (dw && is_dense(c)) {
        weight_dense(c, blocks, x, dy, dw, lo, hi, scratch);
        return;
    }
    for (int o = lo; dw && o < hi;) {
        int group = o / O, end = (group + 1) * O < hi ? (group + 1) * O : hi;
        weight_group(c, blocks, x, dy, dw, group, o - group * O, end - group * O, scratch);
        o = end;
    }
}

#endif
