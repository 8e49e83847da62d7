#include "worker/quant/coefficient.h"

#include <math.h>

enum { OMEGA, FIRST, SECOND, STEP, LAMBDA, RATE, OMEGA_MAX };

#define BETA1     0.9
#define BETA2     0.999
#define RAMP_PART 0.75 /* of the run: when the coefficient may reach its cap at the earliest */

void coefficient_begin(double s[COEFFICIENT_STATE], double lambda, int64_t steps)
{
    s[OMEGA] = s[FIRST] = s[SECOND] = s[STEP] = 0;
    s[LAMBDA] = lambda;
    s[OMEGA_MAX] = log(lambda / 1e-8);
    s[RATE] = s[OMEGA_MAX] / (RAMP_PART * (double)(steps > 0 ? steps : 1));
}

void coefficient_hold(double s[COEFFICIENT_STATE], double alpha)
{
    s[OMEGA] = s[OMEGA_MAX] = log(alpha);
    s[FIRST] = s[SECOND] = s[STEP] = s[LAMBDA] = s[RATE] = 0;
}

double coefficient_value(const double s[COEFFICIENT_STATE])
{
    return exp(s[OMEGA]);
}

void coefficient_update(double s[COEFFICIENT_STATE], double penalty)
{
    const double gradient = exp(s[OMEGA]) * penalty - s[LAMBDA];

    s[STEP] += 1;
    s[FIRST] = BETA1 * s[FIRST] + (1 - BETA1) * gradient;
    s[SECOND] = BETA2 * s[SECOND] + (1 - BETA2) * gradient * gradient;
    const double first = s[FIRST] / (1 - pow(BETA1, s[STEP])), second = s[SECOND] / (1 - pow(BETA2, s[STEP]));
    s[OMEGA] -= s[RATE] * first / (sqrt(second) + 1e-12);
    if (s[OMEGA] > s[OMEGA_MAX])
        s[OMEGA] = s[OMEGA_MAX];
}
