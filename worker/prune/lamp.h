/* lamp.h - magnitudes that can be compared between layers. */
#ifndef WORKER_PRUNE_LAMP_H
#define WORKER_PRUNE_LAMP_H

#include <stddef.h>
#include <stdint.h>

/* Magnitudes x[count] >= 0 of one layer become their squares' share of all that is at least as large,
 *
 *     x_i^2 / sum of x_j^2 over x_j >= x_i        Lee et al., arXiv 2010.07611, equation 4
 *
 * (of equal ones the later counts as larger), which does not depend on the layer's scale and leaves every
 * layer its largest weights: the largest has 1. Order within the layer stays. count < 2^32. scratch:
 * 2 * count numbers. O(count). */
void lamp_scores(float *x, size_t count, uint64_t *scratch);

#endif
