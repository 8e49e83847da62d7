#include "worker/calibrate/equalize.h"

#include "base/mem.h"
#include "worker/graph/units.h"
#include "worker/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of s: what is smaller hardly counts any more, and weights that grow without bound spoil their layer's step.
 */
#define LEAST (1.0 / 32)
enum { EXPONENT = 8 }; /* of the norm that stands for the range of a channel; widen() knows it */

enum { GAMMA = 1, BETA, MEAN, VARIANCE };

static bool is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

/* f(s x) = s f(x) for s > 0 */
static bool homogeneous(const struct node *n)
{
    static const char *const names[] = { "Relu",        "LeakyRelu",     "MaxPool",
                                         "AveragePool", "GlobalMaxPool", "GlobalAveragePool",
                                         "Identity",    "Dropout",       "Flatten" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(n, names[i]))
            return true;
    return false;
}

static double range_of(const struct graph *g, const struct unit_slice *s, int64_t unit)
{
    const struct unit_extent x = unit_extent(g, s, unit);
    double most = 0;

    for (int64_t o = 0; o < x.outer; o++)
        for (int64_t i = 0; i < x.inner; i++)
            most = fmax(most, fabs((double)g->param[x.first + (size_t)(o * x.step + i)]));
    return most;
}

static void multiply(struct graph *g, const struct unit_slice *s, int64_t unit, double factor)
{
    const struct unit_extent x = unit_extent(g, s, unit);

    for (int64_t o = 0; o < x.outer; o++)
        for (int64_t i = 0; i < x.inner; i++) {
            real *w = &g->param[x.first + (size_t)(o * x.step + i)];
            *w = (real)((double)*w * factor);
        }
}

/* --- filters before a normalization --- */

/* A filter a times as large has a times the mean and a^2 times the variance; gamma makes up for epsilon. */
static void scale_filter(struct graph *g, const struct layer *l, const struct node *norm, int64_t unit,
                         double a)
{
    const struct unit_slice weight = { l->weight, 0, 1, l->node }, bias = { l->bias, 0, 1, l->node };
    const double epsilon = node_float(norm, "epsilon", 1e-5);
    real *p[VARIANCE + 1];

    for (int i = GAMMA; i <= VARIANCE; i++)
        p[i] = &g->param[g->value[norm->input[i]].offset + (size_t)unit];
    multiply(g, &weight, unit, a);
    if (l->bias >= 0)
        multiply(g, &bias, unit, a);
    const double before = (double)*p[VARIANCE], after = (double)(real)(before * a * a);
    *p[MEAN] = (real)((double)*p[MEAN] * a);
    *p[VARIANCE] = (real)after;
    *p[GAMMA] = (real)((double)*p[GAMMA] * sqrt((after + epsilon) / (before + epsilon)) / a);
}

static bool normalized(const struct graph *g, const struct layer *l, const struct node **norm)
{
    const struct node *n = &g->node[l->node];
    const int reader = is(n, "Conv") ? graph_only_reader(g, n->output[0]) : -1;

    if (reader < 0 || !is(&g->node[reader], "BatchNormalization"))
        return false;
    *norm = &g->node[reader];
    for (int i = GAMMA; i <= VARIANCE; i++)
        if (g->value[(*norm)->input[i]].kind != VALUE_PARAM || graph_only_reader(g, (*norm)->input[i]) < 0)
            return false;
    return graph_only_reader(g, l->weight) >= 0 && (l->bias < 0 || graph_only_reader(g, l->bias) >= 0);
}

/* All filters of the layer get the largest one's range. */
static void level(struct graph *g, const struct layer *l, const struct node *norm)
{
    const struct unit_slice weight = { l->weight, 0, 1, l->node };
    const int64_t count = g->value[l->weight].shape.dim[0];
    double most = 0;

    for (int64_t i = 0; i < count; i++)
        most = fmax(most, range_of(g, &weight, i));
    for (int64_t i = 0; i < count; i++) {
        const double range = range_of(g, &weight, i);
        if (range > 0)
            scale_filter(g, l, norm, i, most / range);
    }
}

static int level_filters(struct graph *g, int *layers, struct err *e)
{
    struct layer *list = NULL;
    const struct node *norm;
    int count = 0;
    const int status = graph_layers(g, &list, &count, e);

    for (int i = 0; !status && i < count; i++)
        if (normalized(g, &list[i], &norm)) {
            level(g, &list[i], norm);
            ++*layers;
        }
    free(list);
    return status;
}

/* --- a layer and its readers --- */

/* The slices that a unit's size sits in: the last normalization's factor and offset, else weight and bias.
 * False where the readers would see something else than a multiple. */
