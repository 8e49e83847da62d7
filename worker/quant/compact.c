#include "worker/quant/compact.h"

#include <math.h>
#include <stdlib.h>

real compact_round(real x, int mantissa)
{
    int exponent;

    if (x == 0 || !isfinite(x))
        return x;
    const double m =
        frexp((double)x, &exponent); /* 0.5 to 1: one bit more than the mantissa stands in front */
    return (real)ldexp(rint(ldexp(m, mantissa + 1)), exponent - mantissa - 1);
}

void compact_scales(struct quant *q)
{
    for (int i = 0; i < q->scales; i++)
        q->scale[i] = compact_round(q->scale[i], COMPACT_STEP);
}

/* The step of least mantissa that holds the largest bias. */
static int code_bias(struct graph *g, struct value *v, struct err *e)
{
    const int high = (1 << (COMPACT_BIAS_BITS - 1)) - 1;
    const size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset, most = 0;

    for (size_t i = 0; i < count; i++)
        most = real_fabs(b[i]) > most ? real_fabs(b[i]) : most;
    if (!isfinite(most))
        return 0;
    real step = compact_round(most / (real)high, COMPACT_STEP);
    if (!(step > (real)1e-30))
        step = 1;
    struct value_codes *c =
        value_codes_new(&(struct value_codes){ .bits = COMPACT_BIAS_BITS, .axis = -1, .channels = 1 }, count);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    c->scale[0] = (float)step;
    for (size_t i = 0; i < count; i++) {
        const real k = real_rint(b[i] / step);
        c->code[i] = (int32_t)(k > (real)high ? (real)high : k < (real)-high ? (real)-high : k);
        b[i] = (real)c->code[i] * step;
    }
    v->codes = c;
    return 0;
}

int compact_graph(struct graph *g, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(g, &layers, &count, e);

    for (int i = 0; !status && i < count; i++)
        if (layers[i].bias >= 0 && !g->value[layers[i].bias].codes)
            status = code_bias(g, &g->value[layers[i].bias], e);
    for (int v = 0; !status && v < g->values; v++) {
        const struct value *value = &g->value[v];
        if (value->kind != VALUE_PARAM || value->codes || value->shape.rank > 1)
            continue;
        for (int64_t i = 0; i < shape_count(&value->shape); i++)
            g->param[value->offset + (size_t)i] =
                compact_round(g->param[value->offset + (size_t)i], COMPACT_MANTISSA);
    }
    free(layers);
    return status;
}
