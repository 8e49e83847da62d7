/* tiles.h - run an image network over pictures of any size, with pieces of one picture side by side in the
 * lanes.
 *
 *      +---------+-----+---------+        All tiles have the same size and overlap. At the border of the
 *      |  kept   | 2h  |  kept   |        picture a tile ends where the picture ends, so the network's own
 *      |  of  1  |     |  of  2  |        padding is at work there; towards a neighbour h = halo pixels (see
 *      +---------+-----+---------+        reach.h) are computed and dropped.
 *
 * So every pixel that is kept is what the whole picture in one lane would give, without its 15 idle lanes.
 * Networks whose reach is not known get the whole picture in one lane. */
#ifndef WORKER_TRAIN_TILES_H
#define WORKER_TRAIN_TILES_H

#include "worker/graph/net.h"

struct tiles_options {
    const struct kernels *kernels;
    struct pool *pool; /* borrowed; more threads, more tiles at once */
    size_t limit; /* bytes that a net of tiles may take, 0: no limit; a picture that can't be cut takes what
                     it takes. ERR_MEMORY when even the smallest tiles take more */
    bool whole;   /* never cut: for comparison */
};

struct tiles;

/* A copy of g is made, which must be finished, take (C,H,W) and give (C',scale H,scale W). */
int tiles_new(const struct graph *g, const struct tiles_options *o, struct tiles **t, struct err *e);
void tiles_free(struct tiles *t); /* NULL is fine */

int tiles_scale(const struct tiles *t);
struct graph *tiles_graph(struct tiles *t); /* the copy, to set its parameters */

/* x [C][height][width] to y [C'][scale height][scale width]. */
int tiles_run(struct tiles *t, int height, int width, const real *x, real *y, struct err *e);

/* The planner's figure for pictures of that size: the net that tiles_run would make. */
int tiles_bytes(struct tiles *t, int height, int width, size_t *bytes, struct err *e);

/* How such a picture is cut: tiles and their size, for those who are curious. */
struct tiles_cut {
    int rows, columns, height, width;
};
int tiles_cut(struct tiles *t, int height, int width, struct tiles_cut *cut, struct err *e);

#endif
