#include "worker/quant/fold.h"

#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/quant/quant.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { X, GAMMA, BETA, MEAN, VARIANCE, INPUTS };

/* A layer and the normalization behind it, by their places in the graph. */
struct pair {
    int layer, norm;
    int64_t channels;
    const double *factor, *shift; /* [channels] */
};

static bool is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool read_once(const struct graph *g, int value)
{
    return graph_only_reader(g, value) >= 0;
}

/* Is the first axis of its weight that of its outputs, and does it multiply by nothing else? */
static bool takes(const struct graph *g, const struct node *n)
{
    if (!is(n, "Conv") && !(is(n, "Gemm") && node_int(n, "transB", 0) && node_float(n, "alpha", 1) == 1 &&
                            node_float(n, "beta", 1) == 1))
        return false;
    const int weight = n->input[n->op->weight], bias = n->op->bias < n->inputs ? n->input[n->op->bias] : -1;
    if (g->value[weight].kind != VALUE_PARAM || !read_once(g, weight))
        return false;
    return bias < 0 || (g->value[bias].kind == VALUE_PARAM && read_once(g, bias) &&
                        shape_count(&g->value[bias].shape) == g->value[weight].shape.dim[0]);
}

static bool find(const struct graph *g, int norm, struct pair *p)
{
    const struct node *n = &g->node[norm];

    if (!is(n, "BatchNormalization") || n->inputs != INPUTS)
        return false;
    *p = (struct pair){ .layer = g->value[n->input[X]].producer, .norm = norm };
    for (int i = GAMMA; i < INPUTS; i++)
        if (g->value[n->input[i]].kind != VALUE_PARAM)
            return false;
    for (int i = 0; i < g->outputs; i++)
        if (g->output[i] == n->output[0])
            return false;
    if (p->layer < 0 || graph_only_reader(g, n->input[X]) != norm || !takes(g, &g->node[p->layer]))
        return false;
    p->channels = shape_count(&g->value[n->input[GAMMA]].shape);
    return true;
}

/* y = factor * x + shift */
static void affine(const struct graph *g, const struct node *n, double *factor, double *shift)
{
    const real *at[INPUTS];

    for (int i = GAMMA; i < INPUTS; i++)
        at[i] = g->param + g->value[n->input[i]].offset;
    for (int64_t c = 0; c < shape_count(&g->value[n->input[GAMMA]].shape); c++) {
        factor[c] = (double)at[GAMMA][c] / sqrt((double)at[VARIANCE][c] + node_float(n, "epsilon", 1e-5));
        shift[c] = (double)at[BETA][c] - factor[c] * (double)at[MEAN][c];
    }
}

/* --- weights --- */

/* Codes that are all odd have their opposites; others end at 2^(bits - 1) - 1. */
static bool turns(const struct value_codes *c, const int32_t *code, int64_t count)
{
    bool odd = true;
    int32_t least = 0;

    for (int64_t i = 0; i < count; i++) {
        odd &= code[i] & 1;
        least = code[i] < least ? code[i] : least;
    }
    return odd || -least <= (1 << (c->bits - 1)) - 1;
}

static bool all_turn(const struct graph *g, const struct pair *p)
{
    const struct value *w = &g->value[g->node[p->layer].input[g->node[p->layer].op->weight]];
    const int64_t each = shape_count(&w->shape) / p->channels;

    for (int64_t c = 0; w->codes && c < p->channels; c++)
        if (p->factor[c] < 0 && !turns(w->codes, w->codes->code + c * each, each))
            return false;
    return true;
}

/* The same codes, a scale for each channel. One that says nothing gets a scale that says nothing. */
static struct value_codes *scaled(const struct value *w, const struct pair *p)
{
    const struct value_codes *old = w->codes;
    const struct value_codes like = {
        .bits = old->bits, .axis = 0, .channels = p->channels, .planes = old->planes
    };
    const size_t count = (size_t)shape_count(&w->shape), each = count / (size_t)p->channels;
    const int width = old->planes ? old->planes : 1;
    struct value_codes *c = value_codes_new(&like, count);

    for (size_t i = 0; c && i < count; i++)
        c->code[i] = p->factor[i / each] < 0 ? -old->code[i] : old->code[i];
    for (int64_t i = 0; c && i < p->channels * width; i++) {
        const double by = fabs(p->factor[i / width]);
        const float scale = old->scale[old->axis < 0 ? i % width : i];
        c->scale[i] = (float)(by * (double)scale);
        if (!old->planes && !(c->scale[i] >= FLT_MIN))
            c->scale[i] = FLT_MIN;
    }
    return c;
}

static int fold_weight(struct graph *g, const struct pair *p)
{
    struct value *w = &g->value[g->node[p->layer].input[g->node[p->layer].op->weight]];
    real *x = g->param + w->offset;
    const int64_t count = shape_count(&w->shape), each = count / p->channels;

    for (int64_t i = 0; i < count && !w->codes; i++)
        x[i] = (real)(p->factor[i / each] * (double)x[i]);
    if (!w->codes)
        return 0;
    struct value_codes *c = scaled(w, p);
    if (!c)
        return ERR_NOMEM;
    value_codes_free(w->codes);
    w->codes = c;
    value_codes_numbers(c, &w->shape, x);
    return 0;
}

/* --- biases --- */

static int fold_bias(struct graph *g, const struct pair *p, struct err *e)
{
    const int bias = graph_make_bias(g, p->layer, p->channels, e);

    if (bias < 0)
        return bias;
    real *b = g->param + g->value[bias].offset;
    for (int64_t c = 0; c < p->channels; c++)
        b[c] = (real)(p->factor[c] * (double)b[c] + p->shift[c]);
    value_codes_free(g->value[bias].codes);
    g->value[bias].codes = NULL;
    return quant_bias_codes(g, &g->node[p->layer], e);
}

/* Whoever read the normalization reads the layer; the normalization is dropped by graph_finish. */
static void reconnect(struct graph *g, const struct pair *p)
{
    const int from = g->node[p->norm].output[0], to = g->node[p->norm].input[X];

    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++)
            if (g->node[i].input[k] == from)
                g->node[i].input[k] = to;
}

static int fold(struct graph *g, struct pair *p, int *folded, struct err *e)
{
    double *room = mem_array((size_t)p->channels * 2 + 1, sizeof *room);
    int status = 0;

    if (!room)
        return err_set(e, ERR_NOMEM, "out of memory");
    affine(g, &g->node[p->norm], room, room + p->channels);
    p->factor = room;
    p->shift = room + p->channels;
    if (all_turn(g, p)) {
        status = fold_weight(g, p);
        if (status)
            err_set(e, status, "out of memory");
        if (!status)
            status = fold_bias(g, p, e);
        if (!status)
            reconnect(g, p);
        *folded += !status;
    }
    free(room);
    return status;
}

int fold_normalizations(struct graph *g, int *folded, struct err *e)
{
    int status = 0;

    *folded = 0;
    for (int i = 0; i < g->nodes && !status; i++) {
        struct pair p;
        if (find(g, i, &p))
            status = fold(g, &p, folded, e);
    }
    return status || !*folded ? status : graph_finish(g, e);
}
