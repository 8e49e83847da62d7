#include "worker/calibrate/activations.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/quant/basis.h"
#include "worker/quant/replace.h"
#include "worker/train/stream.h"

#include <stdlib.h>

#define SAMPLES ((size_t)1 << 15) /* kept per activation */

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

static double least_error(const struct range *r, int low, int high)
{
    const real step = method_activation(r->sample, r->count, low, high);

    return method_activation_error(r->sample, r->count, step, low, high);
}

/* Codes from nought on, where nothing is negative, or so little that half of the codes would be lost on it:
 * an enlarged image rings around its edges. [RULE] The squared error decides. */
static bool one_sided(const struct range *r, int bits)
{
    return !(r->low < 0) ||
           least_error(r, 0, (1 << bits) - 1) < least_error(r, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);
}

static void decide(const struct calibration *c, struct range *r, struct quant_layer_plan *p)
{
    const int bits = p->activation.bits, source = before_quantizers(c->graph, r->value, 1 << bits);
    const bool input = c->graph->value[source].kind == VALUE_INPUT;
    const bool basis = c->method->activation_basis && c->method->activation_basis(bits);
    const bool sided = basis ? !(r->low < 0) : one_sided(r, bits);
    const int low = sided ? 0 : -(1 << (bits - 1)), high = (1 << (sided ? bits : bits - 1)) - 1;

    p->activation.low = low;
    p->activation.high = high;
    p->activation.fixed = bits == 8 && r->low >= 0 && input && c->exact;
    p->activation.basis = basis;
    if (basis)
        basis_start(r->sample, r->count, 1, bits, !sided, p->activation.v);
    else if (p->activation.fixed)
        p->activation.step = (real)1 / 255;
    else
        p->activation.step = c->rule ? c->rule->step(r, low, high, c->percentile)
                                     : c->method->activation(r->sample, r->count, low, high);
}

/* What each layer reads will be remembered; the net must keep it. */
static int watch(const struct calibration *c, const struct layer *layers, struct range *range, int count,
                 struct err *e)
{
    for (int i = 0; i < count; i++) {
        range[i].value = c->graph->node[layers[i].node].input[0];
        range[i].low = (real)INFINITY;
        range[i].high = (real)-INFINITY;
        range[i].sample = mem_array(SAMPLES, sizeof(real));
        if (!range[i].sample)
            return err_set(e, ERR_NOMEM, "out of memory");
        if (c->graph->value[range[i].value].kind == VALUE_INPUT)
            continue;
        net_watch(c->net, range[i].value);
        if (!net_value(c->net, range[i].value))
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

struct looking {
    const struct calibration *c;
    struct range *range;
    int count;
    size_t quota; /* samples of each activation from a batch */
};

static void look(void *arg, int batch, int samples)
{
    const struct looking *l = arg;
    const struct calibration *c = l->c;

    for (int i = 0; i < l->count; i++) {
        const struct value *v = &c->graph->value[l->range[i].value];
        struct rng r =
            rng_at(c->batches.feed->seed, stream_of(STREAM_CALIBRATE, (uint64_t)i), (uint64_t)batch << 32);
        const real *x = v->kind == VALUE_INPUT ? net_input(c->net) : net_value(c->net, l->range[i].value);
        take_samples(&l->range[i], x, (size_t)shape_count(&v->shape), samples, l->quota, &r);
    }
}

static void find_ranges(const struct calibration *c, struct range *range, int count)
{
    const struct batches *b = &c->batches;
    const int64_t available = (b->feed->count + b->size - 1) / b->size;
    struct looking l = { c, range, count, SAMPLES / (size_t)(available < b->count ? available : b->count) };

    batches_run(b, c->net, look, &l);
}

int calibrate_activations(const struct calibration *c, struct quant_layer_plan *plan, int count,
                          struct err *e)
{
    struct layer *layers = NULL;
    int layer_count, status = graph_layers(c->graph, &layers, &layer_count, e);
    struct range *range = mem_array((size_t)count + 1, sizeof *range);

    if (!status && !range)
        status = err_set(e, ERR_NOMEM, "out of memory");
    if (!status)
        status = watch(c, layers, range, count, e);
    if (!status)
        find_ranges(c, range, count);
    for (int i = 0; i < count && !status; i++)
        if (plan[i].activation.bits != 32)
            decide(c, &range[i], &plan[i]);
    for (int i = 0; range && i < count; i++)
        free(range[i].sample);
    free(range);
    free(layers);
    return status;
}
