#include "worker/train/hints.h"

#include "base/mem.h"
#include "worker/calibrate/batches.h"
#include "worker/op/op.h"

#include <stdlib.h>

#define ROWS ((size_t)256) /* features whose squares are summed in floats, lane by lane */

struct hint {
    int value, twin; /* in the graph, in the teacher's */
};

/* Of one block: sums of t^2 and of (x - t)^2. */
struct hint_part {
    double norm, error;
};

struct hints {
    struct net *net, *teacher;
    const struct graph *graph;
    struct pool *pool;
    struct hint *hint; /* owned */
    int count;
    struct hint_part *part; /* [blocks], owned */
    int samples;
    double weight, error;
};

/* One layer's turn. */
struct meeting {
    const real *x, *t;
    real *g;
    size_t features;
    int samples;
    struct hint_part *part;
    real pull;
};

static int lanes_used(const struct meeting *m, int block)
{
    const int left = m->samples - block * LANES;

    return left < LANES ? left : LANES;
}

static void measure_rows(const real *x, const real *t, size_t rows, int used, struct hint_part *part)
{
    real norm[LANES] = { 0 }, error[LANES] = { 0 };

    for (size_t i = 0; i < rows * LANES; i += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            const real miss = x[i + (size_t)lane] - t[i + (size_t)lane];
            norm[lane] += t[i + (size_t)lane] * t[i + (size_t)lane];
            error[lane] += miss * miss;
        }
    for (int lane = 0; lane < used; lane++) {
        part->norm += (double)norm[lane];
        part->error += (double)error[lane];
    }
}

static void measure_blocks(void *arg, int lo, int hi, int thread)
{
    const struct meeting *m = arg;
    (void)thread;

    for (int b = lo; b < hi; b++) {
        const size_t at = (size_t)b * m->features * LANES;
        m->part[b] = (struct hint_part){ 0 };
        for (size_t row = 0; row < m->features; row += ROWS)
            measure_rows(m->x + at + row * LANES, m->t + at + row * LANES,
                         m->features - row < ROWS ? m->features - row : ROWS, lanes_used(m, b), &m->part[b]);
    }
}

/* Lanes that no sample has keep their gradient of zero. */
static void pull_blocks(void *arg, int lo, int hi, int thread)
{
    const struct meeting *m = arg;
    (void)thread;

    for (int b = lo; b < hi; b++) {
        const size_t at = (size_t)b * m->features * LANES, end = at + m->features * LANES;
        const int used = lanes_used(m, b);
        for (size_t i = at; used == LANES && i < end; i++)
            m->g[i] += m->pull * (m->x[i] - m->t[i]);
        for (size_t i = at; used < LANES && i < end; i += LANES)
            for (size_t lane = 0; lane < (size_t)used; lane++)
                m->g[i + lane] += m->pull * (m->x[i + lane] - m->t[i + lane]);
    }
}

static void run(const struct hints *h, pool_fn *fn, struct meeting *m)
{
    const int blocks = (h->samples + LANES - 1) / LANES;

    if (h->pool)
        pool_run(h->pool, fn, m, blocks);
    else
        fn(m, 0, blocks, 0);
}

static const struct hint *hint_at(const struct hints *h, int value)
{
    for (int i = 0; i < h->count; i++)
        if (h->hint[i].value == value)
            return &h->hint[i];
    return NULL;
}

static void meet(void *arg, int value)
{
    struct hints *h = arg;
    const struct hint *hint = hint_at(h, value);
    struct hint_part all = { 0 };

    if (!hint || h->weight == 0)
        return;
    struct meeting m = { .x = net_value(h->net, value),
                         .t = net_value(h->teacher, hint->twin),
                         .g = net_gradient(h->net, value),
                         .features = (size_t)shape_count(&h->graph->value[value].shape),
                         .samples = h->samples,
                         .part = h->part };
    run(h, measure_blocks, &m);
    for (int b = 0; b * LANES < h->samples; b++) {
        all.norm += h->part[b].norm;
        all.error += h->part[b].error;
    }
    if (!(all.norm > 0)) /* the teacher says nothing */
        return;
    h->error += all.error / all.norm / h->count;
    m.pull = (real)(2 * h->weight / (h->count * all.norm));
    run(h, pull_blocks, &m);
}

/* Does it leave the network as it is, perhaps under another shape? */
static bool is_output(const struct graph *g, int value)
{
    for (int i = 0; i < g->outputs; i++) {
        int v = g->output[i], maker = g->value[v].producer;
        for (; v != value && maker >= 0 && g->node[maker].op->pass_shape_only; maker = g->value[v].producer)
            v = g->node[maker].input[0];
        if (v == value)
            return true;
    }
    return false;
}

/* What node i gives out, when it is a layer that gets a hint, and its twin; -1. */
static int find_twin(const struct graph *g, const struct graph *teacher, int i, int *value)
{
    const struct node *n = &g->node[i];

    *value = n->output[0];
    if (n->op->weight < 0 || is_output(g, *value))
        return -1;
    const int twin = graph_find_value(teacher, g->value[*value].name);
    return twin >= 0 && shape_equal(&teacher->value[twin].shape, &g->value[*value].shape) ? twin : -1;
}

size_t hints_bytes(const struct graph *graph, const struct graph *teacher, int batch)
{
    size_t bytes = 0;
    int value;

    for (int i = 0; i < graph->nodes; i++)
        if (find_twin(graph, teacher, i, &value) >= 0)
            bytes += batch_bytes(&graph->value[value].shape, batch);
    return bytes;
}

/* Every layer whose gradient can be met and whose twin can be kept. */
static int collect(struct hints *h, const struct hints_new *how, struct err *e)
{
    int value;

    for (int i = 0; i < how->graph->nodes; i++) {
        const int twin = find_twin(how->graph, how->teacher_graph, i, &value);
        if (twin < 0 || !net_value(how->net, value) || !net_gradient(how->net, value))
            continue;
        net_watch(how->teacher, twin);
        if (!net_value(how->teacher, twin))
            return err_set(e, ERR_NOMEM, "out of memory");
        h->hint[h->count++] = (struct hint){ value, twin };
    }
    return 0;
}

int hints_new(const struct hints_new *how, struct hints **out, struct err *e)
{
    struct hints *h = mem_alloc(sizeof *h);

    *out = h;
    if (!h)
        return err_set(e, ERR_NOMEM, "out of memory");
    *h = (struct hints){ .net = how->net, .teacher = how->teacher, .graph = how->graph, .pool = how->pool };
    h->hint = mem_array((size_t)how->graph->nodes, sizeof *h->hint);
    h->part = mem_array((size_t)net_blocks(how->net), sizeof *h->part);
    if (!h->hint || !h->part)
        return err_set(e, ERR_NOMEM, "out of memory");
    const int status = collect(h, how, e);
    if (!status)
        net_meet(h->net, meet, h);
    return status;
}

void hints_free(struct hints *h)
{
    if (!h)
        return;
    net_meet(h->net, NULL, NULL);
    free(h->hint);
    free(h->part);
    free(h);
}

int hints_layers(const struct hints *h)
{
    return h->count;
}

void hints_set(struct hints *h, int samples, double weight)
{
    h->samples = samples;
    h->weight = weight;
    h->error = 0;
}

double hints_error(const struct hints *h)
{
    return h->error;
}
