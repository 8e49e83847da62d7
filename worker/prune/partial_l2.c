/* partial_l2.c - an L2 penalty on the weights below a percentile alone, with a learnable coefficient (Choi et
 * al., arXiv 1809.00095).
 *
 * P = 1/N sum of w^2 over the weights whose magnitude is below the r-th percentile; its coefficient grows as
 * it falls (worker/quant/coefficient.h), so that the doomed really reach zero. The others are left alone,
 * which is the difference to plain L2. */
#include "worker/prune/pruner.h"
#include "worker/quant/coefficient.h"

enum { REACH = COEFFICIENT_STATE };

static void partial_begin(double *s, const struct prune *p, int64_t steps)
{
    coefficient_begin(s, p->rule.lambda, steps);
    s[REACH] = COEFFICIENT_PULLS * p->energy / (double)(steps > 0 ? steps : 1);
}

static double partial_pull(const double *s)
{
    return s[REACH] * coefficient_value(s);
}

static void partial_update(double *s, const struct prune *p)
{
    coefficient_update(s, p->energy);
}

const struct pruner pruner_partial_l2 = {
    .name = "partial-l2",
    .title = "Partial L2 regularization with a learnable coefficient",
    .source = "Choi, El-Khamy, Lee, arXiv 1809.00095",
    .begin = partial_begin,
    .pull = partial_pull,
    .update = partial_update,
    .coefficient = coefficient_value,
};
