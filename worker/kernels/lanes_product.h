/* lanes_product.h - the engine under all three convolution kernels: small sums of (scalar times vector).
 *
 *      y[out][column] = start + sum over steps k of  w[out][k] * x[column][k]
 *
 * A column is one vector of lanes (a part of one pixel of 16 samples, or 16 weights in a weight gradient);
 * the scalars are broadcast from memory. Where w and x of a step lie is said by a table of offsets, so one
 * loop does any kernel size, stride, dilation and layout. A register tile of outs x columns keeps the
 * multipliers busy. Every element is summed from step 0 upward in one accumulator, whatever tile it falls
 * into: the result depends on nothing but the instruction set.
 *
 * Included by lanes_*.c only, and so compiled once per instruction set. */
#ifndef WORKER_KERNELS_LANES_PRODUCT_H
#define WORKER_KERNELS_LANES_PRODUCT_H

#include "worker/kernels/lanes_vector.h"

#include <stdbool.h>
#include <stddef.h>

/* The tile that fits the machine's registers. */
#if defined(__AVX512F__)
enum { TILE_COLUMNS = 6 };
#elif defined(__AVX2__)
enum { TILE_COLUMNS = 3 };
#else
enum { TILE_COLUMNS = 2 };
#endif
enum {
    TALL_COLUMNS = TILE_COLUMNS / 2, /* up to so many columns a tile has eight outs instead of four */
    CHUNK = 48 * PARTS               /* columns between two passes over the weights */
};

/* Where the two factors of one step lie, in elements from the column's x and from the out's w. */
struct product_step {
    ptrdiff_t x, w;
};

struct product {
    const struct product_step *step;
    int rounds, steps, last; /* the table is gone through again and again; steps of all rounds but the last */
    ptrdiff_t x_round, w_round; /* from one round to the next */
    int outs;
    const real *w;
    ptrdiff_t w_row, y_row; /* from one out to the next */
    bool packed;            /* the scalars of four outs lie side by side, w_row apart from four to four */
    const real *bias;       /* per out, or NULL */
    bool add;               /* start from what is in y */
    const struct product_panel *panel; /* or NULL */
};

/* In a 1x1 layer each step reads another channel, often at so even a distance that they drive each other out
 * of the cache. So a tile's columns are copied side by side once, and all outs read them there. */
struct product_panel {
    real *x;                         /* [step][TILE_COLUMNS] */
    const struct product_step *step; /* the product's, with x there */
    ptrdiff_t source;                /* from one step to the next in the product's own x */
};

struct columns {
    int count;
    const real *x[CHUNK];
    real *y[CHUNK];
};

INLINE const real *product_scalars(const struct product *p, int out)
{
    return p->packed ? p->w + out / 4 * p->w_row + out % 4 : p->w + out * p->w_row;
}

INLINE void tile(const struct product *p, const real *const *x, real *const *y, int out, const int O,
                 const int P)
{
    const real *w[8], *in[TILE_COLUMNS];
    vec sum[8][TILE_COLUMNS], v[TILE_COLUMNS];
    EACH (j, P)
        in[j] = x[j];
    EACH (i, O) {
        w[i] = product_scalars(p, out + i);
        real start = p->bias ? p->bias[out + i] : 0;
        EACH (j, P)
            if (p->add)
                sum[i][j] = *(const vec_any *)(y[j] + (out + i) * p->y_row);
            else
                sum[i][j] = (vec){ 0 } + start;
    }
    for (int round = 0; round < p->rounds; round++) {
        const struct product_step *end = p->step + (round + 1 < p->rounds ? p->steps : p->last);
        for (const struct product_step *s = p->step; s < end; s++) {
            EACH (j, P)
                v[j] = *(const vec *)(in[j] + s->x);
            EACH (i, O) {
                real scalar = w[i][s->w];
                EACH (j, P)
                    sum[i][j] += scalar * v[j];
            }
        }
        EACH (j, P)
            in[j] += p->x_round;
        EACH (i, O)
            w[i] += p->w_round;
    }
    EACH (i, O)
        EACH (j, P)
            *(vec_any *)(y[j] + (out + i) * p->y_row) = sum[i][j];
}

