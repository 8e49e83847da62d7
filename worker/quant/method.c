#include "worker/quant/method.h"

const struct method *const method_list[] = { &method_msqe,    &method_lsq, &method_lsq_br,
                                             &method_lq_nets, &method_ptq, NULL };

const char *const method_grids[] = { "sym", "twos", "midrise", NULL };
const char *const method_layer_first[] = { "layer", "channel", NULL };

const struct method *method_find(const char *name)
{
    for (const struct method *const *m = method_list; *m; m++)
        if (strcmp((*m)->name, name) == 0)
            return *m;
    return NULL;
}

const struct quantizer *method_uniform(int bits)
{
    (void)bits;
    return &quantizer_uniform;
}

void method_fit(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale)
{
    w->quantizer->fit(w, x, count, stride, scale);
}

void method_refit(struct quant *q, const struct quant_weight *w, int c)
{
    w->quantizer->refit(w, &q->sums[w->channel + c], q->bins ? &q->bins[w->channel + c] : NULL,
                        w->scale + c * w->width);
}

double method_activation_error(const real *x, size_t count, real step, int lowest, int highest)
{
    const real low = (real)lowest, high = (real)highest;
    double error = 0;

    for (size_t i = 0; i < count; i++) {
        real k = real_rint(x[i] / step);
        k = k < low ? low : k > high ? high : k;
        double d = (double)(x[i] - k * step);
        error += d * d;
    }
    return error;
}

real method_activation(const real *x, size_t count, int low, int high)
{
    real top = 0;

    for (size_t i = 0; i < count; i++) {
        real a = x[i] > 0 ? x[i] / (real)high : low < 0 ? x[i] / (real)low : 0;
        top = a > top ? a : top;
    }
    if (!(top > 0))
        return (real)1 / (real)high; /* never anything but zero */
    double best_error = -1;
    real best = top;
    /* from no clipping at all downward in steps of 3 %, until two octaves below the best */
    for (real step = top; step > top / 128 && step > best / 4; step *= (real)0.97) {
        double error = method_activation_error(x, count, step, low, high);
        if (best_error < 0 || error < best_error) {
            best_error = error;
            best = step;
        }
    }
    return best;
}
