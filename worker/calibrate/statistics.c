#include "worker/calibrate/statistics.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

enum { MEAN = 3, VARIANCE = 4 };

/* Sums of one normalization's channels over the batches, each by its samples. */
struct sums {
    const struct value *mean, *variance; /* of the graph */
    double share;                        /* of a batch in the running statistics */
    int64_t channels;
    double *first, *second, *within; /* of batch means, their squares, batch variances */
};

struct measure {
    struct graph *graph;
    struct sums *layer;
    int layers;
    double samples;
};

/* Its statistics where they can be written; false: not a normalization, or they can't. */
static bool find(const struct graph *g, const struct node *n, struct sums *s)
{
    if (strcmp(n->op->name, "BatchNormalization") != 0)
        return false;
    *s = (struct sums){ .mean = &g->value[n->input[MEAN]],
                        .variance = &g->value[n->input[VARIANCE]],
                        .share = 1 - (double)(real)node_float(n, "momentum", 0.9) };
    s->channels = shape_count(&s->mean->shape);
    return s->mean->kind == VALUE_PARAM && s->variance->kind == VALUE_PARAM && s->share > 0;
}

int statistics_count(const struct graph *g)
{
    struct sums s;
    int count = 0;

    for (int i = 0; i < g->nodes; i++)
        count += find(g, &g->node[i], &s);
    return count;
}

static real *numbers(const struct measure *m, const struct value *v)
{
    return m->graph->param + v->offset;
}

/* From zeros the running statistics of one batch are its own times their share. */
static void clear(const struct measure *m)
{
    for (int i = 0; i < m->layers; i++) {
        const struct sums *s = &m->layer[i];
        memset(numbers(m, s->mean), 0, (size_t)s->channels * sizeof(real));
        memset(numbers(m, s->variance), 0, (size_t)s->channels * sizeof(real));
    }
}

static void look(void *arg, int index, int samples)
{
    struct measure *m = arg;
    (void)index;

    for (int i = 0; i < m->layers; i++) {
        const struct sums *s = &m->layer[i];
        const real *at = numbers(m, s->mean), *spread = numbers(m, s->variance);
        for (int64_t c = 0; c < s->channels; c++) {
            const double mean = (double)at[c] / s->share;
            s->first[c] += samples * mean;
            s->second[c] += samples * mean * mean;
            s->within[c] += samples * (double)spread[c] / s->share;
        }
    }
    m->samples += samples;
    clear(m);
}

/* The variance of all: that within the batches and that of their means. */
static void write_back(const struct measure *m)
{
    for (int i = 0; i < m->layers; i++) {
        const struct sums *s = &m->layer[i];
        for (int64_t c = 0; c < s->channels; c++) {
            const double mean = s->first[c] / m->samples;
            const double between = s->second[c] / m->samples - mean * mean;
            numbers(m, s->mean)[c] = (real)mean;
            numbers(m, s->variance)[c] = (real)(s->within[c] / m->samples + (between > 0 ? between : 0));
        }
    }
}

/* The sums of layer i; one allocation for its three arrays. */
static int take(struct measure *m, const struct sums *s)
{
    struct sums *to = &m->layer[m->layers];

    *to = *s;
    to->first = mem_array((size_t)s->channels * 3, sizeof *to->first);
    if (!to->first)
        return ERR_NOMEM;
    to->second = to->first + s->channels;
    to->within = to->second + s->channels;
    m->layers++;
    return 0;
}

int statistics_measure(const struct statistics_measure *what, struct err *e)
{
    struct measure m = { .graph = what->graph,
                         .layer = mem_array((size_t)what->graph->nodes + 1, sizeof *m.layer) };
    struct batches batches = what->batches;
    struct sums s;
    int status = m.layer ? 0 : ERR_NOMEM;

    for (int i = 0; i < m.graph->nodes && !status; i++)
        if (find(m.graph, &m.graph->node[i], &s))
            status = take(&m, &s);
    if (!status && m.layers && batches.count > 0 && batches.feed->count > 0) {
        batches.training = true;
        clear(&m);
        batches_run(&batches, what->net, look, &m);
        write_back(&m);
    }
    for (int i = 0; i < m.layers; i++)
        free(m.layer[i].first);
    free(m.layer);
    return status ? err_set(e, status, "out of memory") : 0;
}
