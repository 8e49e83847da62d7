/* magnitude.c - the baseline: the smallest weights are zero, more and more of them. */
#include "worker/prune/pruner.h"

#include <math.h>

static void magnitude_begin(double *s, const struct prune *p, int64_t steps)
{
    (void)s;
    (void)p;
    (void)steps;
}

static double magnitude_pull(const double *s)
{
    (void)s;
    return INFINITY;
}

static void magnitude_update(double *s, const struct prune *p)
{
    (void)s;
    (void)p;
}

static double magnitude_coefficient(const double *s)
{
    (void)s;
    return 0;
}

const struct pruner pruner_magnitude = {
    .name = "magnitude",
    .title = "The smallest weights, gradually",
    .source = "Zhu and Gupta, arXiv 1710.01878",
    .ramp = 0.75,
    .begin = magnitude_begin,
    .pull = magnitude_pull,
    .update = magnitude_update,
    .coefficient = magnitude_coefficient,
};
