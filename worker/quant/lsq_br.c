/* lsq_br.c - LSQ with bin regularization (Han et al., ICCV 2021).
 *
 * The weights of a layer that have code i are bin V_i; its target is i s. Added to the loss is
 *
 *      m sum_i [ (mean(V_i) - i s)^2 + var(V_i) ]  =  m sum_i 1 / |V_i| sum_{w in V_i} (w - i s)^2
 *
 * so a bin weighs the same however few weights it has. Assignments and targets are held:
 *
 *      dL/dw = 2 m / |V_i| (w - i s)
 *
 * Steps follow the task alone. The gradient of the bins in them would be - sum_i 2 i m / |V_i| sum_{w in V_i}
 * (w - i s). With it bins that were regularized late (ResNet-20 at 2 bits, 4 epochs, from 0.85 on) cost 2.4
 * points and stayed as wide as they were; with the steps held from there on, 0.1 points, at 0.66 of the
 * variance.
 *
 * m is lambda N / T: N is the mean size of the layer's bins, T the run's steps times rate over 1 - momentum.
 * Both are ours: the paper is said to have lambda alone, which freezes the few weights of a depthwise layer
 * long before it moves those of a large one (MobileNetV2 at 2 bits lost 2.5 points so, and its bins kept 0.7
 * of their variance). So is the bound of N / |V_i|: the only weight of a bin would be thrown across it.
 *
 * The steps must have settled before their multiples can be targets: the regularizer sleeps for a share of
 * the run and then rises in a line. From then on the steps either go on learning (the paper's strategy S2) or
 * are held (S1). Where a channel has its own step, a bin is still one of the layer. Layers of more than 4
 * bits are left alone: their bins would hold few weights each. */
#include "worker/quant/method.h"

enum { STEP, BEGIN, FULL, LAMBDA, HOLD };

#define MOST 4.0 /* times as hard as in a bin of mean size */

static void bins_begin(double *s, const struct quant *q, const struct regularizer_settings *settings)
{
    (void)q;
    s[STEP] = 0;
    s[BEGIN] = settings->warmup * (double)settings->steps;
    s[FULL] = s[BEGIN] + settings->ramp * (double)settings->steps;
    s[LAMBDA] = settings->bins / settings->travel;
    s[HOLD] = settings->hold;
}

static double bins_coefficient(const double *s)
{
    if (s[STEP] < s[BEGIN])
        return 0;
    return s[STEP] < s[FULL] ? s[LAMBDA] * (s[STEP] - s[BEGIN]) / (s[FULL] - s[BEGIN]) : s[LAMBDA];
}

static bool bins_holds(const double *s)
{
    return s[HOLD] != 0 && s[STEP] >= s[BEGIN];
}

static void bins_backward(const double *s, const struct quant *q, const struct quant_chunk *c, const real *x,
                          real *g)
{
    const struct quant_weight *w = &q->weight[c->weight];
    const struct quant_bins *bins = &q->layer_bins[c->weight];
    const real *value = q->q + c->offset;
    const int8_t *code = q->code + c->offset;
    const double lambda = bins_coefficient(s);
    const struct grid_rule rule = grid_rule(w->grid, w->bits, 1);
    double each[QUANT_LEVELS], mean = 0;
    int used = 0;

    if (lambda == 0 || w->bits > 4)
        return;
    for (int k = 0; k < QUANT_LEVELS; k++) {
        mean += (double)bins->count[k];
        used += bins->count[k] > 0;
    }
    mean /= used > 0 ? used : 1;
    for (int k = 0; k < QUANT_LEVELS; k++)
        each[k] = 2 * lambda * fmin(mean / fmax((double)bins->count[k], 1), MOST);
    for (size_t i = 0; i < c->count * c->stride; i += c->stride)
        g[i] += (real)(each[(code[i] - rule.low) >> rule.odd] * ((double)x[i] - (double)value[i]));
}

static void bins_update(double *s, const struct quant *q)
{
    (void)q;
    s[STEP] += 1;
}

const struct regularizer regularizer_bins = {
    .name = "bins",
    .begin = bins_begin,
    .backward = bins_backward,
    .holds = bins_holds,
    .update = bins_update,
    .coefficient = bins_coefficient,
};

const struct method method_lsq_br = {
    .name = "lsq-br",
    .title = "Learned step sizes with bin regularization",
    .source = "Han, Li, Liu, Tian, Shan, ICCV 2021",
    .weight_bits = { 1, 8 },
    .activation_bits = { 2, 8 },
    .grids = method_grids,
    .granularities = method_layer_first,
    .learns = true,
    .bins = true,
    .quantizer = method_uniform,
    .start = method_fit,
    .backward = lsq_backward,
    .activation = method_activation,
    .regularizer = &regularizer_bins,
};
