#include "worker/prune/pruner.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEGLIGIBLE 1e-3 /* of the root mean square */

/* Convolutions are O,I,H,W; a MatMul, or a Gemm without transB, is I,O. */
static void locate_weight(struct prune_weight *w, const struct graph *g, const struct layer *l)
{
    const struct value *v = &g->value[l->weight];
    const struct node *n = &g->node[l->node];

    w->value = l->weight;
    w->offset = v->offset;
    w->count = (size_t)shape_count(&v->shape);
    w->turned =
        strcmp(n->op->name, "MatMul") == 0 || (strcmp(n->op->name, "Gemm") == 0 && !node_int(n, "transB", 0));
    const size_t first = (size_t)v->shape.dim[0], second = v->shape.rank > 1 ? (size_t)v->shape.dim[1] : 1;
    w->rows = w->turned ? second : first;
    w->columns = w->turned ? first : second;
    w->inner = w->count ? w->count / (first * second) : 0;
}

int prune_locate(struct prune *p, struct graph *g, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(g, &layers, &count, e);

    for (int i = 0; !status && i < p->weights; i++) {
        const struct layer *l = layers;
        while (l < layers + count && strncmp(l->name, p->weight[i].layer, sizeof p->weight[i].layer - 1) != 0)
            l++;
        if (l == layers + count)
            status = err_set(e, ERR_INTERNAL, "layer %s is gone", p->weight[i].layer);
        else
            locate_weight(&p->weight[i], g, l);
    }
    free(layers);
    return status;
}

static int make_weights(struct prune *p, struct graph *g, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(g, &layers, &count, e);

    if (status)
        return status;
    p->weight = mem_array((size_t)count + 1, sizeof *p->weight);
    if (!p->weight)
        status = err_set(e, ERR_NOMEM, "out of memory");
    else if (!count)
        status = err_set(e, ERR_INVALID, "the model has no layer with weights");
    for (int i = 0; !status && i < count; i++) {
        struct prune_weight *w = &p->weight[p->weights++];
        snprintf(w->layer, sizeof w->layer, "%s", layers[i].name);
        locate_weight(w, g, &layers[i]);
        w->last = i == count - 1;
        w->sparsity = -1;
        w->doomed = mem_alloc(w->count + 1);
        if (!w->doomed)
            status = err_set(e, ERR_NOMEM, "out of memory");
        p->total += (int64_t)w->count;
    }
    free(layers);
    return status;
}

static int make_scratch(struct prune *p, struct err *e)
{
    size_t largest = 0;

    for (int i = 0; i < p->weights; i++)
        largest = p->weight[i].count > largest ? p->weight[i].count : largest;
    p->rank = mem_array((size_t)p->total + 1, sizeof *p->rank);
    if (p->rule.scope == PRUNE_ADAPTIVE && p->rank)
        p->order = mem_array(2 * largest + 1, sizeof *p->order);
    return p->rank && (p->order || p->rule.scope != PRUNE_ADAPTIVE) ? 0
                                                                    : err_set(e, ERR_NOMEM, "out of memory");
}

int prune_new(struct graph *g, const struct prune_rule *rule, struct prune **out, struct err *e)
{
    struct prune *p = mem_alloc(sizeof *p);

    *out = NULL;
    if (!p)
        return err_set(e, ERR_NOMEM, "out of memory");
    p->rule = *rule;
    int status = make_weights(p, g, e);
    if (!status)
        status = make_scratch(p, e);
    if (status)
        prune_free(p);
    else
        *out = p;
    return status;
}

void prune_free(struct prune *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->weights; i++)
        free(p->weight[i].doomed);
    free(p->weight);
    free(p->rank);
    free(p->order);
    free(p);
}

size_t prune_bytes(size_t weights, size_t largest, enum prune_scope scope)
{
    return weights * (sizeof(float) + sizeof(uint8_t)) +
           (scope == PRUNE_ADAPTIVE ? 2 * largest * sizeof(uint64_t) : 0);
}

static double energy_of(const struct prune *p, const struct graph *g)
{
    double sum = 0;

    for (int i = 0; i < p->weights; i++) {
        const struct prune_weight *w = &p->weight[i];
        for (size_t k = 0; k < w->count; k++)
            if (w->doomed[k])
                sum += (double)g->param[w->offset + k] * (double)g->param[w->offset + k];
    }
    return p->total ? sum / (double)p->total : 0;
}

double prune_part(const struct prune *p, double progress)
{
    const double ramp = p->rule.ramp < 0 ? p->rule.pruner->ramp : p->rule.ramp,
                 left = progress < ramp ? 1 - progress / ramp : 0;

    return 1 - left * left * left;
}

void prune_begin(struct prune *p, const struct graph *g, int64_t steps)
{
    prune_mark(p, g, 1);
    p->energy = energy_of(p, g);
    p->rule.pruner->begin(p->state, p, steps);
    prune_mark(p, g, prune_part(p, 0));
}

void prune_rank(struct prune *p, const struct graph *g, int64_t step, int64_t steps)
{
    if (!p->fixed && step % PRUNE_PERIOD == 0)
        prune_mark(p, g, prune_part(p, (double)step / (double)steps));
}

double prune_pull(const struct prune *p)
{
    return p->fixed ? INFINITY : p->rule.pruner->pull(p->state);
}

double prune_apply(const struct prune *p, int i, size_t from, real *w, size_t count, double pull)
{
    const uint8_t *doomed = p->weight[i].doomed + from;
    const real left = (real)(1 / (1 + pull));
    double sum = 0;

    for (size_t k = 0; k < count; k++)
        if (doomed[k]) {
            w[k] *= left;
            sum += (double)w[k] * (double)w[k];
        }
    return sum;
}

void prune_update(struct prune *p)
{
    if (!p->fixed)
        p->rule.pruner->update(p->state, p);
}

void prune_fix(struct prune *p, struct graph *g)
{
    prune_mark(p, g, 1);
    for (int i = 0; i < p->weights; i++) {
        struct prune_weight *w = &p->weight[i];
        for (size_t k = 0; k < w->count; k++)
            if (w->doomed[k])
                g->param[w->offset + k] = 0;
    }
    p->energy = 0;
    p->fixed = true;
}

int prune_adopt(struct prune *p, struct graph *g, struct err *e)
{
    const int status = prune_locate(p, g, e);

    for (int i = 0; !status && i < p->weights; i++)
        for (size_t k = 0; k < p->weight[i].count; k++)
            p->weight[i].doomed[k] = g->param[p->weight[i].offset + k] == 0;
    return status;
}

void prune_release(struct prune *p)
{
    for (int i = 0; i < p->weights; i++)
        memset(p->weight[i].doomed, 0, p->weight[i].count);
}

double prune_sparsity(const struct prune *p, const struct graph *g, int i)
{
    int64_t small = 0, total = 0;

    for (int k = i < 0 ? 0 : i; k < (i < 0 ? p->weights : i + 1); k++) {
        const real *w = g->param + p->weight[k].offset;
        const size_t count = p->weight[k].count;
        double sum = 0;
        for (size_t n = 0; n < count; n++)
            sum += (double)w[n] * (double)w[n];
        const real least = (real)(NEGLIGIBLE * sqrt(sum / (double)(count ? count : 1)));
        for (size_t n = 0; n < count; n++)
            small += real_fabs(w[n]) < least || w[n] == 0;
        total += (int64_t)count;
    }
    return total ? (double)small / (double)total : 0;
}
