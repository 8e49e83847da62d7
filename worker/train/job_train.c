/* job_train.c - the trainer in its job: checkpoint, events, and the snap at the end. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "worker/calibrate/statistics.h"
#include "worker/prune/dead.h"
#include "worker/quant/compact.h"
#include "worker/train/checkpoint.h"

#include <stdio.h>

#define SPARSITY_SERIES 64 /* layers, to have a curve of their own each */

struct sink {
    struct job *job;
    struct trainer *trainer;
    int collapsed; /* layers without a code, when that was last said */
    char path[4096];
};

static void sink_metric(void *arg, const char *series, int64_t step, double value)
{
    struct sink *s = arg;

    step += s->trainer->steps_before;
    curves_add(&s->job->curves, series, step, value);
    events_metric(s->job->events, series, step, value);
}

static int sink_save(void *arg, struct err *e)
{
    struct sink *s = arg;

    return checkpoint_save(s->path, s->job->spec_hash, s->trainer, e);
}

/* Share of the weights of j->prune->weight[i] that are gone: where they are quantized their codes count, for
 * a latent weight may be anything that rounds to zero. */
static double sparsity_of(const struct job *j, int i)
{
    for (int k = 0; j->quant && k < j->quant->weights; k++) {
        const struct quant_weight *w = &j->quant->weight[k];
        if (w->value == j->prune->weight[i].value)
            return (double)w->sums.zeros / (double)w->count;
    }
    return prune_sparsity(j->prune, j->graph, i);
}

/* How many weights are gone, of the network and of each layer. */
static void tell_sparsity(struct sink *s, int64_t step)
{
    const struct job *j = s->job;
    double gone = 0, count = 0;
    char series[96];

    for (int i = 0; i < j->prune->weights; i++) {
        const struct prune_weight *w = &j->prune->weight[i];
        const double share = sparsity_of(j, i);
        gone += share * (double)w->count;
        count += (double)w->count;
        snprintf(series, sizeof series, "sparsity.%s", w->layer);
        if (j->prune->weights <= SPARSITY_SERIES)
            sink_metric(s, series, step, share);
    }
    sink_metric(s, "sparsity", step, count > 0 ? gone / count : 0);
}

/* A layer all of whose codes are 0 gives the same answer to everything. */
static void tell_collapse(struct sink *s, int64_t step)
{
    const struct quant *q = s->job->quant;
    const char *name = NULL;
    int collapsed = 0;

    for (int i = 0; i < q->weights; i++)
        if (q->weight[i].sums.zeros == (int64_t)q->weight[i].count) {
            name = q->weight[i].layer;
            collapsed++;
        }
    if (collapsed > s->collapsed) {
        char text[256];
        snprintf(
            text, sizeof text,
            "every weight of layer %.64s is rounded to zero since step %lld (%d such layers): less weight "
            "decay, a smaller learning rate or more bits may help",
            name, (long long)(step + s->trainer->steps_before), collapsed);
        events_emit(s->job->events, "warning", json_pack("{s:s, s:s}", "code", "collapsed", "text", text));
    }
    s->collapsed = collapsed;
}

static int sink_judge(void *arg, int64_t step, double train_share, struct err *e)
{
    struct sink *s = arg;
    struct job *j = s->job;
    char series[48];
    const struct task_subject now = {
        .graph = j->graph, .quant = j->quant, .net = j->net, .batch = s->trainer->settings.batch_size
    };
    double value;
    const int status = job_judge(j, &now, false, &value, e);

    if (status)
        return status;
    j->judged_value = value;
    j->judged_step = step;
    if (j->task->train_metric)
        sink_metric(arg, j->task->train_metric, step, train_share);
    sink_metric(arg, job_series(j, series), step, value);
    if (j->prune)
        tell_sparsity(s, step);
    if (j->quant)
        tell_collapse(s, step);
    return 0;
}

/* Does it end with what calibration finds? */
static bool post_training(const struct job *j)
{
    const struct method *m =
        j->kind->quantizes ? method_find(spec_text(j->spec, "/quantize/method", "msqe")) : NULL;

    return m && m->post_training;
}

int64_t job_statistics_samples(const struct job *j)
{
    if (!j->kind->quantizes || !statistics_count(j->graph))
        return 0;
    return spec_int(j->spec, "/calibrate/statistics_samples", post_training(j) ? 0 : 6400);
}

struct trainer_settings job_settings(const struct job *j)
{
    const json_t *spec = j->spec;
    const bool trains = !post_training(j);

