/* weight_pairs.h - the weight gradient of a convolution, summed up for each pair of blocks apart where that
 * is better (tiles_part in worker/kernels/tiles.h): backward_prepare makes the sums of its pairs, in memory
 * that all threads share, backward_reduce adds them in their order. So the bits don't depend on the number of
 * threads. */
#ifndef WORKER_OP_WEIGHT_PAIRS_H
#define WORKER_OP_WEIGHT_PAIRS_H

#include "worker/kernels/tiles.h"

#include <stddef.h>

/* What all pairs take, as an operator's room() for so many blocks; 0 where they are not summed apart. */
size_t weight_pairs_bytes(const struct conv *c, int blocks);

/* The gradient [O][C / groups][KH][KW] of one pair, set to zero. */
real *weight_pairs_clear(const struct conv *c, void *room, int pair);

/* dw[o...] += what all pairs have, for outputs [lo, hi). */
void weight_pairs_add(const struct conv *c, const void *room, int blocks, real *dw, int lo, int hi);

#endif
