/* lanes_bf16_pack.h - from gradients and codes to bf16 pairs.
 *
 *      for data():    dy       [block][pair of outputs][pixel][LANES]
 *                     weights  [eight inputs][pair of outputs][tap][8]
 *      for weight():  dy       [pair of blocks][output][pixel][LANES]
 *                     x        [pair of blocks][input][padded pixel][LANES]
 *      or, dense:     dy       [eight outputs][block][pixel][pair of samples][8]
 *                     x        [block][pixel][pair of samples][inputs, filled up to LANES]
 *
 * A last block that is alone makes a pair of its upper and its lower rows (half_rows), so that no half of a
 * pair is multiplied for nothing: its dy is [output][upper pixel], its x has the rows that those see.
 *
 * Included by lanes_bf16.c only. */
#ifndef WORKER_KERNELS_LANES_BF16_PACK_H
#define WORKER_KERNELS_LANES_BF16_PACK_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_pairs.h"
#include "worker/kernels/lanes_turn.h"

enum { SAMPLE_PAIRS = LANES / 2 };

static bf16_pair *part_of(void *room, size_t bytes)
{
    return (bf16_pair *)((char *)room + bytes);
}

/* Inputs of a dense layer, filled up to whole vectors of any set. */
static int dense_features(const struct conv *c)
{
    return (c->C + LANES - 1) / LANES * LANES;
}

typedef int8_t bytes8 __attribute__((vector_size(8)));
typedef int32_t ints8 __attribute__((vector_size(32)));
typedef float floats8 __attribute__((vector_size(32)));

/* Whole numbers of at most nine bits are exact in bf16: the upper halves of their floats, in place. */
INLINE void to_float_bits(ints8 *x)
{
    *x = (ints8) __builtin_convertvector(*x, floats8);
}

/* Rows of the output in the upper part of a block that is its own pair; the lower one may have one less. */
static int half_rows(const struct conv *c)
{
    return (c->OH + 1) / 2;
}

/* Two outputs of two blocks of dy, and where they go. */
struct dy_pair {
    const real *from[2][2]; /* [block][output] */
    bf16_pair *channels[2]; /* per block; NULL: not wanted */
    bf16_pair *blocks[2];   /* per output; NULL: not wanted */
    real scale[2], *sum[2]; /* per output; per block, two sums that grow */
    int pixels;
};

INLINE real total(const vec part[PARTS])
{
    real sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += ((const real *)part)[l];
    return sum;
}

INLINE void pack_pair(const struct dy_pair *d, const int B, const int O, const bool channels,
                      const bool blocks)
{
    vec sum[2][2][PARTS] = { 0 };
    for (ptrdiff_t i = 0; i < (ptrdiff_t)d->pixels * LANES; i += LANES)
        EACH (p, PARTS) {
            vec g[2][2] = { 0 };
            ptrdiff_t at = i + p * VEC;
            EACH (b, B)
                EACH (o, O) {
                    g[b][o] = load(d->from[b][o] + at);
                    sum[b][o][p] += g[b][o];
                }
            if (blocks)
                EACH (o, O)
                    store_pairs(d->blocks[o] + at, together(g[0][o], g[1][o]));
            if (channels)
                EACH (b, B)
                    store_pairs(d->channels[b] + at,
                                side_by_side(g[b][0] * d->scale[0], g[b][1] * d->scale[1]));
        }
    EACH (b, B)
        EACH (o, O)
            d->sum[b][o] += total(sum[b][o]);
}

INLINE void pack_ways(const struct dy_pair *d, const int B, const int O)
{
    if (d->channels[0] && d->blocks[0])
        pack_pair(d, B, O, true, true);
    else if (d->channels[0])
        pack_pair(d, B, O, true, false);
    else
        pack_pair(d, B, O, false, true);
}

static void pack_any(const struct dy_pair *d, int B, int O)
{
    if (B == 2 && O == 2)
        pack_ways(d, 2, 2);
    else if (B == 2)
        pack_ways(d, 2, 1);
    else if (O == 2)
        pack_ways(d, 1, 2);
    else
        pack_ways(d, 1, 1);
}

/* One block: its upper rows and its lower ones; then the row that is without another. */
static void pack_halves(const struct conv *c, const struct dy_pair *d, int O)
{
    const ptrdiff_t row = (ptrdiff_t)c->OW * LANES;
    const int upper = half_rows(c), both = c->OH - upper;
    struct dy_pair h = *d;
    h.sum[1] = d->sum[0];
    h.channels[1] = d->channels[0] ? d->channels[0] + upper * row : NULL;
    for (int j = 0; j < O; j++)
        h.from[1][j] = d->from[0][j] + upper * row;
    h.pixels = both * c->OW;
    pack_any(&h, 2, O);
    if (upper == both)
        return;
    h.channels[0] += d->channels[0] ? both * row : 0;
    for (int j = 0; j < O; j++) {
        h.from[0][j] += both * row;
        h.blocks[j] += both * row;
    }
    h.pixels = c->OW;
    pack_any(&h, 1, O);
}

