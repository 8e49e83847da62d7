/* job_memory.c - what a job will take, before it takes it.
 *
 * The job goes through stations one after the other: data are read, the model is loaded, then calibration,
 * training, export, judging. What each holds beside the process, the data and the model's parameters is given
 * back at its end, so the figure is that of the greediest station. Everything large is counted as it will be
 * allocated; what is small (names, graphs, curves) is not. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

size_t job_peak_bytes(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) == 0 ? (size_t)u.ru_maxrss << 10 : 0;
}

static size_t param_bytes(const struct graph *g)
{
    return g->param_capacity * sizeof(real);
}

/* The answers of one batch. */
static size_t target_bytes(const struct job *j, int batch)
{
    return j->loss->classes ? 0 : batch_bytes(&j->graph->value[j->graph->output[0]].shape, batch);
}

/* The graph with its quantizers, whatever their ranges; its parameters are thrown away with it. */
static int quantized_clone(struct job *j, struct graph **g, struct err *e)
{
    struct quant_options o;
    struct quant_layer_plan *plan;
    struct quant *q = NULL;
    int count, status = job_plan_layers(j, &plan, &count, e);

    if (status)
        return status;
    if ((status = job_quant_options(j, &o, e))) {
        free(plan);
        return status;
    }
    for (int i = 0; i < count; i++) {
        plan[i].activation.high = 1;
        plan[i].activation.step = 1;
        plan[i].activation.basis =
            o.method->activation_basis && o.method->activation_basis(plan[i].activation.bits);
    }
    status = graph_clone(j->graph, g, e);
    if (!status)
        status = quant_new(*g, plan, count, &o, &q, e);
    quant_free(q);
    free(plan);
    return status;
}

/* What polishing holds in place of the net that was trained. */
static int polish_bytes(struct job *j, struct graph *g, size_t *bytes, struct err *e)
{
    struct net_options o = job_net_options(j, true, LANES);
    int status = 0;

    *bytes = 0;
    if (job_polish_allowance(j) < 0)
        return 0;
    o.codes = false;
    status = net_bytes(g, &o, bytes, e);
    *bytes += job_polish_bytes(j) + target_bytes(j, LANES);
    return status;
}

/* Nets, moments, quantized weights; a checkpoint is put together in memory. */
static int training_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e)
{
    const struct trainer_settings s = job_settings(j);
    const bool trains = s.epochs > 0 || job_statistics_samples(j) > 0;
    const struct net_options eval = job_net_options(j, false, s.batch_size);
    struct net_options train = job_net_options(j, trains, s.batch_size);
    const size_t block = j->graph->param_count * sizeof(real);
    const size_t moments = s.optimizer ? (size_t)s.optimizer->moments : 0;
    struct graph *g = quantized ? quantized : j->graph;
    size_t net = 0, teacher = 0, score = 0, polish = 0;
    int status;

    train.hints = trains && s.distill.features > 0;
    status = net_bytes(g, &train, &net, e);
    if (!status && j->teacher)
        status = net_bytes(j->teacher, &eval, &teacher, e);
    if (!status && train.hints)
        teacher += hints_bytes(g, j->teacher, s.batch_size);
    if (!status)
        status = j->task->score_bytes(j->data, g, true, &score, e);
    if (!status)
        status = polish_bytes(j, g, &polish, e);
    const size_t checkpoint = (1 + moments) * block;
    const size_t trained = net + target_bytes(j, s.batch_size) + (score > checkpoint ? score : checkpoint);
    *bytes = (trained > polish ? trained : polish) + teacher + moments * block +
             (quantized ? block + g->param_count : 0) + (j->kind->prunes ? job_prune_bytes(j) : 0) +
             (job_rate_lambda(j) > 0 ? rate_bytes(j->graph->param_count) : 0);
    return status;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t largest_param(const struct graph *g)
{
    size_t most = 0;

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM)
            most = larger(most, (size_t)shape_count(&g->value[v].shape) * sizeof(float));
    return most;
}

/* Beside the graph: the file, its fields, and one tensor on its way from there. */
static size_t import_bytes(const struct graph *g, size_t file)
{
    return 2 * file + (file ? largest_param(g) : 0);
}

/* Quantized weights are held with their codes, and are bytes in the file. The coded file is decoded again,
 * and what comes back is written, which takes that file twice. Then it is read, and judged. */
static size_t export_bytes(const struct job *j, size_t score)
{
    const bool quantized = j->kind->quantizes;
    const size_t block = j->graph->param_count * sizeof(real), file = quantized ? block / 4 : block;
    const size_t held = quantized ? 2 * block + j->graph->param_count : 0,
                 back = quantized ? 2 * block : block;

    return held + larger(back + 3 * file, block + larger(import_bytes(j->graph, file), score));
}

/* The greediest station after reading, beside data and model. */
static int station_bytes(struct job *j, size_t *most, struct err *e)
{
    struct graph *quantized = NULL;
    size_t score = 0, one = 0;
    int status = j->task->score_bytes(j->data, j->graph, false, &score, e);

    *most = score;
    if (!status && (j->kind->quantizes || j->kind->analyses))
        status = quantized_clone(j, &quantized, e);
    if (!status && j->kind->quantizes && !(status = job_calibration_bytes(j, quantized, &one, e)))
        *most = larger(*most, one);
    if (!status && (j->kind->analyses || (j->kind->quantizes && job_has_budget(j))) &&
        !(status = job_sensitivity_bytes(j, quantized, &one, e)))
        *most = larger(*most, one);
    if (!status && j->kind->trains && !(status = training_bytes(j, quantized, &one, e)))
        *most = larger(larger(*most, one), export_bytes(j, score));
    graph_free(quantized);
    return status;
}

int job_memory(struct job *j, struct err *e)
{
    bool spilled;
    const size_t limit = job_limit(j), data = j->task->bytes(j->data, &spilled);
    const size_t model = param_bytes(j->graph),
                 models = model * (job_searches(j) ? 2 : 1) + (j->teacher ? param_bytes(j->teacher) : 0);
    /* pixels come before the model, and were in memory until there were too many */
    const size_t reading = spilled ? task_room_memory(limit) : 0;
    const size_t loading = data + model + import_bytes(j->graph, j->model_bytes);
    size_t station;
    const int status = station_bytes(j, &station, e);

    if (status)
        return status;
    j->planned_bytes = j->base_bytes + larger(larger(reading, loading), data + models + station);
    if (j->planned_bytes > limit) {
        err_set(e, ERR_MEMORY,
                "the job needs %zu MiB (%zu for data, %zu for the model, %zu for networks and training); it "
                "may have %zu MiB",
                (j->planned_bytes >> 20) + 1, data >> 20, models >> 20, station >> 20, limit >> 20);
        return err_at(e, "/resources/memory_mb");
    }
    char text[120];
    snprintf(text, sizeof text, "planned memory %zu MiB of %zu MiB", j->planned_bytes >> 20, limit >> 20);
    events_emit(j->events, "log",
                json_pack("{s:s, s:s, s:I}", "level", "info", "text", text, "planned_bytes",
                          (json_int_t)j->planned_bytes));
    return 0;
}
