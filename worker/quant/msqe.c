/* msqe.c - mean squared quantization error with a learnable coefficient (Choi et al., arXiv 1809.00095).
 *
 * R = 1/N sum (w - Q(w))^2 over all quantized weights of the network; its coefficient alpha grows as it falls
 * (coefficient.h). The pull on the weights is the proximal step of alpha R with a step size eta of its own,
 * t = 2 eta alpha / N, eta = PULLS R0 N / (2 steps). A coefficient that is not learned stays at c / R0, with
 * which distances shrink by e^(-PULLS c) in the whole run; c = 0 is training without the regularizer. */
#include "worker/quant/coefficient.h"
#include "worker/quant/method.h"

enum { ETA = COEFFICIENT_STATE };

static void msqe_begin(double *s, const struct quant *q, const struct regularizer_settings *settings)
{
    const double count = (double)(settings->steps > 0 ? settings->steps : 1);

    if (settings->coefficient < 0)
        coefficient_begin(s, settings->lambda, settings->steps);
    else
        coefficient_hold(s, q->error > 0 ? settings->coefficient / q->error : 0);
    s[ETA] = COEFFICIENT_PULLS * q->error * (double)q->total / (2 * count);
}

static double msqe_pull(const double *s, const struct quant *q)
{
    return q->total > 0 ? 2 * s[ETA] * coefficient_value(s) / (double)q->total : 0;
}

static void msqe_update(double *s, const struct quant *q)
{
    coefficient_update(s, q->error);
}

const struct regularizer regularizer_msqe = {
    .name = "msqe",
    .pull = msqe_pull,
    .begin = msqe_begin,
    .update = msqe_update,
    .coefficient = coefficient_value,
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
