/* lanes_tiles_weight.h - the weight gradient by Winograd's tiles: at each of 36 points the products of output
 * gradients and inputs of a strip are summed, lane by lane in registers, then across the lanes, and added to
 * those of the strips before; at the end the sums are turned into gradients of the taps. Strips begin with
 * the first block whatever outputs are wanted, so the order of a sum is one.
 *
 * Included by lanes_tiles.c only. */
#ifndef WORKER_KERNELS_LANES_TILES_WEIGHT_H
#define WORKER_KERNELS_LANES_TILES_WEIGHT_H

#include "worker/kernels/lanes_strip.h"
#include "worker/kernels/lanes_turn.h"

enum {
#if defined(__AVX512F__)
    PAIR_OUTS = 4, /* a register tile has so many output channels */
#else
    PAIR_OUTS = 2,
#endif
    PAIR_INS = 4,                 /* and so many input channels, */
    PAIRS = PAIR_OUTS * PAIR_INS, /* whose sums lie side by side */
    WEIGHT_OUTS = 64              /* outputs for which the inputs' points are made once */
};

static int fours(int channels)
{
    return (channels + 3) / 4;
}

/* Points of inputs and of STRIP_OUTS output gradients (of channels that fill up fours, anything: their sums
 * are not read), and the sums: [point][outputs / PAIR_OUTS][inputs / PAIR_INS][PAIRS]. */
struct weight_room {
    real *in, *out, *sum;
    ptrdiff_t plane; /* sums from one point to the next */
};

static ptrdiff_t weight_plane(const struct conv *c)
{
    return (ptrdiff_t)fours(c->O < WEIGHT_OUTS ? c->O : WEIGHT_OUTS) * fours(c->C) * 16;
}

static size_t weight_bytes(const struct conv *c)
{
    return (((size_t)fours(c->C) * 4 + STRIP_OUTS) * CHANNEL_STRIDE + PLANES * (size_t)weight_plane(c)) *
           sizeof(real);
}

static struct weight_room weight_room(const struct conv *c, void *scratch)
{
    struct weight_room r = { .in = scratch, .plane = weight_plane(c) };
    r.out = r.in + (ptrdiff_t)fours(c->C) * 4 * CHANNEL_STRIDE;
    r.sum = r.out + (ptrdiff_t)STRIP_OUTS * CHANNEL_STRIDE;
    return r;
}

/* One register tile: `tiles` products of one point. */
INLINE void weight_pairs(const real *in, const real *out, int tiles, real *to)
{
    vec sum[PAIRS], x[PAIR_INS];
    EACH (i, PAIRS)
        sum[i] = all(0);
    for (int t = 0; t < tiles; t++, in += TILE_STRIDE, out += TILE_STRIDE)
        for (int part = 0; part < LANES; part += VEC) {
            EACH (i, PAIR_INS)
                x[i] = load(in + i * CHANNEL_STRIDE + part);
            EACH (o, PAIR_OUTS) {
                vec g = load(out + o * CHANNEL_STRIDE + part);
                EACH (i, PAIR_INS)
                    sum[o * PAIR_INS + i] += g * x[i];
            }
        }
    EACH (i, PAIRS / VEC)
        store(to + i * VEC, load(to + i * VEC) + turn_sums(sum + i * VEC));
}

static void strip_spread_any(const struct strip *s, const struct conv *c, const real *x,
                             const struct coded *code, real *to)
{
#ifndef QUANTD_DOUBLE
    if (code) {
        strip_spread_codes(s, c, code, to);
        return;
    }
#endif
    (void)code;
    strip_spread_input(s, c, x, to);
}

