/* quant.c - passes over all quantized weights: forward, backward, scales, snap. */
#include "worker/quant/method.h"

#include <stdlib.h>

struct pass {
    struct quant *q;
    const real *w;
    real *out; /* gradients, or the weights that are pulled */
    real strength;
    const double *regularizer;
};

static const real *scale_of(const struct quant_weight *w, int channel)
{
    return w->scale + channel * w->width;
}

/* Bins are counted where there are few enough levels. */
static bool counted(const struct quant *q, const struct quant_weight *w)
{
    return q->bins && w->bits <= 4;
}

void quant_start(struct quant *q, const struct graph *g)
{
    for (int i = 0; i < q->chunks; i++) {
        const struct quant_chunk *c = &q->chunk[i];
        const struct quant_weight *w = &q->weight[c->weight];
        const size_t first = w->offset + (size_t)c->channel * (w->stride == 1 ? w->count / w->channels : 1);
        if (c->offset == first) /* of its channel: once for all of it */
            q->method->start(w, g->param + first, w->count / (size_t)w->channels, (size_t)w->stride,
                             w->scale + c->channel * w->width);
    }
}

void quant_bind(struct quant *q, struct net *n)
{
    for (int i = 0; i < q->weights; i++) {
        const struct quant_weight *w = &q->weight[i];
        net_set_weight(n, w->value, q->q + w->offset);
        if (w->width == 1)
            net_set_codes(n, w->value, q->code + w->offset, w->scale, w->channels);
    }
}

static void apply_chunks(void *arg, int lo, int hi, int thread)
{
    const struct pass *p = arg;
    struct quant *q = p->q;
    (void)thread;

    for (int i = lo; i < hi; i++) {
        struct quant_chunk *c = &q->chunk[i];
        const struct quant_weight *w = &q->weight[c->weight];
        struct quant_bins *bins = counted(q, w) ? &q->chunk_bins[i] : NULL;
        c->sums = (struct grid_sums){ 0 };
        if (bins)
            *bins = (struct quant_bins){ 0 };
        const struct quant_run run = { p->w + c->offset, q->q + c->offset, q->code + c->offset,
                                       c->count,         c->stride,        q->pass };
        w->quantizer->apply(w, scale_of(w, c->channel), &run, &c->sums, bins);
    }
}

static void add_sums(struct grid_sums *to, const struct grid_sums *from)
{
    to->error += from->error;
    to->wk += from->wk;
    to->kk += from->kk;
    to->zeros += from->zeros;
}

static void add_bins(struct quant_bins *to, const struct quant_bins *from)
{
    for (int k = 0; k < QUANT_LEVELS; k++) {
        to->count[k] += from->count[k];
        to->sum[k] += from->sum[k];
        to->miss[k] += from->miss[k];
        to->error[k] += from->error[k];
    }
}

/* Layers from their channels. */
static void total_layers(struct quant *q)
{
    for (int i = 0; i < q->weights; i++) {
        struct quant_weight *w = &q->weight[i];
        w->sums = (struct grid_sums){ 0 };
        for (int c = 0; c < w->channels; c++)
            add_sums(&w->sums, &q->sums[w->channel + c]);
        if (!q->bins)
            continue;
        q->layer_bins[i] = (struct quant_bins){ 0 };
        for (int c = 0; c < w->channels; c++)
            add_bins(&q->layer_bins[i], &q->bins[w->channel + c]);
    }
}

void quant_apply(struct quant *q, const struct graph *g, struct pool *p)
{
    struct pass a = { .q = q, .w = g->param };
    double error = 0;

    pool_run(p, apply_chunks, &a, q->chunks);
    memset(q->sums, 0, (size_t)q->channels * sizeof *q->sums);
    if (q->bins)
        memset(q->bins, 0, (size_t)q->channels * sizeof *q->bins);
    for (int i = 0; i < q->chunks; i++) {
        const struct quant_chunk *c = &q->chunk[i];
        const struct quant_weight *w = &q->weight[c->weight];
        add_sums(&q->sums[w->channel + c->channel], &c->sums);
        if (counted(q, w))
            add_bins(&q->bins[w->channel + c->channel], &q->chunk_bins[i]);
        error += c->sums.error;
    }
    total_layers(q);
    q->error = q->total ? error / (double)q->total : 0;
}

