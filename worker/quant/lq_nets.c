/* lq_nets.c - learned bases for weights and activations (LQ-Nets, Zhang et al., arXiv 1807.10029).
 *
 * Weights have a basis per output channel (or, if asked, per layer), activations one per layer (levels.c),
 * both found by one alternation of QEM a step: the nearest levels, then least squares for the basis
 * (section 3.2, algorithm 1). The forward pass uses the stored basis; the new one enters by a moving average.
 * Gradients of weights go straight through, those of activations up to the greatest level (section 3.3). No
 * basis gets one, but for those of activations where the job asks for it (quant_options.basis_learns).
 *
 * Widths beyond 4 bits (first and last layer) are uniform with closed-form scales; such activations have a
 * learned step. Activations that may be negative have the encodings of weights, {-1,+1}. */
#include "worker/quant/basis.h"
#include "worker/quant/method.h"

static const char *const sym_only[] = { "sym", NULL };
static const char *const channel_first[] = { "channel", "layer", NULL };

static bool narrow(int bits)
{
    return bits <= BASIS_BITS;
}

static const struct quantizer *lq_quantizer(int bits)
{
    return narrow(bits) ? &quantizer_basis : &quantizer_uniform;
}

static void lq_rescale(struct quant *q, const struct quant_weight *w, int c)
{
    real *scale = w->scale + c * w->width, fresh[BASIS_BITS];
    const size_t at = (size_t)(scale - q->scale);
    double now[BASIS_BITS];

    memcpy(fresh, scale, (size_t)w->width * sizeof *fresh);
    w->quantizer->refit(w, &q->sums[w->channel + c], &q->bins[w->channel + c], fresh);
    for (int k = 0; k < w->width; k++)
        now[k] = (double)fresh[k];
    basis_average(q->memory[0] + at, q->memory[1] + at, now, w->width, scale);
}

const struct method method_lq_nets = {
    .name = "lq-nets",
    .title = "Learned bases, made for bit operations",
    .source = "Zhang, Yang, Ye, Hua, arXiv 1807.10029",
    .weight_bits = { 1, BASIS_BITS },
    .activation_bits = { 1, 8 },
    .grids = sym_only,
    .granularities = channel_first,
    .bins = true,
    .quantizer = lq_quantizer,
    .start = method_fit,
    .rescale = lq_rescale,
    .activation_basis = narrow,
    .activation = method_activation,
};
