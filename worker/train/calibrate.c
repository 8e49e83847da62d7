#include "worker/train/calibrate.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/train/stream.h"

#include <stdlib.h>

#define SAMPLES ((size_t)1 << 15) /* kept per activation */

/* What is remembered of one activation: extremes over everything seen, and a random sample. */
struct range {
    int value;
    real low, high;
    real *sample; /* owned */
    size_t count;
};

static double step_error(const real *x, size_t count, real step, real low, real high)
{
    double error = 0;

    for (size_t i = 0; i < count; i++) {
        real k = real_rint(x[i] / step);
        k = k < low ? low : k > high ? high : k;
        double d = (double)(x[i] - k * step);
        error += d * d;
    }
    return error;
}

real calibrate_step(const real *x, size_t count, int low, int high)
{
    real top = 0;

    for (size_t i = 0; i < count; i++) {
        real a = x[i] > 0 ? x[i] / (real)high : low < 0 ? x[i] / (real)low : 0;
        top = a > top ? a : top;
    }
    if (!(top > 0))
        return (real)1 / (real)high; /* never anything but zero */
    double best_error = -1;
    real best = top;
    /* from no clipping at all downward in steps of 3 %, until two octaves below the best */
    for (real step = top; step > top / 128 && step > best / 4; step *= (real)0.97) {
        double error = step_error(x, count, step, (real)low, (real)high);
        if (best_error < 0 || error < best_error) {
            best_error = error;
            best = step;
        }
    }
    return best;
}

static void take_samples(struct range *r, const real *x, size_t features, int samples, size_t quota,
                         struct rng *g)
{
    int blocks = (samples + LANES - 1) / LANES;

    for (int b = 0; b < blocks; b++)
        for (size_t f = 0; f < features; f++)
            for (int lane = 0; lane < LANES && b * LANES + lane < samples; lane++) {
                real v = x[((size_t)b * features + f) * LANES + (size_t)lane];
                r->low = v < r->low ? v : r->low;
                r->high = v > r->high ? v : r->high;
            }
    for (size_t i = 0; i < quota && r->count < SAMPLES; i++) {
        uint32_t s = rng_below(g, (uint32_t)samples), f = rng_below(g, (uint32_t)features);
        r->sample[r->count++] = x[((size_t)(s / LANES) * features + f) * LANES + s % LANES];
    }
}

static bool pixels_are_exact(const struct graph *g, const struct dataset *d, int value)
{
    bool plain = g->value[value].kind == VALUE_INPUT;

    for (int c = 0; c < d->channels; c++)
        plain = plain && d->mean[c] == 0 && d->stddev[c] == 1;
    return plain;
}

static void decide(const struct graph *g, const struct dataset *d, const struct range *r,
                   struct quant_layer_plan *p)
{
    int bits = p->activation.bits;

    p->activation.low = r->low < 0 ? -(1 << (bits - 1)) : 0;
    p->activation.high = r->low < 0 ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    p->activation.fixed = bits == 8 && r->low >= 0 && pixels_are_exact(g, d, r->value);
    p->activation.step = p->activation.fixed
                             ? (real)1 / 255
                             : calibrate_step(r->sample, r->count, p->activation.low, p->activation.high);
}

int calibrate_activations(struct graph *g, struct net *net, struct pool *p, struct loader *l, int batch,
                          int batches, struct quant_layer_plan *plan, int count, struct err *e)
{
    struct layer *layers = NULL;
    int layer_count, status = graph_layers(g, &layers, &layer_count, e);
    struct range *range = mem_array((size_t)count + 1, sizeof *range);
    int32_t *label = mem_array((size_t)batch + LANES, sizeof *label);

    if (status)
        goto out;
    status = range && label ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < count && !status; i++) {
        range[i].value = g->node[layers[i].node].input[0];
        range[i].low = (real)INFINITY;
        range[i].high = (real)-INFINITY;
        range[i].sample = mem_array(SAMPLES, sizeof(real));
        if (!range[i].sample)
            status = err_set(e, ERR_NOMEM, "out of memory");
        else if (g->value[range[i].value].kind != VALUE_INPUT)
            net_watch(net, range[i].value);
    }
    if (status)
        goto out;
    int64_t available = (l->count + batch - 1) / batch;
    batches = available < batches ? (int)available : batches;
    loader_shuffle(l, UINT32_MAX); /* an epoch of its own: any batches will do, always the same */
    l->augment = AUGMENT_NONE;
    for (int b = 0; b < batches; b++) {
        int64_t at = (int64_t)b * batch;
        int samples = l->count - at < batch ? (int)(l->count - at) : batch;
        loader_fill(l, p, at, samples, net_blocks(net), net_input(net), label);
        net_forward(net, samples, false, 0);
        for (int i = 0; i < count; i++) {
            struct rng r = rng_at(l->seed, stream_of(STREAM_CALIBRATE, (uint64_t)i), (uint64_t)b << 32);
            const real *x = g->value[range[i].value].kind == VALUE_INPUT ? net_input(net)
                                                                         : net_value(net, range[i].value);
            take_samples(&range[i], x, (size_t)shape_count(&g->value[range[i].value].shape), samples,
                         SAMPLES / (size_t)batches, &r);
        }
    }
    for (int i = 0; i < count; i++)
        if (plan[i].activation.bits != 32)
            decide(g, l->dataset, &range[i], &plan[i]);
out:
    for (int i = 0; range && i < count; i++)
        free(range[i].sample);
    free(range);
    free(label);
    free(layers);
    return status;
}