static bool carriers(const struct graph *g, const struct units *u, int *first, int *count)
{
    int norm = -1;

    for (int i = 0; i < u->path_length; i++) {
        const struct node *n = &g->node[u->path[i]];
        if (is(n, "BatchNormalization"))
            norm = u->path[i];
        else if (!homogeneous(n))
            return false;
    }
    *first = 0;
    *count = 0;
    while (*first < u->own && norm >= 0 && u->slice[*first].node != norm)
        ++*first;
    while (*count < 2 && *first + *count < u->own && u->slice[*first + *count].node == u->slice[*first].node)
        ++*count;
    return norm < 0 || !u->forked;
}

/* A layer whose units move: what its readers see, and the units' ranges there. */
struct moving {
    struct units units;
    int first, carried; /* slices that carry a unit's size */
    int value;
    double *range; /* owned: [units.count], to the power of EXPONENT */
};

static void free_moving(struct moving *m, int count)
{
    for (int i = 0; m && i < count; i++)
        free(m[i].range);
    free(m);
}

static int find_moving(const struct graph *g, struct moving **out, int *count, struct err *e)
{
    struct units *list = NULL;
    int found = 0, status = units_find(g, &list, &found, e);
    struct moving *m = mem_array((size_t)found + 1, sizeof *m);

    *count = 0;
    if (!status && !m)
        status = err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; !status && i < found; i++) {
        struct moving *one = &m[*count];
        if (list[i].forked || !carriers(g, &list[i], &one->first, &one->carried))
            continue;
        one->units = list[i];
        one->value = g->node[list[i].slice[list[i].own].node].input[0];
        one->range = mem_array((size_t)list[i].count, sizeof *one->range);
        ++*count;
        if (!one->range)
            status = err_set(e, ERR_NOMEM, "out of memory");
    }
    free(list);
    *out = m;
    return status;
}

/* range[unit] += |x|^8 over the unit's features, which lie side by side: EXPONENT. */
static void widen(struct moving *m, const real *x, int64_t features, int samples)
{
    const int64_t each = features / m->units.count;

    for (int b = 0; b * LANES < samples; b++)
        for (int64_t f = 0; f < features; f++) {
            const real *lane = x + ((size_t)b * (size_t)features + (size_t)f) * LANES;
            const int valid = samples - b * LANES < LANES ? samples - b * LANES : LANES;
            double sum = 0;
            for (int l = 0; l < valid; l++) {
                const double square = (double)lane[l] * (double)lane[l];
                sum += square * square * square * square;
            }
            m->range[f / each] += sum;
        }
}

struct looking {
    const struct graph *graph;
    struct net *net;
    struct moving *moving;
    int count;
};

static void look(void *arg, int batch, int samples)
{
    const struct looking *l = arg;
    (void)batch;

    for (int i = 0; i < l->count; i++) {
        struct moving *m = &l->moving[i];
        widen(m, net_value(l->net, m->value), shape_count(&l->graph->value[m->value].shape), samples);
    }
}

static int measure(const struct equalization *z, struct moving *m, int count, struct err *e)
{
    struct looking l = { .graph = z->graph, .moving = m, .count = count };
    int status = net_new(z->graph, &z->net, &l.net, e);

    for (int i = 0; i < count && !status; i++) {
        net_watch(l.net, m[i].value);
        if (!net_value(l.net, m[i].value))
            status = err_set(e, ERR_NOMEM, "out of memory");
    }
    if (!status)
        batches_run(&z->batches, l.net, look, &l);
    net_free(l.net);
    return status;
}

static void move(struct graph *g, const struct moving *m)
{
    const struct units *u = &m->units;
    double most = 0;

    for (int64_t unit = 0; unit < u->count; unit++)
        most = fmax(most, m->range[unit]);
    if (!(most > 0))
        return; /* nothing ever comes through */
    for (int64_t unit = 0; unit < u->count; unit++) {
        const double s = fmax(pow(m->range[unit] / most, 1.0 / EXPONENT), LEAST);
        for (int i = m->first; i < m->first + m->carried; i++)
            multiply(g, &u->slice[i], unit, 1 / s);
        for (int i = u->own; i < u->slices; i++)
            multiply(g, &u->slice[i], unit, s);
    }
}

int equalize(const struct equalization *z, int *layers, struct err *e)
{
    struct moving *m = NULL;
    int count = 0, status = find_moving(z->graph, &m, &count, e);

    if (!status)
        status = measure(z, m, count, e);
    for (int i = 0; i < count && !status; i++)
        move(z->graph, &m[i]);
    *layers = status ? 0 : count;
    free_moving(m, count);
    return status ? status : level_filters(z->graph, layers, e);
}

int equalize_bytes(const struct graph *g, int batch, size_t *bytes, struct err *e)
{
    struct moving *m = NULL;
    int count = 0;
    const int status = find_moving(g, &m, &count, e);

    *bytes = 0;
    for (int i = 0; i < count; i++)
        *bytes += batch_bytes(&g->value[m[i].value].shape, batch);
    free_moving(m, count);
    return status;
}
