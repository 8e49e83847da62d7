/* lsq.c - learned step size quantization (Esser et al., arXiv 1902.08153).
 *
 *      q = s clip(rint(w / s), Q_N, Q_P)
 *      dq/dw = 1 inside the range, else 0                                                  (equation 5)
 *      dq/ds = rint(w / s) - w / s inside the range, Q_N or Q_P outside                    (equation 3)
 *      the gradient of s is multiplied by 1 / sqrt(N Q_P), N weights that share s          (section 2.2)
 *
 * [RULE] s starts where the squared error is least, of weights and activations. The paper's start, 2 mean|w|
 * / sqrt(Q_P) (section 2.1), is half as large again at two bits, and at 8 bits three standard deviations of a
 * normal distribution are a sixth of the grid; its slow steps don't make up for either in a short run:
 * tests/reproduce/RESULTS.md.
 *
 * [RULE] Grid midrise has no zero: the nearest odd number takes rint's place, s is half a step.
 *
 * The paper has one step per layer; per channel, N is that of the channel. It has no binary
 * weights: with one bit q = s sign(w), whose slope in s is sign(w); the gradient goes straight through. */
#include "worker/quant/method.h"

double lsq_factor(const struct quant_weight *w)
{
    return 1 / sqrt((double)w->count / w->channels * w->grid->high(w->bits));
}

/* Partial sums lane by lane keep the loop vertical; they are added in lane order. */
static inline double backward(const struct grid_rule *r, const real *x, real *g, size_t count, size_t stride,
                              const bool odd)
{
    const real low = (real)r->low, high = (real)r->high;
    double sum[LANES] = { 0 }, total = 0;

    for (size_t i = 0; i < count; i += LANES) {
        const size_t n = count - i < LANES ? count - i : LANES;
        for (size_t j = 0; j < n; j++) {
            const size_t at = (i + j) * stride;
            const real u = x[at] / r->scale, inside = u < low ? 0 : u > high ? 0 : 1;
            const real level = odd ? 2 * real_floor(u / 2) + 1 : real_rint(u);
            const real slope = u < low ? low : u > high ? high : level - u;
            sum[j] += (double)g[at] * (double)slope;
            g[at] *= inside;
        }
    }
    for (int j = 0; j < LANES; j++)
        total += sum[j];
    return total;
}

static double backward_binary(const real *x, const real *g, size_t count, size_t stride)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)(x[i * stride] < 0 ? -g[i * stride] : g[i * stride]);
    return sum;
}

double lsq_backward(const struct quant_weight *w, const real *scale, const real *x, real *g, size_t count,
                    size_t stride)
{
    const struct grid_rule r = grid_rule(w->grid, w->bits, *scale);
    const double factor = lsq_factor(w);

    if (w->bits == 1)
        return factor * backward_binary(x, g, count, stride);
    if (w->grid->odd)
        return factor * backward(&r, x, g, count, stride, true);
    return factor *
           (stride == 1 ? backward(&r, x, g, count, 1, false) : backward(&r, x, g, count, stride, false));
}

const struct method method_lsq = {
    .name = "lsq",
    .title = "Learned step sizes",
    .source = "Esser et al., arXiv 1902.08153",
    .weight_bits = { 1, 8 },
    .activation_bits = { 2, 8 },
    .grids = method_grids,
    .granularities = method_layer_first,
    .learns = true,
    .quantizer = method_uniform,
    .start = method_fit,
    .backward = lsq_backward,
    .activation = method_activation,
};
