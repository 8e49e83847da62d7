/* attach.c - quant_new: which tensors of a graph are quantized, and the nodes, memory and cut that it takes.
 */
#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"
#include "worker/quant/basis.h"
#include "worker/quant/method.h"
#include "worker/quant/replace.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK ((size_t)8192)

static void copy_name(char out[64], const char *name)
{
    snprintf(out, 64, "%s", name);
}

static int find_number(const struct quant_activation *a, const struct graph *g, const char *what)
{
    char name[160];

    snprintf(name, sizeof name, "%.120s.%s", a->name, what);
    return graph_find_value(g, name);
}

/* A parameter of the activation quantizer, and the first of its numbers. */
static int add_numbers(struct graph *g, const struct quant_activation *a, const char *what, bool trainable,
                       const real *numbers, int count, struct err *e)
{
    float init[QUANT_LEVELS];
    char name[160];

    for (int i = 0; i < count; i++)
        init[i] = (float)numbers[i];
    snprintf(name, sizeof name, "%.120s.%s", a->name, what);
    return graph_add_param(g, name, &(struct shape){ .rank = 1, .dim = { count } }, trainable, init, e);
}

/* The parameters of the quantizer's node: number of them, or an error. */
static int add_params(struct graph *g, const struct quant *q, real step, int param[2], struct err *e)
{
    const struct quant_activation *a = &q->activation[q->activations];
    struct basis_levels l;

    if (!a->basis) {
        param[0] = add_numbers(g, a, "step", !a->fixed, &step, 1, e);
        return param[0] < 0 ? param[0] : 1;
    }
    basis_levels(q->basis[q->activations].v, a->bits, a->signs, &l);
    param[0] = add_numbers(g, a, "thresholds", false, l.threshold, l.count - 1, e);
    param[1] = param[0] < 0 ? param[0] : add_numbers(g, a, "levels", q->basis_learns, l.level, l.count, e);
    return param[1] < 0 ? param[1] : 2;
}

/* After the value that is quantized; with a number where the model's own quantizer of it stays, or another
 * value's name begins alike. */
static void name_activation(struct quant_activation *a, const struct graph *g, const char *value)
{
    copy_name(a->name, value);
    for (int i = 2; find_number(a, g, "step") >= 0 || find_number(a, g, "levels") >= 0; i++)
        snprintf(a->name, sizeof a->name, "%.48s_%d", value, i);
}

/* One that learns by its gradient keeps its signs, so it begins with positive elements. */
static void begin_basis(struct quant *q, const struct quant_activation *a, const real *v)
{
    double positive[BASIS_BITS];
    real *to = q->basis[q->activations].v;

    memcpy(to, v, sizeof q->basis->v);
    if (!q->basis_learns)
        return;
    for (int k = 0; k < a->bits; k++)
        positive[k] = a->signs ? fabs((double)v[k]) : (double)v[k];
    basis_positive(positive, a->bits);
    for (int k = 0; k < a->bits; k++)
        to[k] = (real)positive[k];
}

/* The quantizer's node on the edge from its source into the nodes given. */
static int insert_node(struct quant *q, struct graph *g, const struct quant_layer_plan *p, int source,
                       const int *consumer, int consumers, struct err *e)
{
    struct quant_activation *a = &q->activation[q->activations];
    char name[160];
    int param[2], params;

    *a = (struct quant_activation){ .bits = p->activation.bits,
                                    .high = p->activation.high,
                                    .features = shape_count(&g->value[source].shape),
                                    .fixed = p->activation.fixed,
                                    .basis = p->activation.basis,
                                    .signs = p->activation.low < 0 };
    name_activation(a, g, g->value[source].name);
    if (a->basis)
        begin_basis(q, a, p->activation.v);
    if ((params = add_params(g, q, p->activation.step, param, e)) < 0)
        return params;
    snprintf(name, sizeof name, "%.120s/Quantize", a->name);
    int node = graph_insert(g, source, a->basis ? "QuantdLevels" : "QuantdFakeQuant", name, param, params,
                            consumer, consumers, e);
    if (node < 0)
        return node;
    if (!a->basis && (node_set_int(&g->node[node], "low", p->activation.low) ||
                      node_set_int(&g->node[node], "high", p->activation.high)))
        return err_set(e, ERR_NOMEM, "out of memory");
    q->activations++;
    return 0;
}

