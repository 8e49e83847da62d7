/* rank.h - the k smallest of many numbers. */
#ifndef WORKER_PRUNE_RANK_H
#define WORKER_PRUNE_RANK_H

#include <stddef.h>

/* Where the k smallest of count numbers >= 0 end: every number below *value is among them, and the first
 * *ties (in order) of those equal to it. k <= count; k = 0: *value = 0, *ties = 0. O(count), no allocation.
 */
void rank_smallest(const float *x, size_t count, size_t k, float *value, size_t *ties);

#endif
