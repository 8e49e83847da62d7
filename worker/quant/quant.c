#include "worker/quant/quant.h"
#include "base/mem.h"
#include "worker/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK ((size_t)8192)

static void copy_name(char out[64], const char *name)
{
    snprintf(out, 64, "%s", name);
}

/* The FakeQuant node on the edge from `source` into the layers of the plan that read it. */
static int insert_activation(struct quant *q, struct graph *g, const struct layer *layers,
                             const struct quant_layer_plan *plan, int count, int first, struct err *e)
{
    int source = g->node[layers[first].node].input[0];
    int consumer[256], consumers = 0, widest = first;
    char name[160];

    for (int i = first; i < count && consumers < 256; i++) {
        if (g->node[layers[i].node].input[0] != source || plan[i].activation.bits == 32)
            continue;
        consumer[consumers++] = layers[i].node;
        if (plan[i].activation.bits > plan[widest].activation.bits)
            widest = i;
    }
    struct quant_activation *a = &q->activation[q->activations];
    *a = (struct quant_activation){ .bits = plan[widest].activation.bits,
                                    .high = plan[widest].activation.high,
                                    .features = shape_count(&g->value[source].shape),
                                    .fixed = plan[widest].activation.fixed };
    copy_name(a->name, g->value[source].name);
    snprintf(name, sizeof name, "%.120s.step", a->name);
    float step = (float)plan[widest].activation.step;
    int param = graph_add_param(g, name, &(struct shape){ .rank = 1, .dim = { 1 } }, !a->fixed, &step, e);
    if (param < 0)
        return param;
    snprintf(name, sizeof name, "%.120s/Quantize", a->name);
    int node = graph_insert(g, source, "QuantdFakeQuant", name, &param, 1, consumer, consumers, e);
    if (node < 0)
        return node;
    if (node_set_int(&g->node[node], "low", plan[widest].activation.low) ||
        node_set_int(&g->node[node], "high", plan[widest].activation.high))
        return err_set(e, ERR_NOMEM, "out of memory");
    q->activations++;
    return 0;
}

static bool quantized_before(const struct graph *g, const struct layer *layers,
                             const struct quant_layer_plan *plan, int i)
{
    for (int j = 0; j < i; j++)
        if (plan[j].activation.bits != 32 &&
            g->node[layers[j].node].input[0] == g->node[layers[i].node].input[0])
            return true;
    return false;
}

static int cut_chunks(struct quant *q, struct err *e)
{
    size_t chunks = 0;

    for (int i = 0; i < q->weights; i++)
        chunks += (q->weight[i].count + CHUNK - 1) / CHUNK;
    q->chunk = mem_array(chunks ? chunks : 1, sizeof *q->chunk);
    if (!q->chunk)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < q->weights; i++) {
        const struct quant_weight *w = &q->weight[i];
        for (size_t at = 0; at < w->count; at += CHUNK)
            q->chunk[q->chunks++] = (struct quant_chunk){
                .weight = i, .offset = w->offset + at, .count = w->count - at < CHUNK ? w->count - at : CHUNK
            };
    }
    return 0;
}

int quant_locate(struct quant *q, struct graph *g, struct err *e)
{
    char name[160];

    for (int i = 0; i < q->activations; i++) {
        snprintf(name, sizeof name, "%.120s.step", q->activation[i].name);
        q->activation[i].step = graph_find_value(g, name);
        if (q->activation[i].step < 0)
            return err_set(e, ERR_INTERNAL, "no step for %s", q->activation[i].name);
    }
    struct layer *layers = NULL;
    int count, status = graph_layers(g, &layers, &count, e);
    q->total = 0;
    for (int i = 0; !status && i < q->weights; i++) {
        struct quant_weight *w = &q->weight[i];
        const struct layer *l = layers;
        while (l < layers + count && strncmp(l->name, w->layer, sizeof w->layer - 1) != 0)
            l++;
        if (l == layers + count) {
            status = err_set(e, ERR_INTERNAL, "layer %s is gone", w->layer);
            break;
        }
        w->value = l->weight;
        w->offset = g->value[l->weight].offset;
        w->count = (size_t)shape_count(&g->value[l->weight].shape);
        g->value[l->weight].coded = true;
        q->total += (int64_t)w->count;
    }
    free(layers);
    return status;
}

int quant_new(struct graph *g, const struct quant_layer_plan *plan, int count, const struct grid *grid,
              struct quant **out, struct err *e)
{
    struct quant *q = mem_alloc(sizeof *q);
    struct layer *layers = NULL;
    int layer_count, status = ERR_NOMEM;

