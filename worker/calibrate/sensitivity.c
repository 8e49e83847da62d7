#include "worker/calibrate/sensitivity.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The work at hand: outputs of the float network, and the plans that are tried. */
struct trial {
    const struct sensitivity *s;
    struct quant_layer_plan *ranges; /* [widths][count]: activations at that width */
    struct quant_layer_plan *plan;   /* [count] */
    real *plain;                     /* [batches][outputs of a batch] */
    int count;
};

static size_t outputs_of(const struct graph *g, int batch)
{
    return batch_bytes(&g->value[g->output[0]].shape, batch) / sizeof(real);
}

/* One run over the batches. */
struct looking {
    const struct trial *trial;
    struct net *net;
    double noise, power;
};

static void keep(void *arg, int batch, int samples)
{
    const struct looking *l = arg;
    const struct calibration *c = &l->trial->s->look;
    const size_t count = outputs_of(c->graph, c->batches.size);
    (void)samples;

    memcpy(l->trial->plain + (size_t)batch * count, net_output(l->net, 0), count * sizeof(real));
}

/* Lanes without a sample don't count. */
static void compare(void *arg, int batch, int samples)
{
    struct looking *l = arg;
    const struct calibration *c = &l->trial->s->look;
    const size_t count = outputs_of(c->graph, c->batches.size),
                 features = (size_t)shape_count(&c->graph->value[c->graph->output[0]].shape);
    const real *y = net_output(l->net, 0), *x = l->trial->plain + (size_t)batch * count;

    for (size_t i = 0; i < count; i += LANES) {
        const int first = (int)(i / LANES / features) * LANES;
        for (int k = 0; k < LANES && first + k < samples; k++) {
            const double d = (double)y[i + (size_t)k] - (double)x[i + (size_t)k];
            l->noise += d * d;
            l->power += (double)x[i + (size_t)k] * (double)x[i + (size_t)k];
        }
    }
}

static int keep_plain(const struct trial *t, struct err *e)
{
    struct looking l = { .trial = t };
    const int status = net_new(t->s->look.graph, &t->s->net, &l.net, e);

    if (!status)
        batches_run(&t->s->look.batches, l.net, keep, &l);
    net_free(l.net);
    return status;
}

/* Noise with the quantizers of t->plan. */
static int noise_of_plan(const struct trial *t, double *noise, struct err *e)
{
    struct graph *g = NULL;
    struct quant *q = NULL;
    struct looking l = { .trial = t };
    int status = graph_clone(t->s->look.graph, &g, e);

    if (!status)
        status = quant_new(g, t->plan, t->count, &t->s->quant, &q, e);
    if (!status)
        status = net_new(g, &t->s->net, &l.net, e);
    if (!status) {
        quant_start(q, g);
        quant_apply(q, g, t->s->net.pool);
        quant_bind(q, l.net);
        batches_run(&t->s->look.batches, l.net, compare, &l);
        *noise = l.power > 0 ? l.noise / l.power : 0;
    }
    net_free(l.net);
    quant_free(q);
    graph_free(g);
    return status;
}

static void all_float(const struct trial *t)
{
    for (int i = 0; i < t->count; i++)
        t->plan[i] = (struct quant_layer_plan){ .weight_bits = 32, .activation.bits = 32 };
}

/* Steps of all activations at one width. */
static int find_ranges(const struct trial *t, int bits, struct err *e)
{
    struct quant_layer_plan *plan = t->ranges + (size_t)bits * (size_t)t->count;
    struct calibration c = t->s->look;
    int status = net_new(c.graph, &t->s->net, &c.net, e);

    for (int i = 0; i < t->count; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = 32, .activation.bits = bits };
    if (!status)
        status = calibrate_activations(&c, plan, t->count, e);
    net_free(c.net);
    return status;
}

static bool weights_have(const struct quant_options *o, int bits)
{
    return bits >= o->method->weight_bits[0] && bits <= o->method->weight_bits[1] &&
           bits <= o->grid->bits_max;
}

static bool activations_have(const struct quant_options *o, int bits)
{
    return bits >= o->method->activation_bits[0] && bits <= o->method->activation_bits[1];
}

static int measure_width(const struct trial *t, int bits, struct sensitivity_row *row, struct err *e)
{
    const struct quant_options *o = &t->s->quant;
    int status = activations_have(o, bits) ? find_ranges(t, bits, e) : 0;

    for (int i = 0; i < t->count && !status; i++) {
        row[i].weights[bits] = row[i].activations[bits] = -1;
        all_float(t);
        t->plan[i].weight_bits = bits;
        if (weights_have(o, bits))
            status = noise_of_plan(t, &row[i].weights[bits], e);
        t->plan[i] = t->ranges[(size_t)bits * (size_t)t->count + (size_t)i];
        if (!status && activations_have(o, bits))
            status = noise_of_plan(t, &row[i].activations[bits], e);
    }
    return status;
}

int sensitivity_measure(const struct sensitivity *s, struct sensitivity_row *row, int count, struct err *e)
{
    const size_t outputs = outputs_of(s->look.graph, s->look.batches.size) * (size_t)s->look.batches.count;
    struct trial t = { .s = s,
                       .ranges = mem_array((size_t)count * SENSITIVITY_WIDTHS + 1, sizeof *t.ranges),
                       .plan = mem_array((size_t)count + 1, sizeof *t.plan),
                       .plain = mem_array(outputs, sizeof *t.plain),
                       .count = count };
    int status = t.ranges && t.plan && t.plain ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    if (!status)
        status = keep_plain(&t, e);
    for (int bits = SENSITIVITY_LEAST; bits <= SENSITIVITY_MOST && !status; bits++)
        status = measure_width(&t, bits, row, e);
    free(t.ranges);
    free(t.plan);
    free(t.plain);
    return status;
}

size_t sensitivity_bytes(const struct graph *g, int batch, int batches)
{
    return outputs_of(g, batch) * (size_t)batches * sizeof(real);
}