/* A quantizer behind the input of layer `first`, for all the layers of the plan that read it. */
static int insert_activation(struct quant *q, struct graph *g, const struct layer *layers,
                             const struct quant_layer_plan *plan, int count, int first, struct err *e)
{
    int source = g->node[layers[first].node].input[0];
    int consumer[256], consumers = 0, widest = first;

    for (int i = first; i < count && consumers < 256; i++) {
        if (g->node[layers[i].node].input[0] != source || plan[i].activation.bits == 32)
            continue;
        consumer[consumers++] = layers[i].node;
        if (plan[i].activation.bits > plan[widest].activation.bits)
            widest = i;
    }
    return insert_node(q, g, &plan[widest], source, consumer, consumers, e);
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

/* Which layers read which value is asked of the graph as it was: decide first, then insert. */
static int insert_activations(struct quant *q, struct graph *g, const struct layer *layers,
                              const struct quant_layer_plan *plan, int count, struct err *e)
{
    bool *leads = mem_array((size_t)count + 1, sizeof *leads);
    int status = leads ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (int i = 0; leads && i < count; i++)
        leads[i] = plan[i].activation.bits != 32 && !quantized_before(g, layers, plan, i);
    for (int i = 0; i < count && !status; i++)
        if (leads[i])
            status = insert_activation(q, g, layers, plan, count, i, e);
    free(leads);
    return status;
}

/* Output channels lie along the first axis, but in matrices that stand on the right (MatMul, Gemm). */
static int channel_axis(const struct graph *g, const struct node *n, int weight)
{
    const bool gemm = strcmp(n->op->name, "Gemm") == 0, matmul = strcmp(n->op->name, "MatMul") == 0;

    if (matmul || (gemm && !node_int(n, "transB", 0)))
        return g->value[weight].shape.rank - 1;
    return 0;
}

/* How many scales the weight of a layer has, and which weights share one. */
static void share_scales(struct quant *q, const struct graph *g, const struct layer *l, bool per_channel,
                         struct quant_weight *w)
{
    const struct value *v = &g->value[l->weight];

    w->axis = per_channel ? channel_axis(g, &g->node[l->node], l->weight) : -1;
    w->channels = per_channel ? (int)v->shape.dim[w->axis] : 1;
    w->stride = w->axis > 0 ? w->channels : 1;
    w->width = w->quantizer->width(w->bits);
    w->channel = q->channels;
    q->channels += w->channels;
    q->scales += w->channels * w->width;
}

static bool locate_activation(struct quant_activation *a, const struct graph *g)
{
    a->step = find_number(a, g, "step");
    a->threshold = find_number(a, g, "thresholds");
    a->level = find_number(a, g, "levels");
    if (!a->basis)
        return a->step >= 0;
    a->step = -1;
    for (int i = 0; a->level >= 0 && i < g->nodes; i++)
        if (g->node[i].inputs == 3 && g->node[i].input[2] == a->level)
            a->source = g->node[i].input[0];
    return a->threshold >= 0 && a->level >= 0;
}

/* per_channel NULL: scales stay as they are. */
static int locate(struct quant *q, struct graph *g, const bool *per_channel, struct err *e)
{
    for (int i = 0; i < q->activations; i++)
        if (!locate_activation(&q->activation[i], g))
            return err_set(e, ERR_INTERNAL, "no step for %s", q->activation[i].name);
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
        g->value[l->weight].coded = w->quantizer->width(w->bits) == 1;
        q->total += (int64_t)w->count;
        if (per_channel)
            share_scales(q, g, l, *per_channel, w);
    }
    free(layers);
    return status;
}

int quant_locate(struct quant *q, struct graph *g, struct err *e)
{
    return locate(q, g, NULL, e);
}

/* Weights of one channel: they share a scale. */
static size_t channel_size(const struct quant_weight *w)
{
    return w->count / (size_t)w->channels;
}

static int cut_chunks(struct quant *q)
{
    size_t chunks = 0;

    for (int i = 0; i < q->weights; i++)
        chunks += (size_t)q->weight[i].channels * ((channel_size(&q->weight[i]) + CHUNK - 1) / CHUNK);
    q->chunk = mem_array(chunks + 1, sizeof *q->chunk);
    if (!q->chunk)
        return ERR_NOMEM;
    for (int i = 0; i < q->weights; i++) {
        const struct quant_weight *w = &q->weight[i];
        const size_t size = channel_size(w), stride = (size_t)w->stride, apart = stride == 1 ? size : 1;
        for (int c = 0; c < w->channels; c++)
            for (size_t at = 0; at < size; at += CHUNK)
                q->chunk[q->chunks++] =
                    (struct quant_chunk){ .weight = i,
                                          .channel = c,
                                          .offset = w->offset + (size_t)c * apart + at * stride,
                                          .count = size - at < CHUNK ? size - at : CHUNK,
                                          .stride = stride };
    }
    return 0;
}