typedef void tile_fn(const struct product *p, const real *const *x, real *const *y, int out);

#define TILE(O, P)                                                                                           \
    static void tile_##O##_##P(const struct product *p, const real *const *x, real *const *y, int out)       \
    {                                                                                                        \
        tile(p, x, y, out, O, P);                                                                            \
    }
#define TILES(P)    TILE(1, P) TILE(2, P) TILE(4, P)
#define ROW(P)      tile_1_##P, tile_2_##P, tile_4_##P, NULL
#define ROW_TALL(P) tile_1_##P, tile_2_##P, tile_4_##P, tile_8_##P

TILES(1)
TILES(2)
TILE(8, 1)
#if defined(__AVX512F__)
TILE(8, 2)
TILES(3)
TILE(8, 3)
TILES(4)
TILES(5)
TILES(6)
#elif defined(__AVX2__)
TILES(3)
#endif

/* By columns - 1 and by the logarithm of outs. */
static tile_fn *const tile_table[TILE_COLUMNS][4] = {
#if defined(__AVX512F__)
    { ROW_TALL(1) }, { ROW_TALL(2) }, { ROW_TALL(3) }, { ROW(4) }, { ROW(5) }, { ROW(6) },
#elif defined(__AVX2__)
    { ROW_TALL(1) },
    { ROW(2) },
    { ROW(3) },
#else
    { ROW_TALL(1) },
    { ROW(2) },
#endif
};

static void panel_fill(const struct product *p, const real *const *x, int columns)
{
    const real *from[TILE_COLUMNS];
    real *to = p->panel->x;
    EACH (j, TILE_COLUMNS) /* always as many, with the last one again */
        from[j] = x[j < columns ? j : columns - 1] + p->step->x;
    for (int k = (p->rounds - 1) * p->steps + p->last; k > 0; k--, to += TILE_COLUMNS * VEC)
        EACH (j, TILE_COLUMNS) {
            store(to + j * VEC, load(from[j]));
            from[j] += p->panel->source;
        }
}

/* All outs of one tile's columns, tiles of 2^tallest outs and, at the end, of fewer. */
static void tile_run(const struct product *p, const real *const *x, real *const *y, int columns, int tallest)
{
    for (int out = 0, log = tallest; out < p->outs; out += 1 << log) {
        while (1 << log > p->outs - out)
            log--;
        tile_table[columns - 1][log](p, x, y, out);
    }
}

static void panel_run(const struct product *p, const real *const *x, real *const *y, int columns, int tallest)
{
    struct product from = *p;
    const real *here[TILE_COLUMNS];
    panel_fill(p, x, columns);
    from.step = p->panel->step;
    from.x_round = (ptrdiff_t)p->steps * TILE_COLUMNS * VEC;
    EACH (j, TILE_COLUMNS)
        here[j] = p->panel->x + j * VEC;
    tile_run(&from, here, y, columns, tallest);
}

/* Empties the columns: tiles of nearly equal width, all outs of one before the next, so that its x stay near.
 */
static void product_run(const struct product *p, struct columns *c)
{
    int tiles = (c->count + TILE_COLUMNS - 1) / TILE_COLUMNS, tallest = c->count <= TALL_COLUMNS ? 3 : 2;
    for (int t = 0; t < tiles; t++) {
        int lo = c->count * t / tiles, hi = c->count * (t + 1) / tiles;
        (p->panel && p->rounds ? panel_run : tile_run)(p, c->x + lo, c->y + lo, hi - lo, tallest);
    }
    c->count = 0;
}

/* Add the vectors of one pixel. */
INLINE void product_pixel(const struct product *p, struct columns *c, const real *x, real *y)
{
    if (c->count + PARTS > CHUNK)
        product_run(p, c);
    for (int part = 0; part < PARTS; part++) {
        c->x[c->count] = x + part * VEC;
        c->y[c->count++] = y + part * VEC;
    }
}

#endif
