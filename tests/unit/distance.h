/* distance.h - how far one vector is from another. */
#ifndef TESTS_UNIT_DISTANCE_H
#define TESTS_UNIT_DISTANCE_H

#include "worker/real.h"

#include <math.h>
#include <stddef.h>

/* |a - b| / |b| in the Euclidean norm. */
static inline double distance(const real *a, const real *b, size_t count)
{
    double far = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        far += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(far / size);
}

#endif
