/* msqe.c - mean squared quantization error with a learnable coefficient.
 *
 * Cost (Choi et al., arXiv 1809.00095):  C = E + alpha R - lambda log alpha,  alpha = e^omega,
 * with R = 1/N sum (w - Q(w))^2 over all quantized weights of the network. dC/domega = alpha R - lambda, so
 * that alpha* = lambda / R: the coefficient grows exactly as fast as the error shrinks, and the weights
 * really reach the grid. omega is moved by Adam and capped at ln(lambda / 1e-8).
 *
 * The pull on the weights is the exact proximal step of alpha R with a step size eta of its own, t = 2 eta
 * alpha / N: the same fixed point as a gradient step, stable for any strength. eta = PULLS R0 N / (2 steps),
 * with R0 the error at the start, makes lambda mean the same for any network and any length of the run: at
 * alpha = lambda / R0 the distances to the grid would shrink by e^(-PULLS lambda) in the whole run, and ever
 * faster as R falls. Measured on LeNet-5: with the task's learning rate instead, runs of less than 7 epochs
 * never reached the grid. */
#include "worker/quant/method.h"

enum { OMEGA, FIRST, SECOND, STEP, LAMBDA, RATE, OMEGA_MAX, ETA };

#define BETA1     0.9
#define BETA2     0.999
#define RAMP_PART 0.75 /* of the run: when the coefficient may reach its cap at the earliest */
#define PULLS     8.0

static void msqe_begin(double *s, const struct quant *q, const struct regularizer_settings *settings)
{
    const double count = (double)(settings->steps > 0 ? settings->steps : 1), lambda = settings->lambda;

    s[OMEGA] = s[FIRST] = s[SECOND] = s[STEP] = 0;
    s[LAMBDA] = lambda;
    s[OMEGA_MAX] = log(lambda / 1e-8);
    s[RATE] = s[OMEGA_MAX] / (RAMP_PART * count);
    s[ETA] = PULLS * q->error * (double)q->total / (2 * count);
}

static double msqe_coefficient(const double *s)
{
    return exp(s[OMEGA]);
}

static double msqe_pull(const double *s, const struct quant *q)
{
    return q->total > 0 ? 2 * s[ETA] * exp(s[OMEGA]) / (double)q->total : 0;
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
    .pull = msqe_pull,
    .begin = msqe_begin,
    .update = msqe_update,
    .coefficient = msqe_coefficient,
};

const struct method method_msqe = {
    .name = "msqe",
    .title = "MSQE regularization with a learnable coefficient",
    .source = "Choi, El-Khamy, Lee, arXiv 1809.00095",
    .weight_bits = { 1, 8 },
    .activation_bits = { 2, 8 },
    .grids = method_grids,
    .granularities = method_layer_first,
    .quantizer = method_uniform,
    .start = method_fit,
    .rescale = method_refit,
    .activation = method_activation,
    .regularizer = &regularizer_msqe,
};
