#include "worker/train/job.h"

#include "api/spec.h"
#include "worker/kernels/kernels.h"
#include "worker/train/job_parts.h"

#include <malloc.h>
#include <stdio.h>

#define LARGE_BYTES (256 << 10)

static const char *const sections_quantize[] = {
    "quantize", "calibrate", "overrides", "train", "export", NULL
};
static const char *const sections_prune[] = { "prune", "overrides", "train", "export", NULL };
static const char *const sections_compress[] = { "prune", "quantize", "calibrate", "overrides", "rate",
                                                 "goal",  "train",    "export",    NULL };
static const char *const sections_train[] = { "train", "export", NULL };
static const char *const sections_sensitivity[] = { "quantize", "calibrate", NULL };
static const char *const sections_evaluate[] = { "engine", NULL };

static const struct kind kind_quantize = { .name = "quantize",
                                           .title = "Quantization-aware training",
                                           .quantizes = true,
                                           .trains = true,
                                           .sections = sections_quantize };
static const struct kind kind_prune = { .name = "prune",
                                        .title = "Pruning, then fine-tuning in floating point",
                                        .prunes = true,
                                        .trains = true,
                                        .sections = sections_prune };
static const struct kind kind_compress = { .name = "compress",
                                           .title = "Pruning, quantization and entropy coding in one",
                                           .prunes = true,
                                           .quantizes = true,
                                           .trains = true,
                                           .sections = sections_compress };
static const struct kind kind_train = {
    .name = "train", .title = "Training in floating point", .trains = true, .sections = sections_train
};
static const struct kind kind_sensitivity = { .name = "sensitivity",
                                              .title = "What each layer's quantization does, width by width",
                                              .analyses = true,
                                              .sections = sections_sensitivity };
static const struct kind kind_evaluate = { .name = "evaluate",
                                           .title = "How good a model is, as it is",
                                           .sections = sections_evaluate };

const struct kind *const kind_list[] = {
    &kind_quantize, &kind_prune, &kind_compress, &kind_train, &kind_sensitivity, &kind_evaluate, NULL
};

const struct kind *kind_find(const char *name)
{
    for (const struct kind *const *k = kind_list; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}

size_t job_limit(const struct job *j)
{
    return (size_t)spec_int(j->spec, "/resources/memory_mb", 2048) << 20;
}

enum precision job_precision(const struct job *j)
{
    int precision = precision_find(spec_text(j->spec, "/train/precision", "mixed"));

    return j->kind->quantizes && precision >= 0 ? (enum precision)precision : PRECISION_FP32;
}

struct net_options job_net_options(const struct job *j, bool train, int batch)
{
    return (struct net_options){ .batch = batch,
                                 .train = train,
                                 .seed = (uint64_t)spec_int(j->spec, "/train/seed", 1),
                                 .limit = job_limit(j),
                                 .precision = job_precision(j),
                                 .codes = j->kind->quantizes,
                                 .kernels = j->kernels,
                                 .pool = j->pool };
}

int job_judge(struct job *j, const struct task_subject *s, bool last, double *value, struct err *e)
{
    struct task_score score = { 0 };
    struct task_subject there = *s;

    there.held_out = j->held_out;
    const int status = j->task->score(j->data, &there, last, &score, e);

    if (status)
        return status;
    *value = score.value;
    j->samples = score.samples;
    j->per_second = score.per_second;
    if (last) {
        json_decref(j->detail);
        j->detail = score.detail;
    }
    return 0;
}

const char *job_series(const struct job *j, char series[48])
{
    snprintf(series, 48, "%s%s", j->held_out ? "held_out_" : "", j->task->metric);
    return series;
}

static int evaluate_input(struct job *j, struct err *e)
{
    const struct task_subject input = { .graph = j->graph };
    char series[48];

    events_phase(j->events, "baseline");
    int status = job_judge(j, &input, !j->kind->trains, &j->float_value, e);
    if (!status) {
        j->float_per_second = j->per_second;
        curves_add(&j->curves, job_series(j, series), 0, j->float_value);
        events_metric(j->events, series, 0, j->float_value);
    }
    return status;
}

/* The same network again, on another engine: that is then the result. */
static int evaluate_engine(struct job *j, struct err *e)
{
    const struct task_subject input = { .graph = j->graph, .engine = j->engine };

    if (j->kind->trains || !j->engine->integers)
        return 0;
    events_phase(j->events, j->engine->name);
    return job_judge(j, &input, true, &j->value, e);
}

static int choose_engine(struct job *j, struct err *e)
{
    j->engine = engine_kind_find(spec_text(j->spec, "/engine", "float"));
    if (j->engine)
        return 0;
    err_set(e, ERR_INVALID, "there is no such engine");
    return err_at(e, "/engine");
}

int job_pipeline(struct job *j, struct err *e)
{
    int status = 0;

    j->value = j->trained_value = j->latent_value = j->float_value;
    if (j->kind->prunes && (status = job_prune(j, e)))
        return status;
    if (j->kind->quantizes && (status = job_prepare(j, e)))
        return status;
    if ((status = job_train(j, e)) || (status = job_export(j, e)) || (status = job_score(j, e)))
        return status;
    if (j->prune)
        j->pruned_share = (double)j->prune->marked / (double)j->prune->total;
    j->parameters_left = graph_parameters(j->graph);
    return 0;
}

int job_run(struct job *j, struct err *e)
{
    int status;

    /* what is large goes back to the system when it is freed: else the stations' memory adds up */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    j->base_bytes = job_peak_bytes();
    j->layers = json_array();
    j->trials = 1;
    j->pool = pool_new(j->threads);
    if (!j->pool || !j->layers)
        return err_set(e, ERR_NOMEM, "out of memory");
    if ((status = choose_engine(j, e)) || (status = job_load(j, e)) || (status = job_memory(j, e)) ||
        (status = evaluate_input(j, e)))
        return status;
    j->value = j->float_value;
    if ((status = evaluate_engine(j, e)))
        return status;
    if (j->kind->analyses && (status = job_sensitivity(j, e)))
        return status;
    if (j->kind->trains && (status = job_searches(j) ? job_search(j, e) : job_pipeline(j, e)))
        return status;
    return job_finish(j, e);
}

void job_forget(struct job *j)
{
    net_free(j->net);
    rate_free(j->rate);
    prune_free(j->prune);
    quant_free(j->quant);
    graph_free(j->graph);
    j->net = NULL;
    j->rate = NULL;
    j->prune = NULL;
    j->quant = NULL;
    j->graph = NULL;
}

void job_deinit(struct job *j)
{
    job_forget(j);
    graph_free(j->teacher);
    graph_free(j->source);
    if (j->task)
        j->task->free(j->data);
    pool_free(j->pool);
    curves_free(&j->curves);
    json_decref(j->layers);
    json_decref(j->detail);
    json_decref(j->search);
}
