/* job_calibrate.c - what is done before a step is trained: equalized channels, ranges of activations,
 * corrected biases; and what that takes. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "worker/calibrate/activations.h"
#include "worker/calibrate/correct.h"
#include "worker/calibrate/equalize.h"

#include <stdlib.h>
#include <string.h>

#define BATCHES 8

struct batches job_batches(const struct job *j, const struct target *target, int fallback)
{
    const int64_t size = j->task->batch, samples = spec_int(j->spec, "/calibrate/samples", fallback * size);

    return (struct batches){ .feed = j->feed,
                             .pool = j->pool,
                             .target = target,
                             .size = (int)size,
                             .count = (int)((samples + size - 1) / size) };
}

struct calibration job_calibration(struct job *j, const struct method *m, const struct target *target)
{
    const char *range = spec_text(j->spec, "/calibrate/range", NULL);

    return (struct calibration){ .graph = j->graph,
                                 .method = m,
                                 .rule = range ? range_rule_find(range) : NULL,
                                 .percentile = spec_double(j->spec, "/calibrate/percentile", 99.99),
                                 .batches = job_batches(j, target, BATCHES),
                                 .exact = j->task->exact(j->data) };
}

static int find_ranges(struct job *j, const struct method *m, struct quant_layer_plan *plan, int count,
                       struct err *e)
{
    const struct net_options o = job_net_options(j, false, j->task->batch);
    struct target target = { 0 };
    struct calibration c = job_calibration(j, m, &target);
    int status = trainer_target(&target, j->loss, j->graph, j->task->batch, e);

    if (!status)
        status = net_new(j->graph, &o, &c.net, e);
    if (!status)
        status = calibrate_activations(&c, plan, count, e);
    net_free(c.net);
    trainer_target_free(&target);
    return status;
}

/* What a method that doesn't train needs, and others may ask for. */
static bool wanted(const struct job *j, const char *pointer)
{
    const struct method *m = method_find(spec_text(j->spec, "/quantize/method", "msqe"));

    return spec_bool(j->spec, pointer, m && m->post_training);
}

bool job_equalizes(const struct job *j)
{
    return wanted(j, "/calibrate/equalize");
}

/* The same function, with the channels that the network now begins with. */
static int renew_teacher(struct job *j, struct err *e)
{
    graph_free(j->teacher);
    j->teacher = NULL;
    return graph_clone(j->graph, &j->teacher, e);
}

static int equalize_channels(struct job *j, struct err *e)
{
    struct target target = { 0 };
    struct equalization z = { .graph = j->graph,
                              .net = job_net_options(j, false, j->task->batch),
                              .batches = job_batches(j, &target, BATCHES) };
    int layers, status = trainer_target(&target, j->loss, j->graph, j->task->batch, e);

    if (!status)
        status = equalize(&z, &layers, e);
    if (!status)
        events_log(j->events, "info", "the channels of %d layers were equalized", layers);
    trainer_target_free(&target);
    return status || !(job_settings(j).distill.features > 0) ? status : renew_teacher(j, e);
}

int job_calibrate(struct job *j, const struct method *m, struct quant_layer_plan *plan, int count,
                  struct err *e)
{
    const int status = job_equalizes(j) ? equalize_channels(j, e) : 0;

    return status ? status : find_ranges(j, m, plan, count, e);
}

/* --- biases --- */

bool job_corrects(const struct job *j)
{
    return wanted(j, "/calibrate/bias_correction");
}

int job_correct(struct job *j, struct graph *plain, struct err *e)
{
    struct target target = { 0 };
    struct correction c = { .plain = plain,
                            .graph = j->graph,
                            .quant = j->quant,
                            .net = job_net_options(j, false, j->task->batch),
                            .batches = job_batches(j, &target, BATCHES) };
    int corrected = 0, status = trainer_target(&target, j->loss, j->graph, j->task->batch, e);

    c.net.codes = false;
    if (!status)
        status = correct_biases(&c, &corrected, e);
    if (!status)
        events_log(j->events, "info", "the biases of %d layers were corrected", corrected);
    trainer_target_free(&target);
    return status;
}

/* --- memory --- */

/* Does a layer before this one read the same value? It is kept once. */
static bool kept_before(const struct graph *g, const struct layer *layers, int i)
{
    for (int k = 0; k < i; k++)
        if (g->node[layers[k].node].input[0] == g->node[layers[i].node].input[0])
            return true;
    return false;
}

/* A net for inference that keeps what every layer reads. */
static int range_bytes(struct job *j, size_t *bytes, struct err *e)
{
    const int batch = j->task->batch;
    const struct net_options o = job_net_options(j, false, batch);
    struct layer *layers = NULL;
    int count = 0, status = net_bytes(j->graph, &o, bytes, e);

    if (!status)
        status = graph_layers(j->graph, &layers, &count, e);
    for (int i = 0; !status && i < count; i++) {
        const struct value *v = &j->graph->value[j->graph->node[layers[i].node].input[0]];
        if (v->kind != VALUE_INPUT && !kept_before(j->graph, layers, i))
            *bytes += batch_bytes(&v->shape, batch);
    }
    free(layers);
    return status;
}

static int equalization_bytes(struct job *j, size_t *bytes, struct err *e)
{
    const struct net_options o = job_net_options(j, false, j->task->batch);
    size_t watched = 0;
    int status = net_bytes(j->graph, &o, bytes, e);

    if (!status)
        status = equalize_bytes(j->graph, o.batch, &watched, e);
    *bytes += watched;
    return status;
}

/* One net of the quantized graph, its weights, and the graph as it was. */
static int correction_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e)
{
    struct net_options o = job_net_options(j, false, j->task->batch);

    o.apart = true;
    o.codes = false;
    const int status = net_bytes(quantized, &o, bytes, e);
    *bytes += j->graph->param_count * sizeof(real) + quantized->param_count * (sizeof(real) + 1);
    return status;
}

int job_calibration_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e)
{
    size_t equalization = 0, correction = 0;
    int status = range_bytes(j, bytes, e);

    if (!status && job_equalizes(j))
        status = equalization_bytes(j, &equalization, e);
    if (!status && job_corrects(j))
        status = correction_bytes(j, quantized, &correction, e);
    *bytes = *bytes > equalization ? *bytes : equalization;
    *bytes = *bytes > correction ? *bytes : correction;
    if (!j->loss->classes)
        *bytes += batch_bytes(&j->graph->value[j->graph->output[0]].shape, j->task->batch);
    return status;
}