/* One block of dy with the samples side by side, in pairs. */
static void turn_dy(const struct conv *c, int blocks, int block, const real *dy, bf16_pair *to)
{
    enum { SIDE = (int)VEC < (int)OUTS ? (int)VEC : (int)OUTS };
    const ptrdiff_t pixels = (ptrdiff_t)c->OH * c->OW, group = blocks * pixels * SAMPLE_PAIRS * OUTS;
    const real *from = dy + block * c->O * pixels * LANES;
    to += block * pixels * SAMPLE_PAIRS * OUTS;
    for (int o = 0; o < c->O; o += VEC, from += VEC * pixels * LANES)
        for (ptrdiff_t i = 0; i < pixels * PARTS; i++) {
            vec r[VEC];
            EACH (j, VEC)
                r[j] = o + j < c->O ? load(from + j * pixels * LANES + i * VEC) : all(0);
            turn_square(r);
            EACH (l, VEC / 2) {
                const pairs two = side_by_side(r[2 * l], r[2 * l + 1]);
                EACH (h, VEC / SIDE)
                    if (o + h * SIDE < c->O)
                        memcpy(to + (o + h * SIDE) / OUTS * group + (i * VEC / 2 + l) * OUTS + o % OUTS,
                               (const bf16_pair *)&two + h * SIDE, SIDE * sizeof *to);
            }
        }
}

static void pack_dy(const struct conv *c, int blocks, const real *dy, const real *scale, int scales,
                    void *room, bool with_data, int lo, int hi)
{
    const struct bf16_room at = bf16_room(c, blocks);
    const ptrdiff_t plane = (ptrdiff_t)c->OH * c->OW * LANES, planes = (c->O + 1) / 2;
    const bool dense = bf16_dense(c);
    for (int two = lo; two < hi; two++) {
        int B = blocks - 2 * two < 2 ? 1 : 2;
        for (int o = 0; o < c->O; o += 2) {
            int O = c->O - o < 2 ? 1 : 2;
            struct dy_pair d = { .pixels = c->OH * c->OW };
            for (int b = 0; b < B; b++) {
                int block = 2 * two + b;
                d.sum[b] = (real *)part_of(room, at.sums) + (ptrdiff_t)block * c->O + o;
                if (with_data)
                    d.channels[b] = part_of(room, at.dy_channels) + (block * planes + o / 2) * plane;
                for (int j = 0; j < O; j++)
                    d.from[b][j] = dy + ((ptrdiff_t)block * c->O + o + j) * plane;
            }
            for (int j = 0; j < O; j++) {
                d.scale[j] = scale[scales == 1 ? 0 : o + j];
                if (!dense)
                    d.blocks[j] = part_of(room, at.dy_blocks) + ((ptrdiff_t)two * c->O + o + j) * plane;
            }
            for (int b = 0; b < B; b++)
                memset(d.sum[b], 0, (size_t)O * sizeof(real));
            if (B == 1 && !dense)
                pack_halves(c, &d, O);
            else
                pack_any(&d, B, O);
        }
        for (int b = 2 * two; dense && b < 2 * two + B; b++)
            turn_dy(c, blocks, b, dy, part_of(room, at.dy_blocks));
    }
}

/* Channel j of four: its bytes, minus zero. */
INLINE vec unpack(pairs code, int j, vec zero)
{
    typedef int32_t ints __attribute__((vector_size(VEC_BYTES)));
    return __builtin_convertvector((ints)(code >> (8 * j) & 255u), vec) - zero;
}

/* A row of pixels of channel j of four, of two images, into the middle of a padded row. NULL: it is padding.
 */
static void pack_row(const struct conv *c, const bf16_pair *one, const bf16_pair *two, bf16_pair *to, int j,
                     vec zero)
{
    const size_t pixel = LANES * sizeof *to;
    const ptrdiff_t count = (ptrdiff_t)c->W * LANES;
    memset(to, 0, (size_t)c->left * pixel);
    to += c->left * LANES;
    memset(to + count, 0, (size_t)c->right * pixel);
    for (ptrdiff_t i = 0; one && two && i < count; i += VEC)
        store_pairs(to + i,
                    together(unpack(load_pairs(one + i), j, zero), unpack(load_pairs(two + i), j, zero)));
    for (ptrdiff_t i = 0; one && !two && i < count; i += VEC)
        store_pairs(to + i, together(unpack(load_pairs(one + i), j, zero), (vec){ 0 }));
    for (ptrdiff_t i = 0; !one && two && i < count; i += VEC)
        store_pairs(to + i, together((vec){ 0 }, unpack(load_pairs(two + i), j, zero)));
    if (!one && !two)
        memset(to, 0, (size_t)count * sizeof *to);
}

/* Row h of the padded image at x; NULL: it is padding. */
static const bf16_pair *padded_row(const struct conv *c, const bf16_pair *x, int h)
{
    return h < c->top || h >= c->top + c->H ? NULL : x + (ptrdiff_t)(h - c->top) * c->W * LANES;
}