static int allocate(struct quant *q, size_t params)
{
    const size_t scales = (size_t)q->scales + 1, channels = (size_t)q->channels + 1;

    if (cut_chunks(q))
        return ERR_NOMEM;
    q->pass = kernels_best()->update;
    q->q = mem_aligned(64, params * sizeof *q->q + 64);
    q->code = mem_aligned(64, params + 64);
    q->scale = mem_array(scales, sizeof *q->scale);
    q->slope = mem_array(scales, sizeof *q->slope);
    q->sums = mem_array(channels, sizeof *q->sums);
    q->tally = mem_array((size_t)q->activations * QUANT_TALLIES + 1, sizeof *q->tally);
    for (int i = 0; i < 2; i++) {
        q->moment[i] = mem_array(scales, sizeof *q->moment[i]);
        q->memory[i] = mem_array(scales, sizeof *q->memory[i]);
        if (!q->moment[i] || !q->memory[i])
            return ERR_NOMEM;
    }
    if (q->method->bins) {
        q->bins = mem_array(channels, sizeof *q->bins);
        q->layer_bins = mem_array((size_t)q->weights + 1, sizeof *q->layer_bins);
        q->chunk_bins = mem_array((size_t)q->chunks + 1, sizeof *q->chunk_bins);
        if (!q->bins || !q->layer_bins || !q->chunk_bins)
            return ERR_NOMEM;
    }
    real *scale = q->scale;
    for (int i = 0; scale && i < q->weights; i++) {
        q->weight[i].scale = scale;
        scale += q->weight[i].channels * q->weight[i].width;
    }
    return q->q && q->code && q->scale && q->slope && q->sums && q->tally ? 0 : ERR_NOMEM;
}

static void choose_weights(struct quant *q, const struct layer *layers, const struct quant_layer_plan *plan,
                           int count, const struct grid *grid)
{
    for (int i = 0; i < count; i++) {
        if (plan[i].weight_bits == 32)
            continue;
        struct quant_weight *w = &q->weight[q->weights++];
        copy_name(w->layer, layers[i].name);
        w->bits = plan[i].weight_bits;
        w->grid = grid_of_bits(grid, w->bits);
        w->quantizer = q->method->quantizer(w->bits);
    }
}

int quant_new(struct graph *g, const struct quant_layer_plan *plan, int count, const struct quant_options *o,
              struct quant **out, struct err *e)
{
    struct quant *q = mem_alloc(sizeof *q);
    struct layer *layers = NULL;
    int layer_count, status = ERR_NOMEM;

    if (!q)
        return err_set(e, ERR_NOMEM, "out of memory");
    q->method = o->method;
    q->basis_learns = o->basis_learns;
    q->weight = mem_array((size_t)count + 1, sizeof *q->weight);
    q->activation = mem_array((size_t)count + 1, sizeof *q->activation);
    q->basis = mem_array((size_t)count + 1, sizeof *q->basis);
    if (!q->weight || !q->activation || !q->basis) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    if ((status = replace_quantizers(g, plan, count, &q->replaced, e)) ||
        (status = graph_layers(g, &layers, &layer_count, e)))
        goto out;
    if (layer_count != count) {
        status = err_set(e, ERR_INTERNAL, "a plan for %d layers, but the graph has %d", count, layer_count);
        goto out;
    }
    choose_weights(q, layers, plan, count, o->grid);
    if ((status = insert_activations(q, g, layers, plan, count, e)) || (status = graph_finish(g, e)) ||
        (status = locate(q, g, &o->per_channel, e)))
        goto out;
    if (allocate(q, g->param_count))
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
    for (int i = 0; i < 2; i++) {
        free(q->moment[i]);
        free(q->memory[i]);
    }
    free(q->basis);
    free(q->tally);
    free(q->weight);
    free(q->activation);
    free(q->chunk);
    free(q->chunk_bins);
    free(q->bins);
    free(q->layer_bins);
    free(q->sums);
    free(q->scale);
    free(q->slope);
    free(q->q);
    free(q->code);
    free(q);
}