    if (!q)
        return err_set(e, ERR_NOMEM, "out of memory");
    q->weight = mem_array((size_t)count + 1, sizeof *q->weight);
    q->activation = mem_array((size_t)count + 1, sizeof *q->activation);
    if (!q->weight || !q->activation) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    if ((status = graph_layers(g, &layers, &layer_count, e)))
        goto out;
    if (layer_count != count) {
        status = err_set(e, ERR_INTERNAL, "a plan for %d layers, but the graph has %d", count, layer_count);
        goto out;
    }
    for (int i = 0; i < count; i++) {
        if (plan[i].weight_bits == 32)
            continue;
        struct quant_weight *w = &q->weight[q->weights++];
        copy_name(w->layer, layers[i].name);
        w->bits = plan[i].weight_bits;
        w->grid = grid;
    }
    /* Which layers read which value is asked of the graph as it was: decide first, then insert. */
    bool *leads = mem_array((size_t)count + 1, sizeof *leads);
    if (!leads) {
        status = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    for (int i = 0; i < count; i++)
        leads[i] = plan[i].activation.bits != 32 && !quantized_before(g, layers, plan, i);
    for (int i = 0; i < count && !status; i++)
        if (leads[i])
            status = insert_activation(q, g, layers, plan, count, i, e);
    free(leads);
    if (status || (status = graph_finish(g, e)) || (status = quant_locate(q, g, e)) ||
        (status = cut_chunks(q, e)))
        goto out;
    q->pass = kernels_best()->update;
    q->q = mem_aligned(64, g->param_count * sizeof *q->q + 64);
    q->code = mem_aligned(64, g->param_count + 64);
    if (!q->q || !q->code)
        status = err_set(e, ERR_NOMEM, "out of memory");
out:
    free(layers);
    if (status)
        quant_free(q);
    else
        *out = q;
    return status;
}

void quant_free(struct quant *q)
{
    if (!q)
        return;
    free(q->weight);
    free(q->activation);
    free(q->chunk);
    free(q->q);
    free(q->code);
    free(q);
}

void quant_fit(struct quant *q, const struct graph *g)
{
    for (int i = 0; i < q->weights; i++) {
        struct quant_weight *w = &q->weight[i];
        w->scale = grid_fit(w->grid, w->bits, g->param + w->offset, w->count);
    }
}

void quant_bind(struct quant *q, struct net *n)
{
    for (int i = 0; i < q->weights; i++) {
        const struct quant_weight *w = &q->weight[i];
        net_set_weight(n, w->value, q->q + w->offset);
        net_set_codes(n, w->value, q->code + w->offset, &w->scale, 1);
    }
}

struct apply {
    struct quant *q;
    const real *w;
};

static void apply_chunks(void *arg, int lo, int hi, int thread)
{
    struct apply *a = arg;
    (void)thread;

    for (int i = lo; i < hi; i++) {
        struct quant_chunk *c = &a->q->chunk[i];
        const struct quant_weight *w = &a->q->weight[c->weight];
        struct grid_rule rule = grid_rule(w->grid, w->bits, w->scale);
        c->sums = (struct grid_sums){ 0 };
        a->q->pass->quantize(&rule, a->w + c->offset, a->q->q + c->offset, a->q->code + c->offset, c->count,
                             &c->sums);
    }
}

void quant_apply(struct quant *q, const struct graph *g, struct pool *p)
{
    struct apply a = { q, g->param };
    double error = 0;

    pool_run(p, apply_chunks, &a, q->chunks);
    for (int i = 0; i < q->weights; i++)
        q->weight[i].sums = (struct grid_sums){ 0 };
    for (int i = 0; i < q->chunks; i++) {
        struct grid_sums *s = &q->weight[q->chunk[i].weight].sums;
        s->error += q->chunk[i].sums.error;
        s->wk += q->chunk[i].sums.wk;
        s->kk += q->chunk[i].sums.kk;
        s->zeros += q->chunk[i].sums.zeros;
        error += q->chunk[i].sums.error;
    }
    q->error = q->total ? error / (double)q->total : 0;
}

void quant_refit(struct quant *q)
{
    for (int i = 0; i < q->weights; i++) {
        struct quant_weight *w = &q->weight[i];
        if (w->sums.kk > 0 && w->sums.wk > 0)
            w->scale = (real)(w->sums.wk / w->sums.kk);
    }
}

void quant_snap(struct quant *q, struct graph *g, struct pool *p)
{
    quant_apply(q, g, p);
    for (int i = 0; i < q->weights; i++)
        memcpy(g->param + q->weight[i].offset, q->q + q->weight[i].offset, q->weight[i].count * sizeof(real));
}

double quant_median_scale(const struct quant *q)
{
    double scale[1024];
    int count = 0;

    for (int i = 0; i < q->weights && count < 1024; i++) {
        const struct quant_weight *w = &q->weight[i];
        double d = (double)w->scale * (w->grid->odd && w->bits > 1 ? 2 : 1);
        int at = count++;
        for (; at > 0 && scale[at - 1] > d; at--)
            scale[at] = scale[at - 1];
        scale[at] = d;
    }
    return count ? scale[count / 2] : 1;
}
