/* lanes_pairs.h - vectors of bf16 pairs, and the engine of sums of (scalar pair times vector of pairs):
 *
 *      y[out][column] (+)= scale * sum over planes p and taps t of  w[out][p][t] . x[column][p][t]
 *
 * A column is one vector of pairs; scalars are broadcast from memory, eight outs side by side. Every element
 * is summed plane by plane, tap by tap in one accumulator, whatever tile it falls into.
 *
 * Included by lanes_bf16.c only, and so compiled once per instruction set. */
#ifndef WORKER_KERNELS_LANES_PAIRS_H
#define WORKER_KERNELS_LANES_PAIRS_H

#include "worker/kernels/bf16.h"
#include "worker/kernels/lanes_vector.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

typedef bf16_pair pairs __attribute__((vector_size(VEC_BYTES), may_alias));
typedef uint16_t halves __attribute__((vector_size(VEC_BYTES), may_alias));

INLINE pairs load_pairs(const bf16_pair *x)
{
    return *(const pairs *)x;
}

INLINE void store_pairs(bf16_pair *y, pairs v)
{
    *(pairs *)y = v;
}

/* sum + a.first * b.first + a.second * b.second */
INLINE vec dot(vec sum, pairs a, pairs b)
{
#if defined(__AVX512BF16__)
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    sum += (vec)(a & 0xffff0000u) * (vec)(b & 0xffff0000u);
    return sum + (vec)(a << 16) * (vec)(b << 16);
#endif
}

/* To bf16 in the upper half; what is below is rest. A NaN stays one. */
INLINE pairs round_bits(vec x)
{
    pairs bits = (pairs)x;
    return bits + 0x7fffu + (bits >> 16 & 1u);
}

/* Lane by lane (first, second). */
INLINE pairs side_by_side(vec first, vec second)
{
    return round_bits(first) >> 16 | (round_bits(second) & 0xffff0000u);
}

/* The same numbers in any order, as long as it is always this one: for sums over all of them. */
INLINE pairs together(vec first, vec second)
{
#if defined(__AVX512BF16__)
    return (pairs)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
#else
    return side_by_side(first, second);
#endif
}

/* The tile that fits the machine's registers. */
#if defined(__AVX512F__)
enum { PAIR_COLUMNS = 6 };
#elif defined(__AVX2__)
enum { PAIR_COLUMNS = 3 };
#else
enum { PAIR_COLUMNS = 2 };
#endif
enum {
    PAIR_TALL = PAIR_COLUMNS / 2, /* up to so many columns a tile has eight outs instead of four */
    PAIR_CHUNK = 48 * PARTS,      /* columns between two passes over the scalars */
    OUTS = 8                      /* whose scalars stand side by side */
};

/* Where the factors of one tap lie, in pairs from the plane's start. */
struct pair_tap {
    ptrdiff_t x, w;
};

struct pair_sum {
    const struct pair_tap *tap;
    int taps, planes, outs;
    ptrdiff_t x_plane, w_plane, w_group; /* to the next plane; to the next eight outs */
    const bf16_pair *w;
    ptrdiff_t y_row; /* from one out to the next */
    real scale;      /* of the sum */
    bool add;        /* to what is in y */
    bf16_pair
        *panel; /* [plane][PAIR_COLUMNS], where there is but one tap (1x1); or NULL. As in lanes_product.h */
};

struct pair_columns {
    int count;
    const bf16_pair *x[PAIR_CHUNK];
    real *y[PAIR_CHUNK];
};

INLINE void pair_tile(const struct pair_sum *p, const bf16_pair *const *x, real *const *y, int out,
                      const int O, const int P)
{
    const bf16_pair *w = p->w + out / OUTS * p->w_group + out % OUTS, *in[PAIR_COLUMNS];
    const struct pair_tap *end = p->tap + p->taps;
    vec sum[OUTS][PAIR_COLUMNS];
    pairs v[PAIR_COLUMNS];
    EACH (j, P)
        in[j] = x[j];
    EACH (i, O)
        EACH (j, P)
            sum[i][j] = (vec){ 0 };
    ptrdiff_t at = 0;
    for (int plane = 0; plane < p->planes; plane++, at += p->x_plane, w += p->w_plane)
        for (const struct pair_tap *t = p->tap; t < end; t++) {
            const bf16_pair *scalar = w + t->w;
            EACH (j, P)
                v[j] = load_pairs(in[j] + at + t->x);
            EACH (i, O) {
                pairs s = (pairs){ 0 } + scalar[i];
                EACH (j, P)
                    sum[i][j] = dot(sum[i][j], s, v[j]);
            }
        }
    EACH (i, O)
        EACH (j, P)
            if (p->add)
                *(vec_any *)(y[j] + (out + i) * p->y_row) += sum[i][j] * p->scale;
            else
                *(vec_any *)(y[j] + (out + i) * p->y_row) = sum[i][j] * p->scale;
}