/* A strip's products for outputs [first, first + outs) of those that the sums are for. */
static void weight_strip(const struct conv *c, const struct weight_room *r, int first, int outs, int tiles)
{
    for (int point = 0; point < PLANES; point++)
        for (int o = 0; o < outs; o += PAIR_OUTS) {
            real *to = r->sum + point * r->plane + (ptrdiff_t)(first + o) * fours(c->C) * PAIR_INS;
            for (int i = 0; i < c->C; i += PAIR_INS, to += PAIRS)
                weight_pairs(r->in + i * (ptrdiff_t)CHANNEL_STRIDE + point * LANES,
                             r->out + o * (ptrdiff_t)CHANNEL_STRIDE + point * LANES, tiles, to);
        }
}

/* VEC sums of every point, from the first on, to gradients; dw is that of the first output. */
INLINE void weight_collect(const struct conv *c, const int taps, const struct weight_room *r, ptrdiff_t first,
                           int outs, real factor, real *dw)
{
    real lane[LONGEST * LONGEST][VEC] __attribute__((aligned(VEC_BYTES)));
    vec tap[LONGEST][LONGEST], point[POINTS][POINTS];
    EACH (i, POINTS)
        EACH (j, POINTS)
            point[i][j] =
                load(r->sum + (i * POINTS + j) * r->plane + first) * (point_scale[i] * point_scale[j]);
    from_points(LINE_VALUES_BACK, taps, point, tap);
    EACH (i, taps)
        EACH (j, taps)
            store(lane[i * taps + j], tap[i][j] * factor);
    for (int v = 0; v < VEC; v++) {
        ptrdiff_t at = first + v, pair = at / PAIRS;
        int o = (int)(pair / fours(c->C) * PAIR_OUTS + at % PAIRS / PAIR_INS);
        int i = (int)(pair % fours(c->C) * PAIR_INS + at % PAIR_INS);
        for (int k = 0; k < taps * taps && o < outs && i < c->C; k++)
            dw[((ptrdiff_t)o * c->C + i) * taps * taps + k] += lane[k][v];
    }
}

/* x: the input as numbers, or NULL; then it is factor * code, and code says where. */
static void weight_from(const struct conv *c, int blocks, const real *x, const struct coded *code,
                        real factor, const real *dy, real *dw, int lo, int hi, void *scratch)
{
    const ptrdiff_t pixels = (ptrdiff_t)c->OH * c->OW * LANES, tap = (ptrdiff_t)c->C * c->KH * c->KW;
    const struct tiling t = tiles_of(c);
    const struct weight_room r = weight_room(c, scratch);
    struct strip s;
    for (int o = lo; o < hi; o += WEIGHT_OUTS) {
        int all_outs = hi - o < WEIGHT_OUTS ? hi - o : WEIGHT_OUTS;
        memset(r.sum, 0, PLANES * (size_t)r.plane * sizeof *r.sum);
        for (ptrdiff_t at = 0, end = (ptrdiff_t)blocks * t.tiles; at < end; at += s.count) {
            strip_take(&s, c, &t, at, end);
            strip_spread_any(&s, c, x, code, r.in);
            for (int first = 0; first < all_outs; first += STRIP_OUTS) {
                int outs = all_outs - first < STRIP_OUTS ? all_outs - first : STRIP_OUTS;
                strip_spread_output(&s, c, outs, dy + (o + first) * pixels, r.out);
                weight_strip(c, &r, first, outs, s.count);
            }
        }
        for (ptrdiff_t i = 0; i < (ptrdiff_t)fours(all_outs) * fours(c->C) * 16; i += VEC)
            if (c->KH == 3)
                weight_collect(c, 3, &r, i, all_outs, factor, dw + o * tap);
            else
                weight_collect(c, 5, &r, i, all_outs, factor, dw + o * tap);
    }
}

static void weight_gradient(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int lo,
                            int hi, void *scratch)
{
    weight_from(c, blocks, x, NULL, 1, dy, dw, lo, hi, scratch);
}

#ifndef QUANTD_DOUBLE
static void coded_weight_gradient(const struct conv *c, int blocks, const struct coded *x, real step,
                                  const real *dy, real *dw, int lo, int hi, void *scratch)
{
    weight_from(c, blocks, NULL, x, step, dy, dw, lo, hi, scratch);
}
#endif

#endif
