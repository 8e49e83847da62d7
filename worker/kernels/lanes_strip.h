/* lanes_strip.h - a strip of tiles: neighbours that are worked on together, few enough for their points to
 * stay in the second cache.
 *
 * Included by lanes_tiles.c only. */
#ifndef WORKER_KERNELS_LANES_STRIP_H
#define WORKER_KERNELS_LANES_STRIP_H

#include "worker/kernels/lanes_winograd.h"
#include "worker/kernels/tiles.h"

enum {
    STRIP_TILES = 6, /* a register tile's columns; more or fewer measured alike */
    STRIP_OUTS = 32, /* outs whose points are held at a time */
    TILE_STRIDE =
        (PLANES + 1) * LANES, /* odd in cache lines: one point of all tiles is spread over the cache */
    CHANNEL_STRIDE = STRIP_TILES * TILE_STRIDE /* points lie [channel][tile][point][LANES] */
};

/* Tiles that are worked on together: where they are. */
struct strip {
    int count;
    ptrdiff_t block[STRIP_TILES];
    struct square in[STRIP_TILES], out[STRIP_TILES];
};

static void strip_take(struct strip *s, const struct conv *c, const struct tiling *t, ptrdiff_t at,
                       ptrdiff_t end)
{
    s->count = end - at < STRIP_TILES ? (int)(end - at) : STRIP_TILES;
    for (int i = 0; i < s->count; i++) {
        int tile = (int)((at + i) % t->tiles), row = tile / t->columns * t->m,
            column = tile % t->columns * t->m;
        s->block[i] = (at + i) / t->tiles;
        s->in[i] = (struct square){ c->H, c->W, row - c->top, column - c->left };
        s->out[i] = (struct square){ c->OH, c->OW, row, column };
    }
}

/* Points of `count` channels of the strip; x is the first of them in block 0, of `channels`. Tiles of one
 * channel are neighbours in memory, so channels are the outer loop. */
INLINE void strip_spread(const struct strip *s, const struct square *square, const enum line kind,
                         const int n, int channels, int count, const real *x, real *to)
{
    ptrdiff_t pixels = (ptrdiff_t)square->H * square->W * LANES;
    for (int c = 0; c < count; c++)
        for (int i = 0; i < s->count; i++)
            square_spread(kind, n, &square[i], x + (s->block[i] * channels + c) * pixels,
                          to + c * CHANNEL_STRIDE + i * TILE_STRIDE);
}

/* And back: written plus a bias, or added. */
INLINE void strip_collect(const struct strip *s, const struct square *square, const enum line kind,
                          const int n, int channels, int count, const bool add, const real *bias,
                          const real *from, real *y)
{
    ptrdiff_t pixels = (ptrdiff_t)square->H * square->W * LANES;
    for (int c = 0; c < count; c++)
        for (int i = 0; i < s->count; i++)
            square_collect(kind, n, &square[i], from + c * CHANNEL_STRIDE + i * TILE_STRIDE, add,
                           bias ? bias[c] : 0, y + (s->block[i] * channels + c) * pixels);
}

#endif
