/* tiles.h - one picture in sixteen lanes: it is cut into 4 x 4 tiles, and lane 4 * i + j has the one in row i
 * and column j. Tiles are as large as a side's quarter, rounded up; what lies outside of the picture then is
 * worth nothing until it is patched. So a network's steps run on one sample as they do on sixteen, on a
 * sixteenth of the pixels. */
#ifndef WORKER_ENGINE_TILES_H
#define WORKER_ENGINE_TILES_H

#include "base/err.h"
#include "worker/kernels/fixed.h"

enum { GRID = 4 };

static inline int tile_side(int side)
{
    return (side + GRID - 1) / GRID;
}

struct activation;

/* The patches that make margins and ragged ends of a tiled activation what they would be in a whole picture.
 * ERR_NOMEM. */
int tiles_margins(const struct activation *t, struct patch **list, int *count, struct err *e);

/* The convolution of a tile, from that of the whole picture. True: it finds its pixels where the tiles of its
 * input lie, and its padding is the margins that it needs. Else it is one without padding, of windows that
 * are gathered first, by patches. */
bool tiles_conv(const struct activation *in, const struct conv *whole, struct conv *tile);
int tiles_window(const struct activation *in, const struct conv *whole, struct patch **list, int *count,
                 struct err *e);

/* Where the number (c, h, w) of a tiled activation lies: pixel * LANES + lane. */
size_t tiles_place(const struct activation *t, int c, int h, int w);

/* Does it move a whole pixel, or nothing at all? */
bool patch_is_straight(const struct patch *p);

/* An operator that moves numbers, as patches of all its output. moved: for each element of the output one
 * more than the element of the input that it is, 0: none; LANES apart. ERR_NOMEM. */
int tiles_move(const struct activation *in, const struct activation *out, const real *moved,
               struct patch **list, int *count, struct err *e);

#endif