    return (struct trainer_settings){
        .epochs = trains ? spec_int(spec, "/train/epochs", 10) : 0,
        .batch_size = trains ? (int)spec_int(spec, "/train/batch_size", 64) : j->task->batch,
        .learning_rate = spec_double(spec, "/train/learning_rate", 0.01),
        .momentum = spec_double(spec, "/train/momentum", 0.9),
        .weight_decay = spec_double(spec, "/train/weight_decay", 1e-4),
        .optimizer = optimizer_find(spec_text(spec, "/train/optimizer", "sgd")),
        .schedule = schedule_find(spec_text(spec, "/train/schedule", "cosine")),
        .loss = j->loss,
        .label_smoothing = spec_double(spec, "/train/label_smoothing", 0),
        .distill = { spec_double(spec, "/train/distill/weight", 0),
                     spec_double(spec, "/train/distill/temperature", 4),
                     spec_double(spec, "/train/distill/features", 0) },
        .lambda = spec_double(spec, "/quantize/lambda", 1),
        .coefficient = spec_double(spec, "/quantize/coefficient", -1),
        .bins = { spec_double(spec, "/quantize/bins/lambda", 5),
                  spec_double(spec, "/quantize/bins/warmup", 0.33),
                  spec_double(spec, "/quantize/bins/ramp", 0.05),
                  spec_bool(spec, "/quantize/bins/hold_steps", false) },
    };
}

/* Normalizations see the final weights, by a net of their own: the one that was trained has gone. */
static int measure_statistics(struct job *j, const struct trainer *t, struct err *e)
{
    const int64_t samples = job_statistics_samples(j);
    const int size = t->settings.batch_size, layers = statistics_count(j->graph);
    const struct net_options o = job_net_options(j, true, size);
    struct statistics_measure m = { .graph = j->graph,
                                    .batches = { .feed = t->feed,
                                                 .pool = j->pool,
                                                 .target = &t->target,
                                                 .size = size,
                                                 .count = (int)((samples + size - 1) / size) } };

    if (!samples)
        return 0;
    int status = net_new(j->graph, &o, &m.net, e);
    if (status)
        return status;
    quant_bind(j->quant, m.net);
    quant_apply(j->quant, j->graph, j->pool);
    status = statistics_measure(&m, e);
    net_free(m.net);
    if (!status)
        events_log(j->events, "info", "the statistics of %d normalizations were measured again", layers);
    return status;
}

int64_t job_steps(const struct job *j)
{
    const struct trainer_settings s = job_settings(j);
    const int64_t epochs = s.epochs + (j->kind->prunes ? job_prune_settings(j).epochs : 0);

    return epochs * ((j->feed->count + s.batch_size - 1) / s.batch_size);
}

/* The same for a small file: short steps, no units that rounding has killed, biases where they cost least and
 * in few bits. */
static int snap_small(struct job *j, const struct trainer *t, struct err *e)
{
    int64_t removed = 0;

    quant_snap(j->quant, j->graph, j->pool);
    compact_scales(j->quant, j->graph, j->pool);
    int status = measure_statistics(j, t, e);
    if (!status)
        status = job_polish(j, e);
    if (!status)
        status = dead_remove(j->graph, &removed, e);
    if (!status)
        status = dead_fold_biases(j->graph, e);
    if (!status)
        status = quant_locate(j->quant, j->graph, e);
    if (!status)
        status = prune_adopt(j->prune, j->graph, e);
    if (!status)
        status = quant_codes(j->quant, j->graph, e);
    if (!status) {
        const int moved = compact_move_scales(j->graph, e);
        status = moved < 0 ? moved : 0;
        if (moved > 0)
            events_log(j->events, "info", "the scales of %d layers moved into the layers behind them", moved);
    }
    j->units_removed += removed;
    return status ? status : job_compact(j, e);
}

/* Weights become what they are quantized to. The accuracy just before, with the latent weights, shows how
 * much is still between the two. */
static int snap(struct job *j, struct trainer *t, struct err *e)
{
    events_phase(j->events, "snap");
    /* a net on codes can't read latent weights: from here on nets are made for the figures alone */
    net_free(j->net);
    j->net = t->net = NULL;
    const struct task_subject latent = { .graph = j->graph, .batch = t->settings.batch_size };
    int status = job_judge(j, &latent, false, &j->latent_value, e);
    if (status)
        return status;
    const double distance = sqrt(j->quant->error) / quant_median_scale(j->quant);
    if (j->quant->method->regularizer && j->quant->method->regularizer->pull && distance > 1e-3) {
        char text[160];
        snprintf(text, sizeof text,
                 "the weights are still %.2g of a step from the grid at the end: more epochs would help",
                 distance);
        events_emit(j->events, "warning", json_pack("{s:s, s:s}", "code", "not_converged", "text", text));
    }
    quant_rescale(j->quant);
    if (j->kind->prunes)
        return snap_small(j, t, e);
    quant_snap(j->quant, j->graph, j->pool);
    status = measure_statistics(j, t, e);
    return status ? status : quant_codes(j->quant, j->graph, e);
}

