/* lamp.c - sums over all that is larger, from a histogram over the floats' highest bits instead of a sort. */
#include "worker/prune/lamp.h"

#include <stdint.h>
#include <string.h>

enum { MANTISSA = 5, BINS = 1 << (8 + MANTISSA) };

static size_t bin_of(float x)
{
    uint32_t key;

    memcpy(&key, &x, sizeof key);
    return (key & 0x7fffffff) >> (23 - MANTISSA);
}

void lamp_scores(float *x, size_t count)
{
    double above[BINS] = { 0 };

    for (size_t i = 0; i < count; i++)
        above[bin_of(x[i])] += (double)x[i] * (double)x[i];
    for (size_t b = BINS - 1; b-- > 0;)
        above[b] += above[b + 1];
    for (size_t i = 0; i < count; i++)
        if (x[i] > 0)
            x[i] = (float)((double)x[i] * (double)x[i] / above[bin_of(x[i])]);
}