typedef void pair_fn(const struct pair_sum *p, const bf16_pair *const *x, real *const *y, int out);

#define PAIR_TILE(O, P)                                                                                      \
    static void pair_tile_##O##_##P(const struct pair_sum *p, const bf16_pair *const *x, real *const *y,     \
                                    int out)                                                                 \
    {                                                                                                        \
        pair_tile(p, x, y, out, O, P);                                                                       \
    }
#define PAIR_TILES(P)    PAIR_TILE(1, P) PAIR_TILE(2, P) PAIR_TILE(4, P)
#define PAIR_ROW(P)      pair_tile_1_##P, pair_tile_2_##P, pair_tile_4_##P, NULL
#define PAIR_ROW_TALL(P) pair_tile_1_##P, pair_tile_2_##P, pair_tile_4_##P, pair_tile_8_##P

PAIR_TILES(1)
PAIR_TILES(2)
PAIR_TILE(8, 1)
#if defined(__AVX512F__)
PAIR_TILE(8, 2)
PAIR_TILES(3)
PAIR_TILE(8, 3)
PAIR_TILES(4)
PAIR_TILES(5)
PAIR_TILES(6)
#elif defined(__AVX2__)
PAIR_TILES(3)
#endif

/* By columns - 1 and by the logarithm of outs. */
static pair_fn *const pair_table[PAIR_COLUMNS][4] = {
#if defined(__AVX512F__)
    { PAIR_ROW_TALL(1) }, { PAIR_ROW_TALL(2) }, { PAIR_ROW_TALL(3) },
    { PAIR_ROW(4) },      { PAIR_ROW(5) },      { PAIR_ROW(6) },
#elif defined(__AVX2__)
    { PAIR_ROW_TALL(1) },
    { PAIR_ROW(2) },
    { PAIR_ROW(3) },
#else
    { PAIR_ROW_TALL(1) },
    { PAIR_ROW(2) },
#endif
};

static void pair_panel(const struct pair_sum *p, const bf16_pair *const *x, int columns)
{
    const bf16_pair *from[PAIR_COLUMNS];
    bf16_pair *to = p->panel;
    EACH (j, PAIR_COLUMNS) /* always as many, with the last one again */
        from[j] = x[j < columns ? j : columns - 1];
    for (int plane = 0; plane < p->planes; plane++, to += PAIR_COLUMNS * VEC)
        EACH (j, PAIR_COLUMNS) {
            store_pairs(to + j * VEC, load_pairs(from[j]));
            from[j] += p->x_plane;
        }
}

/* Outs [lo, hi) of one tile's columns. */
static void pair_outs(const struct pair_sum *p, const bf16_pair *const *x, real *const *y, int columns,
                      int tallest, int lo, int hi)
{
    struct pair_sum from = *p;
    const bf16_pair *here[PAIR_COLUMNS];
    if (p->panel) {
        pair_panel(p, x, columns);
        from.x_plane = PAIR_COLUMNS * VEC;
        EACH (j, PAIR_COLUMNS)
            here[j] = p->panel + j * VEC;
    }
    for (int out = lo, log; out < hi; out += 1 << log) {
        log = tallest;
        while (1 << log > hi - out || out % OUTS + (1 << log) > OUTS)
            log--;
        pair_table[columns - 1][log](&from, p->panel ? here : x, y, out);
    }
}

/* All columns times outs [lo, hi); empties the columns. */
static void pair_run(const struct pair_sum *p, struct pair_columns *c, int lo, int hi)
{
    int tallest = c->count <= PAIR_TALL ? 3 : 2, tiles = (c->count + PAIR_COLUMNS - 1) / PAIR_COLUMNS;
    for (int t = 0; t < tiles; t++) {
        int first = c->count * t / tiles, end = c->count * (t + 1) / tiles;
        pair_outs(p, c->x + first, c->y + first, end - first, tallest, lo, hi);
    }
    c->count = 0;
}

#endif