static void pack_images(const struct conv *c, int blocks, const struct coded *x, bf16_pair *to, int lo,
                        int hi)
{
    const ptrdiff_t HP = c->H + c->top + c->bottom, WP = c->W + c->left + c->right, plane = HP * WP * LANES;
    const ptrdiff_t quads = (c->C + 3) / 4, image = (ptrdiff_t)c->H * c->W * LANES;
    const vec zero = all((real)x->zero);
    for (int two = lo; two < hi; two++)
        for (int i = 0; i < c->C; i++) {
            const bool alone = 2 * two + 1 == blocks;
            const int shift = alone ? half_rows(c) * c->stride_h : 0;
            const bf16_pair *one = (const bf16_pair *)x->code + (2 * two * quads + i / 4) * image;
            const bf16_pair *other = alone ? one : one + quads * image;
            bf16_pair *out = to + ((ptrdiff_t)two * c->C + i) * plane;
            const ptrdiff_t rows = alone ? shift - c->stride_h + (c->KH - 1) * c->dilation_h + 1 : HP;
            for (int h = 0; h < rows; h++)
                pack_row(c, padded_row(c, one, h), padded_row(c, other, h + shift), out + h * WP * LANES,
                         i % 4, zero);
        }
}

/* Features [first, first + VEC) of a part of one pixel's samples, side by side, in pairs of samples. */
static void turn_part(const struct conv *c, const uint8_t *code, ptrdiff_t quad, int first, vec zero,
                      bf16_pair *to, ptrdiff_t features)
{
    vec r[VEC];
    EACH (q, VEC / 4) {
        const pairs four =
            first + 4 * q < c->C ? load_pairs((const bf16_pair *)(code + q * quad)) : (pairs){ 0 };
        EACH (j, 4)
            r[4 * q + j] = unpack(four, j, zero);
    }
    turn_square(r);
    EACH (l, VEC / 2)
        store_pairs(to + l * features, side_by_side(r[2 * l], r[2 * l + 1]));
}

/* One block with the features side by side, in pairs of samples. A pixel of four channels has a sample's in
 * four bytes. */
static void turn_x(const struct conv *c, const struct coded *x, int block, bf16_pair *to)
{
    const ptrdiff_t pixels = (ptrdiff_t)c->H * c->W, quad = pixels * LANES * 4;
    const ptrdiff_t features = dense_features(c);
    const uint8_t *code = x->code + block * ((c->C + 3) / 4) * quad;
    const vec zero = all((real)x->zero);
    to += block * pixels * SAMPLE_PAIRS * features;
    for (int f = 0; f < features; f += VEC)
        for (ptrdiff_t i = 0; i < pixels * PARTS; i++)
            turn_part(c, code + f / 4 * quad + i * VEC * 4, quad, f, zero, to + i * (VEC / 2) * features + f,
                      features);
}

static void pack_x(const struct conv *c, int blocks, const struct coded *x, void *room, int lo, int hi)
{
    bf16_pair *to = part_of(room, bf16_room(c, blocks).x);
    if (!bf16_dense(c)) {
        pack_images(c, blocks, x, to, lo, hi);
        return;
    }
    for (int b = 2 * lo; b < 2 * hi && b < blocks; b++)
        turn_x(c, x, b, to);
}

/* Up to eight weights, `step` apart: their bits as floats. */
INLINE void eight(const int8_t *w, ptrdiff_t step, int count, ints8 *bits)
{
    bytes8 b = { 0 };
    if (step == 1 && count == 8)
        memcpy(&b, w, sizeof b);
    else
        for (int i = 0; i < count; i++)
            b[i] = w[i * step];
    *bits = __builtin_convertvector(b, ints8);
    to_float_bits(bits);
}

static void pack_weights(const struct conv *c, int blocks, const int8_t *w, void *room, int lo, int hi)
{
    typedef uint32_t bits8 __attribute__((vector_size(32)));
    const ptrdiff_t planes = (c->O + 1) / 2, taps = (ptrdiff_t)c->KH * c->KW, row = c->C * taps;
    bf16_pair *to = part_of(room, bf16_room(c, blocks).weights);
    for (int i = lo; i < hi; i += OUTS) {
        int count = hi - i < OUTS ? hi - i : OUTS;
        bf16_pair *at = to + i / OUTS * planes * taps * OUTS;
        for (int o = 0; o < c->O; o += 2)
            for (ptrdiff_t t = 0; t < taps; t++, at += OUTS) {
                const int8_t *from = w + o * row + i * taps + t;
                ints8 first, second = { 0 };
                eight(from, taps, count, &first);
                if (o + 1 < c->O)
                    eight(from + row, taps, count, &second);
                bits8 pair = (bits8)first >> 16 | ((bits8)second & 0xffff0000u);
                memcpy(at, &pair, sizeof pair);
            }
    }
}

#endif
