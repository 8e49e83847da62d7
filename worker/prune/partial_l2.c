/* partial_l2.c - an L2 penalty on the weights below a percentile alone, with a learnable coefficient.
 *
 * Cost (Choi et al., arXiv 1809.00095):  C = E + gamma P - lambda log gamma,  gamma = e^zeta,
 * P = 1/N sum of w^2 over the weights whose magnitude is below the r-th percentile. The others are left
 * alone, which is the difference to plain L2. dC/dzeta = gamma P - lambda: gamma grows as fast as P falls,
 * so that the doomed really reach zero. zeta is moved by Adam and capped at ln(lambda / 1e-8), the pull is
 * the exact proximal step with a step size of its own, both as in quant/msqe.c and for the same reasons. */
#include "worker/prune/pruner.h"

#include <math.h>

enum { ZETA, FIRST, SECOND, STEP, LAMBDA, RATE, ZETA_MAX, REACH };

#define BETA1     0.9
#define BETA2     0.999
#define RAMP_PART 0.75 /* of the run: when the coefficient may reach its cap at the earliest */
#define PULLS     8.0

static void partial_begin(double *s, const struct prune *p, int64_t steps)
{
    const double lambda = p->rule.lambda, count = (double)(steps > 0 ? steps : 1);

    s[ZETA] = s[FIRST] = s[SECOND] = s[STEP] = 0;
    s[LAMBDA] = lambda;
    s[ZETA_MAX] = log(lambda / 1e-8);
    s[RATE] = s[ZETA_MAX] / (RAMP_PART * count);
    s[REACH] = PULLS * p->energy / count;
}

static double partial_coefficient(const double *s)
{
    return exp(s[ZETA]);
}

static double partial_pull(const double *s)
{
    return s[REACH] * exp(s[ZETA]);
}

static void partial_update(double *s, const struct prune *p)
{
    const double gradient = exp(s[ZETA]) * p->energy - s[LAMBDA];

    s[STEP] += 1;
    s[FIRST] = BETA1 * s[FIRST] + (1 - BETA1) * gradient;
    s[SECOND] = BETA2 * s[SECOND] + (1 - BETA2) * gradient * gradient;
    const double first = s[FIRST] / (1 - pow(BETA1, s[STEP])), second = s[SECOND] / (1 - pow(BETA2, s[STEP]));
    s[ZETA] -= s[RATE] * first / (sqrt(second) + 1e-12);
    if (s[ZETA] > s[ZETA_MAX])
        s[ZETA] = s[ZETA_MAX];
}

const struct pruner pruner_partial_l2 = {
    .name = "partial-l2",
    .title = "Partial L2 regularization with a learnable coefficient",
    .source = "Choi, El-Khamy, Lee, arXiv 1809.00095",
    .begin = partial_begin,
    .pull = partial_pull,
    .update = partial_update,
    .coefficient = partial_coefficient,
};