/* Nets, trainer, checkpoint: all that a stage owns. */
static int run(struct job *j, const struct job_stage *stage, struct trainer *t, struct err *e)
{
    struct sink *sink = t->sink.arg;
    int status = trainer_init(t, e);

    if (status)
        return status;
    t->steps_before = stage->epochs_before * t->steps_per_epoch + j->trial * job_steps(j);
    t->steps_after = stage->epochs_after * t->steps_per_epoch + (j->trials - 1 - j->trial) * job_steps(j);
    status = checkpoint_load(sink->path, j->spec_hash, t, e);
    if (status == 0)
        events_log(j->events, "info", "continuing from the checkpoint at step %lld of %lld",
                   (long long)t->at.step, (long long)t->steps_total);
    else if (status != ERR_NOT_FOUND)
        events_emit(j->events, "warning",
                    json_pack("{s:s, s:s}", "code", "checkpoint", "text",
                              "the checkpoint can't be used: training starts from the beginning"));
    events_phase(j->events, stage->phase);
    status = trainer_run(t, e);
    hints_free(t->hints); /* what comes after may make another net */
    t->hints = NULL;
    return status || !stage->after ? status : stage->after(j, t, e);
}

static int give_hints(const struct job *j, struct trainer *t, struct err *e)
{
    const struct hints_new how = {
        .graph = j->graph, .teacher_graph = j->teacher, .net = t->net, .teacher = t->teacher, .pool = j->pool
    };
    const int status = hints_new(&how, &t->hints, e);

    if (status)
        return status;
    if (hints_layers(t->hints) > 0) {
        events_log(j->events, "info", "%d layers learn from what those of the model as it came give out",
                   hints_layers(t->hints));
        return 0;
    }
    hints_free(t->hints);
    t->hints = NULL;
    events_emit(
        j->events, "warning",
        json_pack("{s:s, s:s}", "code", "no_hints", "text",
                  "pruning has narrowed every layer: none can learn from that of the model as it came "
                  "(/train/distill/features)"));
    return 0;
}

int job_stage(struct job *j, const struct job_stage *stage, struct err *e)
{
    struct trainer t = { .settings = stage->settings,
                         .graph = j->graph,
                         .pool = j->pool,
                         .feed = j->feed,
                         .quant = j->quant,
                         .prune = j->prune,
                         .rate = j->rate,
                         .control = j->control };
    struct sink sink = { .job = j, .trainer = &t };
    struct net_options o = job_net_options(j, t.settings.epochs > 0, t.settings.batch_size), wise = o;
    struct net *teacher = NULL;
    int status = 0;

    if (!t.settings.optimizer || !t.settings.schedule)
        return err_set(e, ERR_INVALID, "unknown optimizer or schedule");
    if (j->quant)
        t.method = method_find(spec_text(j->spec, "/quantize/method", "msqe"));
    j->judged_step = -1;
    snprintf(sink.path, sizeof sink.path, "%s/%s%s", j->dir, j->prefix, stage->checkpoint);
    t.sink = (struct trainer_sink){ &sink, sink_metric, sink_save, sink_judge };
    wise.train = false;
    o.hints = o.train && t.settings.distill.features > 0;
    if (j->teacher)
        status = net_new(j->teacher, &wise, &teacher, e);
    t.teacher = teacher;
    if (!status)
        status = net_new(j->graph, &o, &j->net, e);
    t.net = j->net;
    if (!status && o.hints)
        status = give_hints(j, &t, e);
    if (!status)
        status = run(j, stage, &t, e);
    trainer_deinit(&t);
    hints_free(t.hints);
    net_free(teacher);
    net_free(j->net);
    j->net = NULL;
    return status;
}

static int after_training(struct job *j, struct trainer *t, struct err *e)
{
    if (!j->quant && j->judged_step == t->at.step) {
        j->trained_value = j->judged_value; /* the last epoch has ended with it: nothing has changed */
        return 0;
    }
    const int status = j->quant ? snap(j, t, e) : 0;
    const struct task_subject trained = { .graph = j->graph, .net = j->net, .batch = t->settings.batch_size };

    return status ? status : job_judge(j, &trained, false, &j->trained_value, e);
}

int job_train(struct job *j, struct err *e)
{
    const struct job_stage stage = {
        .phase = "train",
        .checkpoint = "checkpoint",
        .settings = job_settings(j),
        .epochs_before = j->prune ? job_prune_settings(j).epochs : 0,
        .after = after_training,
    };

    return job_stage(j, &stage, e);
}
