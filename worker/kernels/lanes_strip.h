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
    AHEAD = 2,       /* squares between asking memory for pixels and using them; 4 measured alike */
    TILE_STRIDE =
        (PLANES + 1) * LANES, /* odd in cache lines: one point of all tiles is spread over the cache */
    CHANNEL_STRIDE = STRIP_TILES * TILE_STRIDE /* points lie [channel][tile][point][LANES] */
};

/* Tiles that are worked on together: where they are. */
struct strip {
    int count, m; /* outputs of a tile along an axis */
    ptrdiff_t block[STRIP_TILES];
    struct square in[STRIP_TILES], out[STRIP_TILES];
};

static void strip_take(struct strip *s, const struct conv *c, const struct tiling *t, ptrdiff_t at,
                       ptrdiff_t end)
{
    s->m = t->m;
    s->count = end - at < STRIP_TILES ? (int)(end - at) : STRIP_TILES;
    for (int i = 0; i < s->count; i++) {
        int tile = (int)((at + i) % t->tiles), row = tile / t->columns * t->m,
            column = tile % t->columns * t->m;
        s->block[i] = (at + i) / t->tiles;
        s->in[i] = (struct square){ c->H, c->W, row - c->top, column - c->left };
        s->out[i] = (struct square){ c->OH, c->OW, row, column };
    }
}

/* Ask for the pixels that are worked on so many squares after this one. A row of a square is a few cache
 * lines and the next lies elsewhere, so the machine does not see by itself what comes. */
INLINE void strip_fetch(const struct strip *s, const struct square *square, int n, int channels, int count,
                        int channel, int tile, const bool write, const real *x)
{
    const int next = tile + AHEAD, c = channel + next / s->count, i = next % s->count;
    const struct square *q = &square[i];
    const int left = q->column < 0 ? 0 : q->column, right = q->column + n < q->W ? q->column + n : q->W;
    if (c >= count)
        return;
    x += (s->block[i] * channels + c) * (ptrdiff_t)q->H * q->W * LANES;
    for (int h = q->row < 0 ? 0 : q->row; h < q->row + n && h < q->H; h++)
        for (int w = left; w < right; w++)
            if (write)
                __builtin_prefetch(x + ((ptrdiff_t)h * q->W + w) * LANES, 1);
            else
                __builtin_prefetch(x + ((ptrdiff_t)h * q->W + w) * LANES, 0);
}

/* Points of `count` channels of the strip; x is the first of them in block 0, of `channels`. Tiles of one
 * channel are neighbours in memory, so channels are the outer loop. */
INLINE void strip_spread(const struct strip *s, const struct square *square, const enum line kind,
                         const int n, int channels, int count, const real *x, real *to)
{
    ptrdiff_t pixels = (ptrdiff_t)square->H * square->W * LANES;
    for (int c = 0; c < count; c++)
        for (int i = 0; i < s->count; i++) {
            strip_fetch(s, square, n, channels, count, c, i, false, x);
            square_spread(kind, n, &square[i], x + (s->block[i] * channels + c) * pixels,
                          to + c * CHANNEL_STRIDE + i * TILE_STRIDE);
        }
}

/* And back: written plus a bias, or added. */
INLINE void strip_collect(const struct strip *s, const struct square *square, const enum line kind,
                          const int n, int channels, int count, const bool add, const real *bias,
                          const real *from, real *y)
{
    ptrdiff_t pixels = (ptrdiff_t)square->H * square->W * LANES;
    for (int c = 0; c < count; c++)
        for (int i = 0; i < s->count; i++) {
            strip_fetch(s, square, n, channels, count, c, i, true, y);
            square_collect(kind, n, &square[i], from + c * CHANNEL_STRIDE + i * TILE_STRIDE, add,
                           bias ? bias[c] : 0, y + (s->block[i] * channels + c) * pixels);
        }
}

static void strip_spread_input(const struct strip *s, const struct conv *c, const real *x, real *to)
{
    strip_spread(s, s->in, LINE_INPUT, POINTS, c->C, c->C, x, to);
}

#ifndef QUANTD_DOUBLE
/* Of codes, without their step. */
static void strip_spread_codes(const struct strip *s, const struct conv *c, const struct coded *x, real *to)
{
    const ptrdiff_t image = (ptrdiff_t)c->H * c->W * LANES * 4, quads = (c->C + 3) / 4;
    for (int ch = 0; ch < c->C; ch++)
        for (int i = 0; i < s->count; i++)
            square_spread_codes(&s->in[i], x->code + (s->block[i] * quads + ch / 4) * image, ch % 4, x->zero,
                                to + ch * CHANNEL_STRIDE + i * TILE_STRIDE);
}
#endif

/* Of `count` outputs. */
static void strip_spread_output(const struct strip *s, const struct conv *c, int count, const real *dy,
                                real *to)
{
    if (s->m == 4)
        strip_spread(s, s->out, LINE_VALUES, 4, c->O, count, dy, to);
    else
        strip_spread(s, s->out, LINE_VALUES, 2, c->O, count, dy, to);
}

static void strip_collect_output(const struct strip *s, const struct conv *c, int count, const real *bias,
                                 const real *from, real *y)
{
    if (s->m == 4)
        strip_collect(s, s->out, LINE_VALUES_BACK, 4, c->O, count, false, bias, from, y);
    else
        strip_collect(s, s->out, LINE_VALUES_BACK, 2, c->O, count, false, bias, from, y);
}

static void strip_collect_input(const struct strip *s, const struct conv *c, int count, const real *from,
                                real *dx)
{
    strip_collect(s, s->in, LINE_INPUT_BACK, POINTS, c->C, count, true, NULL, from, dx);
}

#endif
