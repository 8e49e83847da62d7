/* magnitude.c - the baseline: the smallest weights are zero, more and more of them. The share grows by
 * Zhu and Gupta's cubic (arXiv 1710.01878), s (1 - (1 - t)^3), and is whole after RAMP_PART of the run. */
#include "worker/prune/pruner.h"

#include <math.h>

#define RAMP_PART 0.75

static void magnitude_begin(double *s, const struct prune *p, int64_t steps)
{
    (void)s;
    (void)p;
    (void)steps;
}

static double magnitude_share(double sparsity, double progress)
{
    const double left = progress < RAMP_PART ? 1 - progress / RAMP_PART : 0;

    return sparsity * (1 - left * left * left);
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
    .begin = magnitude_begin,
    .share = magnitude_share,
    .pull = magnitude_pull,
    .update = magnitude_update,
    .coefficient = magnitude_coefficient,
};
