/* job_train.c - the trainer in its job: checkpoint, events, and the snap at the end. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "worker/train/checkpoint.h"

#include <stdio.h>

struct sink {
    struct job *job;
    struct trainer *trainer;
    char path[4096];
};

static void sink_metric(void *arg, const char *series, int64_t step, double value)
{
    struct sink *s = arg;

    curves_add(&s->job->curves, series, step, value);
    events_metric(s->job->events, series, step, value);
}

static int sink_save(void *arg, struct err *e)
{
    struct sink *s = arg;

    return checkpoint_save(s->path, s->job->spec_hash, s->trainer, e);
}

static struct trainer_settings read_settings(const json_t *spec)
{
    struct trainer_settings s = {
        .epochs = spec_int(spec, "/train/epochs", 10),
        .batch_size = (int)spec_int(spec, "/train/batch_size", 64),
        .learning_rate = spec_double(spec, "/train/learning_rate", 0.01),
        .momentum = spec_double(spec, "/train/momentum", 0.9),
        .weight_decay = spec_double(spec, "/train/weight_decay", 1e-4),
        .optimizer = optimizer_find(spec_text(spec, "/train/optimizer", "sgd")),
        .schedule = schedule_find(spec_text(spec, "/train/schedule", "cosine")),
        .lambda = spec_double(spec, "/quantize/lambda", 1),
    };
    const char *augment = spec_text(spec, "/train/augment", "none");

    while (augment_names[s.augment] && strcmp(augment_names[s.augment], augment) != 0)
        s.augment++;
    return s;
}

/* Weights become what they are quantized to. The accuracy just before, with the latent weights, shows how
 * much is still between the two. */
static int snap(struct job *j, struct trainer *t, struct err *e)
{
    events_phase(j->events, "snap");
    for (int i = 0; i < j->quant->weights; i++)
        net_set_weight(j->net, j->quant->weight[i].value, NULL);
    j->latent_value =
        trainer_score(j->net, j->pool, j->test, t->settings.batch_size, t->classes, t->label, NULL);
    double distance = sqrt(j->quant->error) / quant_median_scale(j->quant);
    if (distance > 1e-3) {
        char text[160];
        snprintf(text, sizeof text,
                 "the weights are still %.2g of a step from the grid at the end: more epochs would help",
                 distance);
        events_emit(j->events, "warning", json_pack("{s:s, s:s}", "code", "not_converged", "text", text));
    }
    quant_refit(j->quant);
    quant_snap(j->quant, j->graph, j->pool);
    return quant_codes(j->quant, j->graph, e);
}

int job_train(struct job *j, struct err *e)
{
    struct trainer t = { .settings = read_settings(j->spec),
                         .graph = j->graph,
                         .pool = j->pool,
                         .train = j->train,
                         .test = j->test,
                         .quant = j->quant,
                         .control = j->control };
    struct sink sink = { .job = j, .trainer = &t };
    struct net_options o = job_net_options(j, true, t.settings.batch_size);
    int status;

    if (!t.settings.optimizer || !t.settings.schedule || !augment_names[t.settings.augment])
        return err_set(e, ERR_INVALID, "unknown optimizer, schedule or augmentation");
    if (j->quant)
        t.method = method_find(spec_text(j->spec, "/quantize/method", "msqe"));
    snprintf(sink.path, sizeof sink.path, "%s/checkpoint", j->dir);
    t.sink = (struct trainer_sink){ &sink, sink_metric, sink_save };
    t.classes = (int)shape_count(&j->graph->value[j->graph->output[0]].shape);
    if ((status = net_new(j->graph, &o, &j->net, e)))
        return status;
    t.net = j->net;
    if ((status = trainer_init(&t, e)))
        goto out;
    status = checkpoint_load(sink.path, j->spec_hash, &t, e);
    if (status == 0)
        events_log(j->events, "info", "continuing from the checkpoint at step %lld of %lld",
                   (long long)t.at.step, (long long)t.steps_total);
    else if (status != ERR_NOT_FOUND)
        events_emit(j->events, "warning",
                    json_pack("{s:s, s:s}", "code", "checkpoint", "text",
                              "the checkpoint can't be used: training starts from the beginning"));
    events_phase(j->events, "train");
    if ((status = trainer_run(&t, e)))
        goto out;
    if (j->quant && (status = snap(j, &t, e)))
        goto out;
    j->trained_value =
        trainer_score(j->net, j->pool, j->test, t.settings.batch_size, t.classes, t.label, NULL);
out:
    trainer_deinit(&t);
    net_free(j->net);
    j->net = NULL;
    return status;
}