static void backward_chunks(void *arg, int lo, int hi, int thread)
{
    const struct pass *p = arg;
    struct quant *q = p->q;
    (void)thread;

    for (int i = lo; i < hi; i++) {
        struct quant_chunk *c = &q->chunk[i];
        const struct quant_weight *w = &q->weight[c->weight];
        const real *x = p->w + c->offset;
        real *g = p->out + c->offset;
        c->slope = 0;
        if (q->method->backward)
            c->slope += q->method->backward(w, scale_of(w, c->channel), x, g, c->count, c->stride);
        if (p->regularizer)
            q->method->regularizer->backward(p->regularizer, q, c, x, g);
    }
}

void quant_backward(struct quant *q, const struct graph *g, real *gradients, const double *regularizer,
                    struct pool *p)
{
    const struct regularizer *r = q->method->regularizer;
    struct pass b = { .q = q, .w = g->param, .out = gradients };

    quant_backward_levels(q, g, gradients);
    if (r && r->backward)
        b.regularizer = regularizer;
    if (!q->method->backward && !b.regularizer)
        return;
    pool_run(p, backward_chunks, &b, q->chunks);
    for (int i = 0; i < q->weights; i++)
        for (int c = 0; c < q->weight[i].channels; c++)
            q->slope[q->weight[i].scale - q->scale + c] = 0;
    for (int i = 0; i < q->chunks; i++) {
        const struct quant_chunk *c = &q->chunk[i];
        q->slope[q->weight[c->weight].scale - q->scale + c->channel] += (real)c->slope;
    }
}

void quant_rescale(struct quant *q)
{
    for (int i = 0; q->method->rescale && i < q->weights; i++)
        for (int c = 0; c < q->weight[i].channels; c++)
            q->method->rescale(q, &q->weight[i], c);
}

static void pull_chunks(void *arg, int lo, int hi, int thread)
{
    const struct pass *p = arg;
    (void)thread;

    for (int i = lo; i < hi; i++) {
        const struct quant_chunk *c = &p->q->chunk[i];
        real *w = p->out + c->offset;
        const real *q = p->q->q + c->offset;
        /* w moves towards q and never past it, so its code stays: a resumed run finds the same q */
        if (c->stride == 1)
            p->q->pass->pull(w, q, c->count, p->strength);
        else
            for (size_t k = 0; k < c->count * c->stride; k += c->stride)
                w[k] += p->strength * (q[k] - w[k]);
    }
}

void quant_pull(struct quant *q, struct graph *g, double strength, struct pool *p)
{
    struct pass a = { .q = q, .out = g->param, .strength = (real)strength };

    pool_run(p, pull_chunks, &a, q->chunks);
    /* the sums are of before the pull, which shrinks every distance by 1 - strength */
    q->error *= (1 - strength) * (1 - strength);
}

void quant_snap(struct quant *q, struct graph *g, struct pool *p)
{
    for (int i = 0; i < q->weights; i++) {
        struct quant_weight *w = &q->weight[i];
        for (int c = 0; w->quantizer->settle && c < w->channels; c++)
            w->quantizer->settle(w, w->scale + c * w->width);
    }
    quant_apply(q, g, p);
    for (int i = 0; i < q->weights; i++)
        memcpy(g->param + q->weight[i].offset, q->q + q->weight[i].offset, q->weight[i].count * sizeof(real));
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double quant_median_scale(const struct quant *q)
{
    double scale[1024];
    int count = 0;

    for (int i = 0; i < q->weights && count < 1024; i++) {
        const struct quant_weight *w = &q->weight[i];
        double mean = 0;
        for (int c = 0; c < w->channels; c++)
            mean += w->quantizer->step(w, scale_of(w, c)) / w->channels;
        scale[count++] = mean;
    }
    qsort(scale, (size_t)count, sizeof *scale, compare);
    return count ? scale[count / 2] : 1;
}

int quant_parts(struct quant *q, struct quant_part part[QUANT_PARTS])
{
    const size_t scales = (size_t)q->scales, channels = (size_t)q->channels;
    int n = 0;

    part[n++] = (struct quant_part){ &q->error, sizeof q->error };
    part[n++] = (struct quant_part){ q->scale, scales * sizeof *q->scale };
    part[n++] = (struct quant_part){ q->sums, channels * sizeof *q->sums };
    for (int i = 0; i < 2; i++) {
        part[n++] = (struct quant_part){ q->moment[i], scales * sizeof *q->moment[i] };
        part[n++] = (struct quant_part){ q->memory[i], scales * sizeof *q->memory[i] };
    }
    part[n++] = (struct quant_part){ q->basis, (size_t)q->activations * sizeof *q->basis };
    if (q->bins)
        part[n++] = (struct quant_part){ q->bins, channels * sizeof *q->bins };
    return n;
}

void quant_restored(struct quant *q)
{
    total_layers(q);
}
