/* reach.h - how far the pixels lie that one output pixel depends on, read off the graph.
 *
 *     output pixel p  <-  input pixels  p / scale - halo .. p / scale + halo
 *
 * What lies outside an image counts as the padding of every layer, so a piece that is cut out of an image
 * gives the same output as the whole, but for `halo` pixels along the edges where it was cut. */
#ifndef WORKER_TRAIN_REACH_H
#define WORKER_TRAIN_REACH_H

#include "worker/graph/graph.h"

struct reach {
    int halo;  /* input pixels */
    int scale; /* output pixels per input pixel, in each direction */
    int step;  /* pieces must begin at multiples of it: the product of the strides on the way */
};

/* (C,H,W) to (C',scale H, scale W). False when some node may look at the whole image (global pooling,
 * flattening, softmax over space) or is not known to this function. */
bool reach_of(const struct graph *g, struct reach *r);

#endif
