/* msqe.c - mean squared quantization error with a learnable coefficient.
 *
 * Cost (Choi et al., arXiv 1809.00095):  C = E + alpha R - lambda log alpha,  alpha = e^omega,
 * with R = 1/N sum (w - Q(w))^2 over all quantized weights of the network. dC/domega = alpha R - lambda, so
 * that alpha* = lambda / R: the coefficient grows exactly as fast as the error shrinks, and the weights
 * really reach the grid. omega is moved by Adam; it is capped at ln(lambda / 1e-8), where a plain gradient
 * step would be far from stable: therefore the pull on the weights is the exact proximal step of alpha R,
 * which has the same fixed point and is stable for any strength. */
#include "worker/quant/method.h"

enum { OMEGA, FIRST, SECOND, STEP, LAMBDA, RATE, OMEGA_MAX };

#define BETA1     0.9
#define BETA2     0.999
#define RAMP_PART 0.75 /* of the run: when the coefficient may reach its cap at the earliest */

static void msqe_begin(double *s, const struct quant *q, double lambda, int64_t steps)
{
    (void)q;
    s[OMEGA] = s[FIRST] = s[SECOND] = s[STEP] = 0;
    s[LAMBDA] = lambda;
    s[OMEGA_MAX] = log(lambda / 1e-8);
    s[RATE] = s[OMEGA_MAX] / (RAMP_PART * (double)(steps > 0 ? steps : 1));
}

static double msqe_coefficient(const double *s)
{
    return exp(s[OMEGA]);
}

static double msqe_cost(const double *s, const struct quant *q)
{
    return exp(s[OMEGA]) * q->error - s[LAMBDA] * s[OMEGA];
}

static double msqe_pull(const double *s, const struct quant *q, double lr)
{
    return q->total > 0 ? 2 * lr * exp(s[OMEGA]) / (double)q->total : 0;
}

static void msqe_update(double *s, const struct quant *q)
{
    double gradient = exp(s[OMEGA]) * q->error - s[LAMBDA];

    s[STEP] += 1;
    s[FIRST] = BETA1 * s[FIRST] + (1 - BETA1) * gradient;
    s[SECOND] = BETA2 * s[SECOND] + (1 - BETA2) * gradient * gradient;
    double first = s[FIRST] / (1 - pow(BETA1, s[STEP])), second = s[SECOND] / (1 - pow(BETA2, s[STEP]));
    s[OMEGA] -= s[RATE] * first / (sqrt(second) + 1e-12);
    if (s[OMEGA] > s[OMEGA_MAX])
        s[OMEGA] = s[OMEGA_MAX];
}

const struct regularizer regularizer_msqe = {
    .name = "msqe",
    .cost = msqe_cost,
    .pull = msqe_pull,
    .begin = msqe_begin,
    .update = msqe_update,
    .coefficient = msqe_coefficient,
};
