#include "worker/train/job.h"

#include "api/spec.h"
#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/train/job_parts.h"

#include <stdlib.h>

static const char *const sections_quantize[] = { "quantize", "overrides", "train", NULL };
static const char *const sections_train[] = { "train", NULL };
static const char *const sections_none[] = { NULL };

static const struct kind kind_quantize = { "quantize", "Quantization-aware training", true, true,
                                           sections_quantize };
static const struct kind kind_train = { "train", "Training in floating point", false, true, sections_train };
static const struct kind kind_evaluate = { "evaluate", "Accuracy of a model as it is", false, false,
                                           sections_none };

const struct kind *const kind_list[] = { &kind_quantize, &kind_train, &kind_evaluate, NULL };

const struct kind *kind_find(const char *name)
{
    for (const struct kind *const *k = kind_list; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}

struct net_options job_net_options(const struct job *j, bool train, int batch)
{
    return (struct net_options){ .batch = batch,
                                 .train = train,
                                 .seed = (uint64_t)spec_int(j->spec, "/train/seed", 1),
                                 .limit = (size_t)spec_int(j->spec, "/resources/memory_mb", 2048) << 20,
                                 .kernels = j->kernels,
                                 .pool = j->pool };
}

int job_evaluate(struct job *j, struct graph *g, double *value, struct err *e)
{
    struct net_options o = job_net_options(j, false, JOB_EVAL_BATCH);
    int32_t *label = mem_array(JOB_EVAL_BATCH + LANES, sizeof *label);
    struct net *net = NULL;
    int status = label ? net_new(g, &o, &net, e) : err_set(e, ERR_NOMEM, "out of memory");

    if (!status) {
        int classes = (int)shape_count(&g->value[g->output[0]].shape);
        *value = trainer_score(net, j->pool, j->test, JOB_EVAL_BATCH, classes, label, NULL);
        j->samples = j->test->count;
    }
    net_free(net);
    free(label);
    return status;
}

static int evaluate_input(struct job *j, struct err *e)
{
    events_phase(j->events, "baseline");
    int status = job_evaluate(j, j->graph, &j->float_value, e);
    if (!status) {
        curves_add(&j->curves, "top1", 0, j->float_value);
        events_metric(j->events, "top1", 0, j->float_value);
    }
    return status;
}

int job_run(struct job *j, struct err *e)
{
    int status;

    j->layers = json_array();
    j->pool = pool_new(j->threads);
    if (!j->pool || !j->layers)
        return err_set(e, ERR_NOMEM, "out of memory");
    if ((status = job_load(j, e)) || (status = evaluate_input(j, e)))
        return status;
    j->value = j->trained_value = j->latent_value = j->float_value;
    if (j->kind->quantizes && (status = job_prepare(j, e)))
        return status;
    if (j->kind->trains &&
        ((status = job_train(j, e)) || (status = job_export(j, e)) || (status = job_score(j, e))))
        return status;
    return job_finish(j, e);
}

void job_deinit(struct job *j)
{
    net_free(j->net);
    quant_free(j->quant);
    loader_free(j->train);
    loader_free(j->test);
    graph_free(j->graph);
    dataset_free(j->dataset);
    pool_free(j->pool);
    curves_free(&j->curves);
    json_decref(j->layers);
}
