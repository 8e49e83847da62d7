#include "worker/quant/compact.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Biases x[count] of v as codes of so many bits, with the step of least mantissa that holds the largest. */
static int code_bias(struct graph *g, struct value *v, const real *x, int bits, struct err *e)
{
    const int high = (1 << (bits - 1)) - 1;
    const size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset, most = 0;

    for (size_t i = 0; i < count; i++)
        most = real_fabs(x[i]) > most ? real_fabs(x[i]) : most;
    if (!isfinite(most))
        return 0;
    real step = compact_round(most / (real)high, COMPACT_STEP);
    if (!(step > (real)1e-30))
        step = 1;
    struct value_codes *c =
        value_codes_new(&(struct value_codes){ .bits = bits, .axis = -1, .channels = 1 }, count);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    c->scale[0] = (float)step;
    for (size_t i = 0; i < count; i++) {
        const real k = real_rint(x[i] / step);
        c->code[i] = (int32_t)(k > (real)high ? (real)high : k < (real)-high ? (real)-high : k);
        b[i] = (real)c->code[i] * step;
    }
    value_codes_free(v->codes);
    v->codes = c;
    return 0;
}

/* The biases that are to have codes, and what they were. */
struct biases {
    int *value, count;
    real *x; /* one after the other */
};

static void biases_free(struct biases *b)
{
    free(b->value);
    free(b->x);
}

static int find_biases(struct biases *b, struct graph *g, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(g, &layers, &count, e);
    size_t at = 0;

    *b = (struct biases){ 0 };
    if (status)
        return status;
    b->value = mem_array((size_t)count + 1, sizeof *b->value);
    b->x = mem_array(g->param_count + 1, sizeof *b->x);
    if (!b->value || !b->x)
        status = err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; !status && i < count; i++) {
        const struct value *v = layers[i].bias >= 0 ? &g->value[layers[i].bias] : NULL;
        if (!v || v->codes)
            continue;
        b->value[b->count++] = layers[i].bias;
        memcpy(b->x + at, g->param + v->offset, (size_t)shape_count(&v->shape) * sizeof *b->x);
        at += (size_t)shape_count(&v->shape);
    }
    free(layers);
    return status;
}

static int code_biases(const struct biases *b, struct graph *g, int bits, struct err *e)
{
    const real *x = b->x;
    int status = 0;

    for (int i = 0; !status && i < b->count; i++) {
        struct value *v = &g->value[b->value[i]];
        status = code_bias(g, v, x, bits, e);
        x += shape_count(&v->shape);
    }
    return status;
}

static int choose_width(const struct biases *b, struct graph *g, const struct compact_judge *judge,
                        struct err *e)
{
    double least = INFINITY, cost;
    int best = COMPACT_BIAS_MOST, status = 0;

    for (int bits = COMPACT_BIAS_MOST; !status && judge && b->count && bits >= COMPACT_BIAS_LEAST; bits--) {
        status = code_biases(b, g, bits, e);
        if (!status)
            status = judge->cost(judge->arg, &cost, e);
        if (!status && cost < least) {
            least = cost;
            best = bits;
        }
    }
    return status ? status : code_biases(b, g, best, e);
}

int compact_graph(struct graph *g, const struct compact_judge *judge, struct err *e)
{
    struct biases b;
    int status = find_biases(&b, g, e);

    for (int v = 0; !status && v < g->values; v++) {
        const struct value *value = &g->value[v];
        if (value->kind != VALUE_PARAM || value->codes || value->shape.rank > 1)
            continue;
        for (int64_t i = 0; i < shape_count(&value->shape); i++)
            g->param[value->offset + (size_t)i] =
                compact_round(g->param[value->offset + (size_t)i], COMPACT_MANTISSA);
    }
    if (!status)
        status = choose_width(&b, g, judge, e);
    biases_free(&b);
    return status;
}
