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

/* What a layer gives, by channel: sums, then means. */
struct outputs {
    int value;
    int64_t channels;
    double *mean; /* owned */
};

/* The layers that have a sink in both networks; owned arrays. */
struct places {
    struct sink *before, *now;
    struct outputs *plain, *is;
    int count;
};

/* Features of a channel lie side by side, but where the layer works on rows of channels: then they alternate.
 */
static void add_outputs(const struct outputs *o, const struct shape *shape, const real *y, int samples)
{
    const int64_t features = shape_count(shape), each = features / o->channels;
    const bool last = shape->dim[0] != o->channels;

    for (int b = 0; b * LANES < samples; b++)
        for (int64_t f = 0; f < features; f++) {
            const real *lane = y + ((size_t)b * (size_t)features + (size_t)f) * LANES;
            const int valid = samples - b * LANES < LANES ? samples - b * LANES : LANES;
            double one = 0;
            for (int l = 0; l < valid; l++)
                one += (double)lane[l];
            o->mean[last ? f % o->channels : f / each] += one;
        }
}

struct looking {
    const struct graph *graph;
    struct net *net;
    struct outputs *layer; /* in the order of the graph */
    int layers;
    int64_t samples;
};

/* A pass stops behind the first of the layers, and goes on from one to the next. */
static void look(void *arg, int batch, int samples)
{
    struct looking *s = arg;
    (void)batch;

    for (int i = 0; i < s->layers; i++) {
        const int value = s->layer[i].value;
        if (i) {
            net_stop(s->net, value);
            net_continue(s->net);
        }
        add_outputs(&s->layer[i], &s->graph->value[value].shape, net_value(s->net, value), samples);
    }
    net_stop(s->net, s->layer[0].value);
    s->samples += samples;
}

static int mean_outputs(const struct correction *c, struct graph *g, struct quant *q, struct outputs *layer,
                        int layers, struct err *e)
{
    struct looking l = { .graph = g, .layer = layer, .layers = layers };
    struct net_options o = c->net;

    o.apart = true;
    const int status = net_new(g, &o, &l.net, e);
    if (status)
        return status;
    if (q)
        quant_bind(q, l.net);
    net_stop(l.net, layer[0].value);
    batches_run(&c->batches, l.net, look, &l);
    net_free(l.net);
    for (int i = 0; i < layers; i++) {
        const double count = (double)l.samples * (double)shape_count(&g->value[layer[i].value].shape);
        for (int64_t k = 0; k < layer[i].channels; k++)
            layer[i].mean[k] *= (double)layer[i].channels / count;
    }
    return 0;
}

/* Beyond what a normalization takes away. */
static void beyond(const struct graph *g, const struct sink *s, const struct outputs *o)
{
    for (int64_t i = 0; i < o->channels && s->sign < 0; i++)
        o->mean[i] -= (double)g->param[g->value[s->value].offset + (size_t)i];
}

static int correct_layer(const struct correction *c, const struct places *p, int i, struct err *e)
{
    const struct outputs *plain = &p->plain[i], *is = &p->is[i];
    const struct sink *now = &p->now[i];
    const int status = mean_outputs(c, c->graph, c->quant, &p->is[i], 1, e);
    real *to = c->graph->param + c->graph->value[now->value].offset;

    if (status)
        return status;
    beyond(c->plain, &p->before[i], plain);
    beyond(c->graph, now, is);
    for (int64_t k = 0; k < is->channels; k++)
        to[k] = (real)((double)to[k] + now->sign * (plain->mean[k] - is->mean[k]));
    return 0;
}

static bool open_outputs(struct outputs *o, const struct graph *g, const struct layer *l, int64_t channels)
{
    *o = (struct outputs){ g->node[l->node].output[0], channels,
                           mem_array((size_t)channels, sizeof *o->mean) };
    return o->mean;
}

static bool open_places(struct places *p, int room)
{
    const size_t count = (size_t)room + 1;

    p->before = mem_array(count, sizeof *p->before);
    p->now = mem_array(count, sizeof *p->now);
    p->plain = mem_array(count, sizeof *p->plain);
    p->is = mem_array(count, sizeof *p->is);
    return p->before && p->now && p->plain && p->is;
}

static void places_free(struct places *p)
{
    for (int i = 0; i < p->count; i++) {
        free(p->plain[i].mean);
        free(p->is[i].mean);
    }
    free(p->before);
    free(p->now);
    free(p->plain);
    free(p->is);
}

static int find_places(const struct correction *c, struct places *p, struct err *e)
{
    struct layer *plain = NULL, *layers = NULL;
    int plain_count = 0, count = 0;
    int status = graph_layers(c->plain, &plain, &plain_count, e);

    if (!status)
        status = graph_layers(c->graph, &layers, &count, e);
    if (!status && count != plain_count)
        status = err_set(e, ERR_INTERNAL, "the quantized network has other layers");
    if (!status && !open_places(p, count))
        status = err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < count && !status; i++) {
        const int at = p->count;
        if (!find_sink(c->plain, &plain[i], &p->before[at]) || !find_sink(c->graph, &layers[i], &p->now[at]))
            continue;
        const int64_t channels = shape_count(&c->graph->value[p->now[at].value].shape);
        const bool opened = open_outputs(&p->plain[at], c->plain, &plain[i], channels);
        p->count++;
        if (!open_outputs(&p->is[at], c->graph, &layers[i], channels) || !opened)
            status = err_set(e, ERR_NOMEM, "out of memory");
    }
    free(plain);
    free(layers);
    return status;
}

int correct_biases(const struct correction *c, int *corrected, struct err *e)
{
    struct places p = { 0 };
    int status = find_places(c, &p, e);

    *corrected = 0;
    quant_apply(c->quant, c->graph, c->net.pool);
    if (!status && p.count)
        status = mean_outputs(c, c->plain, NULL, p.plain, p.count, e); /* all of them in one pass */
    for (int i = 0; i < p.count && !status; i++) {
        status = correct_layer(c, &p, i, e);
        ++*corrected;
    }
    places_free(&p);
    return status;
}
