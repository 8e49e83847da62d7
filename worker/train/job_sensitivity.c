/* job_sensitivity.c - which layers bear few bits: a job's report, and widths by a budget. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/mem.h"
#include "worker/calibrate/allocate.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCHES 2
#define SERIES  64 /* layers, to have curves of their own each */

static int measure(struct job *j, struct sensitivity_row *row, int count, struct err *e)
{
    struct sensitivity s = { .net = job_net_options(j, false, j->task->batch) };
    struct target target = { 0 };
    int status = job_quant_options(j, &s.quant, e);

    s.net.codes = false;
    s.look = job_calibration(j, s.quant.method, &target);
    s.look.batches = job_batches(j, &target, BATCHES);
    if (!status)
        status = trainer_target(&target, j->loss, j->graph, j->task->batch, e);
    if (!status)
        status = sensitivity_measure(&s, row, count, e);
    trainer_target_free(&target);
    return status;
}

/* Outputs by noise in dB; null where nothing was measured or nothing is changed. */
static json_t *decibels(double noise)
{
    return noise > 0 ? json_real(-10 * log10(noise)) : json_null();
}

static json_t *widths_json(const double *noise)
{
    json_t *o = json_object();
    char key[12];

    for (int bits = SENSITIVITY_LEAST; bits <= SENSITIVITY_MOST; bits++) {
        snprintf(key, sizeof key, "%d", bits);
        json_object_set_new(o, key, decibels(noise[bits]));
    }
    return o;
}

static void tell_series(struct job *j, const char *what, const char *layer, const double *noise)
{
    char series[96];

    snprintf(series, sizeof series, "%s.%s", what, layer);
    for (int bits = SENSITIVITY_LEAST; bits <= SENSITIVITY_MOST; bits++)
        if (noise[bits] > 0) {
            curves_add(&j->curves, series, bits, -10 * log10(noise[bits]));
            events_metric(j->events, series, bits, -10 * log10(noise[bits]));
        }
}

static void tell_layer(struct job *j, const struct layer *l, const struct sensitivity_row *row, bool series)
{
    json_array_append_new(j->layers,
                          json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "name", l->name, "op",
                                    j->graph->node[l->node].op->name, "parameters", (json_int_t)l->parameters,
                                    "macs", (json_int_t)l->macs, "weights_snr", widths_json(row->weights),
                                    "activations_snr", widths_json(row->activations)));
    if (!series)
        return;
    tell_series(j, "weights_snr", l->name, row->weights);
    tell_series(j, "activations_snr", l->name, row->activations);
}

int job_sensitivity(struct job *j, struct err *e)
{
    struct sensitivity_row *row = NULL;
    struct layer *layers = NULL;
    int count = 0, status = graph_layers(j->graph, &layers, &count, e);

    events_phase(j->events, "sensitivity");
    if (!status && count == 0)
        status = err_set(e, ERR_INVALID, "the model has no layer with weights");
    if (!status && !(row = mem_array((size_t)count, sizeof *row)))
        status = err_set(e, ERR_NOMEM, "out of memory");
    if (!status)
        status = measure(j, row, count, e);
    for (int i = 0; i < count && !status; i++)
        tell_layer(j, &layers[i], &row[i], count <= SERIES);
    free(row);
    free(layers);
    return status;
}

/* --- budget --- */

static const struct limit {
    const char *pointer;
    enum allocate_what what;
    const char *unit;
} budgets[] = {
    { "/quantize/budget/bytes", ALLOCATE_BYTES, "bytes of weights" },
    { "/quantize/budget/bit_operations", ALLOCATE_BIT_OPERATIONS, "bit operations a sample" },
};

bool job_has_budget(const struct job *j)
{
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++)
        if (spec_double(j->spec, budgets[i].pointer, 0) > 0)
            return true;
    return false;
}

/* What may change: nothing of a layer that an override names, and outer layers keep their least width. */
static struct allocate_layer layer_of(const struct job *j, const struct layer *l,
                                      const struct quant_layer_plan *p, bool outer)
{
    const int edge = (int)spec_int(j->spec, "/quantize/first_last_bits", 8);
    const int least = outer && edge > SENSITIVITY_LEAST ? edge : SENSITIVITY_LEAST;
    struct allocate_layer a = { .weights = shape_count(&j->graph->value[l->weight].shape),
                                .macs = l->macs,
                                .weight_bits = p->weight_bits,
                                .activation_bits = p->activation.bits,
                                .weight_least = least,
                                .activation_least = least };

    if (job_overridden(j, l->name)) {
        a.weight_least = a.weight_bits;
        a.activation_least = a.activation_bits;
    }
    return a;
}

static int meet(struct job *j, const struct limit *b, struct allocate_layer *a,
                const struct sensitivity_row *row, int count, struct err *e)
{
    const double budget = spec_double(j->spec, b->pointer, 0);

    if (!(budget > 0))
        return 0;
    const bool met = allocate(a, row, count, b->what, budget);
    const double cost = allocate_cost(a, count, b->what);
    if (!met) {
        err_set(e, ERR_INVALID, "even the least widths take %.0f %s, not %.0f", cost, b->unit, budget);
        return err_at(e, "%s", b->pointer);
    }
    events_log(j->events, "info", "widths by budget: %.0f of %.0f %s", cost, budget, b->unit);
    return 0;
}

int job_allocate(struct job *j, struct quant_layer_plan *plan, int count, struct err *e)
{
    struct sensitivity_row *row = mem_array((size_t)count + 1, sizeof *row);
    struct allocate_layer *a = mem_array((size_t)count + 1, sizeof *a);
    struct layer *layers = NULL;
    int status =
        row && a ? graph_layers(j->graph, &layers, &count, e) : err_set(e, ERR_NOMEM, "out of memory");

    events_phase(j->events, "budget");
    if (!status)
        status = measure(j, row, count, e);
    for (int i = 0; i < count && !status; i++)
        a[i] = layer_of(j, &layers[i], &plan[i], i == 0 || i == count - 1);
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets && !status; i++)
        status = meet(j, &budgets[i], a, row, count, e);
    for (int i = 0; i < count && !status; i++) {
        plan[i].weight_bits = a[i].weight_bits;
        plan[i].activation.bits = a[i].activation_bits;
    }
    free(layers);
    free(row);
    free(a);
    return status;
}

int job_sensitivity_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e)
{
    struct net_options o = job_net_options(j, false, j->task->batch);

    o.codes = false;
    const int status = net_bytes(quantized, &o, bytes, e);
    *bytes += sensitivity_bytes(j->graph, o.batch, job_batches(j, NULL, BATCHES).count) +
              quantized->param_count * (2 * sizeof(real) + 1);
    return status;
}
