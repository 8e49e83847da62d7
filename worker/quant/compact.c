#include "worker/quant/compact.h"

#include "base/mem.h"
#include "worker/graph/units.h"
#include "worker/op/op.h"

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

static size_t nonzeros(const real *x, size_t count)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += x[i] != 0;
    return found;
}

static int step_mantissa(size_t alive)
{
    return alive > COMPACT_LARGE ? COMPACT_STEP_LARGE : COMPACT_STEP;
}

void compact_scales(struct quant *q, struct graph *g, struct pool *p)
{
    size_t alive = 0;

    for (int i = 0; i < q->weights; i++)
        alive += nonzeros(g->param + q->weight[i].offset, q->weight[i].count);
    const int mantissa = step_mantissa(alive);
    for (int i = 0; i < q->chunks; i++) {
        const struct quant_chunk *c = &q->chunk[i];
        const real scale = q->weight[c->weight].scale[c->channel];
        const double factor = (double)compact_round(scale, mantissa) / (double)scale;
        for (size_t k = 0; k < c->count; k++)
            g->param[c->offset + k * c->stride] =
                (real)((double)g->param[c->offset + k * c->stride] * factor);
    }
    for (int i = 0; i < q->scales; i++)
        q->scale[i] = compact_round(q->scale[i], mantissa);
    quant_snap(q, g, p);
}

/* --- scales ---------------------------------------------------------------------------------------------
 */

/* f(s x) = s f(x) for s > 0 */
static bool homogeneous(const struct node *n)
{
    static const char *const names[] = { "Relu",        "LeakyRelu",     "MaxPool",
                                         "AveragePool", "GlobalMaxPool", "GlobalAveragePool",
                                         "Identity",    "Dropout",       "Flatten" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(n->op->name, names[i]) == 0)
            return true;
    return false;
}

/* Weights with one scale that are nobody else's. */
static bool has_scale(const struct graph *g, int value)
{
    const struct value_codes *c = g->value[value].codes;

    return c && c->channels == 1 && !c->planes && c->scale[0] > 0 && graph_only_reader(g, value) >= 0;
}

/* The layer has weight and perhaps bias, and nothing stands in the way of its readers. */
static bool can_move(const struct graph *g, const struct units *u)
{
    if (u->own > 2 || u->own == u->slices || !has_scale(g, u->slice[0].value))
        return false;
    for (int i = 1; i < u->slices; i++)
        if (i < u->own ? graph_only_reader(g, u->slice[i].value) < 0 : !has_scale(g, u->slice[i].value))
            return false;
    for (int i = 0; i < u->path_length; i++)
        if (!homogeneous(&g->node[u->path[i]]))
            return false;
    return true;
}

/* A parameter as it is times a factor: its codes stay. */
static void multiply(struct graph *g, int value, double factor)
{
    struct value *v = &g->value[value];
    const size_t count = (size_t)shape_count(&v->shape);
    real *x = g->param + v->offset;

    if (v->codes)
        for (size_t i = 0; i < value_codes_scales(v->codes); i++)
            v->codes->scale[i] = (float)((double)v->codes->scale[i] * factor);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)((double)x[i] * factor);
    if (v->codes)
        value_codes_numbers(v->codes, &v->shape, x);
}

/* Of the weights that took over a scale. */
static void round_scale(struct graph *g, int value, int mantissa)
{
    struct value *v = &g->value[value];

    v->codes->scale[0] = (float)compact_round((real)v->codes->scale[0], mantissa);
    value_codes_numbers(v->codes, &v->shape, g->param + v->offset);
}

/* The scale of a layer goes to its readers, but for a power of two. */
static void move_scale(struct graph *g, const struct units *u, int exponent)
{
    const double scale = (double)g->value[u->slice[0].value].codes->scale[0];

    for (int k = 0; k < u->slices; k++)
        multiply(g, u->slice[k].value, k < u->own ? ldexp(1, exponent) / scale : ldexp(scale, -exponent));
}

static size_t codes_alive(const struct graph *g)
{
    size_t alive = 0;

    for (const struct value *v = g->value; v < g->value + g->values; v++)
        if (v->codes)
            alive += nonzeros(g->param + v->offset, (size_t)shape_count(&v->shape));
    return alive;
}

int compact_move_scales(struct graph *g, struct err *e)
{
    struct units *list = NULL;
    int count = 0, moved = 0, exponent = 0;
    const int status = units_find(g, &list, &count, e);
    bool *taken = status ? NULL : mem_array((size_t)g->values + 1, sizeof *taken); /* values, over a scale */

    if (status || !taken) {
        free(list);
        return status ? status : err_set(e, ERR_NOMEM, "out of memory");
    }
    for (int i = 0; i < count; i++) {
        const struct units *u = &list[i];
        if (!can_move(g, u))
            continue;
        if (!moved++)
            exponent = (int)rint(log2((double)g->value[u->slice[0].value].codes->scale[0]));
        move_scale(g, u, exponent);
        taken[u->slice[0].value] = false;
        for (int k = u->own; k < u->slices; k++)
            taken[u->slice[k].value] = true;
    }
    const int mantissa = step_mantissa(codes_alive(g));
    for (int v = 0; v < g->values; v++)
        if (taken[v])
            round_scale(g, v, mantissa);
    free(taken);
    free(list);
    return moved;
}

/* --- biases ---------------------------------------------------------------------------------------------
 */

/* The step for a largest code. Without a mantissa the power of two above. */
static real step_of(double largest, int mantissa)
{
    if (mantissa || !(largest > 0))
        return compact_round((real)largest, mantissa);
    return (real)ldexp(1, (int)ceil(log2(largest)));
}

/* Biases x[count] of v as codes of so many bits, with the step of least mantissa that holds the largest. */
static int code_bias(struct graph *g, struct value *v, const real *x, int bits, int mantissa, struct err *e)
{
    const int high = (1 << (bits - 1)) - 1;
    const size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset, most = 0;

    for (size_t i = 0; i < count; i++)
        most = real_fabs(x[i]) > most ? real_fabs(x[i]) : most;
    if (!isfinite(most))
        return 0;
    real step = step_of((double)(most / (real)high), mantissa);
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

static int code_biases(const struct biases *b, struct graph *g, int bits, int mantissa, struct err *e)
{
    const real *x = b->x;
    int status = 0;

    for (int i = 0; !status && i < b->count; i++) {
        struct value *v = &g->value[b->value[i]];
        status = code_bias(g, v, x, bits, mantissa, e);
        x += shape_count(&v->shape);
    }
    return status;
}

static int choose_width(const struct biases *b, struct graph *g, const struct compact_judge *judge,
                        struct err *e)
{
    double least = INFINITY, cost;
    int best = COMPACT_BIAS_MOST, fine = COMPACT_STEP, status = 0;

    for (int bits = COMPACT_BIAS_MOST; judge && b->count && bits >= COMPACT_BIAS_LEAST; bits--)
        for (int mantissa = COMPACT_STEP; !status && mantissa >= 0; mantissa -= COMPACT_STEP) {
            status = code_biases(b, g, bits, mantissa, e);
            if (!status)
                status = judge->cost(judge->arg, &cost, e);
            if (!status && cost < least) {
                least = cost;
                best = bits;
                fine = mantissa;
            }
        }
    return status ? status : code_biases(b, g, best, fine, e);
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
