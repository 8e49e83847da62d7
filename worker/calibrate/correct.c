#include "worker/calibrate/correct.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

/* Where a channel's constant can be taken up. */
struct sink {
    int value; /* PARAM of the corrected graph */
    int sign;  /* +1: a bias; -1: a running mean */
};

static bool find_sink(const struct graph *g, const struct layer *l, struct sink *s)
{
    const struct node *n = &g->node[l->node];

    *s = (struct sink){ l->bias, 1 };
    if (l->bias >= 0 && node_float(n, "beta", 1) == 1)
        return true;
    const int reader = graph_only_reader(g, n->output[0]);
    if (reader < 0 || strcmp(g->node[reader].op->name, "BatchNormalization") != 0)
        return false;
    *s = (struct sink){ g->node[reader].input[3], -1 };
    return g->value[s->value].kind == VALUE_PARAM;
}

/* A place for a bias that nothing takes, and no normalization behind it. */
static bool lacks_sink(const struct graph *g, const struct layer *l)
{
    const struct node *n = &g->node[l->node];
    const int at = n->op->bias;
    struct sink s;

    return at >= 0 && (at >= n->inputs || n->input[at] < 0) && node_float(n, "beta", 1) == 1 &&
           !find_sink(g, l, &s);
}

int correct_make_biases(struct graph *g, int *made, struct err *e)
{
    struct layer *layers = NULL;
    int count = 0, status = graph_layers(g, &layers, &count, e);

    *made = 0;
    for (int i = 0; i < count && !status; i++) {
        const int node = layers[i].node;
        if (!lacks_sink(g, &layers[i]))
            continue;
        const int bias = graph_make_bias(g, node, g->value[g->node[node].output[0]].shape.dim[0], e);
        status = bias < 0 ? bias : 0;
        ++*made;
    }
    free(layers);
    return status || !*made ? status : graph_finish(g, e);
}

/* The outputs of one layer, summed by channel. */
struct looking {
    const struct shape *shape;
    const real *y;
    int64_t channels, samples;
    double *sum;
};

/* Features of a channel lie side by side, but where the layer works on rows of channels: then they alternate.
 */
static void look(void *arg, int batch, int samples)
{
    struct looking *s = arg;
    const int64_t features = shape_count(s->shape), each = features / s->channels;
    const bool last = s->shape->dim[0] != s->channels;
    (void)batch;

    for (int b = 0; b * LANES < samples; b++)
        for (int64_t f = 0; f < features; f++) {
            const real *lane = s->y + ((size_t)b * (size_t)features + (size_t)f) * LANES;
            const int valid = samples - b * LANES < LANES ? samples - b * LANES : LANES;
            double one = 0;
            for (int l = 0; l < valid; l++)
                one += (double)lane[l];
            s->sum[last ? f % s->channels : f / each] += one;
        }
    s->samples += samples;
}

/* Mean output per channel of the layer that makes `value`. */
static int mean_outputs(const struct correction *c, struct graph *g, struct quant *q, int value,
                        int64_t channels, double *mean, struct err *e)
{
    struct looking l = { .shape = &g->value[value].shape, .channels = channels, .sum = mean };
    struct net_options o = c->net;
    struct net *net;

    o.apart = true;
    int status = net_new(g, &o, &net, e);
    if (status)
        return status;
    net_watch(net, value);
    net_stop(net, value);
    l.y = net_value(net, value);
    if (!l.y)
        status = err_set(e, ERR_NOMEM, "out of memory");
    if (q)
        quant_bind(q, net);
    memset(mean, 0, (size_t)channels * sizeof *mean);
    if (!status)
        batches_run(&c->batches, net, look, &l);
    net_free(net);
    const double count = (double)l.samples * (double)shape_count(l.shape) / (double)channels;
    for (int64_t i = 0; i < channels && !status; i++)
        mean[i] /= count;
    return status;
}

/* Beyond what a normalization takes away. */
static void beyond(const struct graph *g, const struct sink *s, int64_t channels, double *mean)
{
    for (int64_t i = 0; i < channels && s->sign < 0; i++)
        mean[i] -= (double)g->param[g->value[s->value].offset + (size_t)i];
}

static int correct_layer(const struct correction *c, const struct layer *was, const struct layer *is,
                         const struct sink *before, const struct sink *s, struct err *e)
{
    const int plain_value = c->plain->node[was->node].output[0], value = c->graph->node[is->node].output[0];
    const int64_t channels = shape_count(&c->graph->value[s->value].shape);
    double *mean = mem_array(2 * (size_t)channels, sizeof *mean), *plain = mean ? mean + channels : NULL;
    int status = mean ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    if (!status)
        status = mean_outputs(c, c->plain, NULL, plain_value, channels, plain, e);
    if (!status)
        status = mean_outputs(c, c->graph, c->quant, value, channels, mean, e);
    if (!status) {
        beyond(c->plain, before, channels, plain);
        beyond(c->graph, s, channels, mean);
    }
    real *to = c->graph->param + c->graph->value[s->value].offset;
    for (int64_t i = 0; i < channels && !status; i++)
        to[i] = (real)((double)to[i] + s->sign * (plain[i] - mean[i]));
    free(mean);
    return status;
}

int correct_biases(const struct correction *c, int *corrected, struct err *e)
{
    struct layer *plain = NULL, *layers = NULL;
    struct sink before, sink;
    int plain_count = 0, count = 0;
    int status = graph_layers(c->plain, &plain, &plain_count, e);

    *corrected = 0;
    if (!status)
        status = graph_layers(c->graph, &layers, &count, e);
    if (!status && count != plain_count)
        status = err_set(e, ERR_INTERNAL, "the quantized network has other layers");
    quant_apply(c->quant, c->graph, c->net.pool);
    for (int i = 0; i < count && !status; i++)
        if (find_sink(c->plain, &plain[i], &before) && find_sink(c->graph, &layers[i], &sink)) {
            status = correct_layer(c, &plain[i], &layers[i], &before, &sink, e);
            ++*corrected;
        }
    free(plain);
    free(layers);
    return status;
}

size_t correct_bytes(const struct graph *plain, int batch)
{
    size_t most = 0;

    for (int at = 0; at < plain->nodes; at++) {
        const struct value *v = &plain->value[plain->node[at].output[0]];
        const size_t bytes = batch_bytes(&v->shape, batch);
        if (plain->node[at].op->weight >= 0 && bytes > most)
            most = bytes;
    }
    return most;
}
