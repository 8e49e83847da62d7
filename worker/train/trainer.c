#include "worker/train/trainer.h"

#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/histogram.h"
#include "worker/train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>

#define CURVE_POINTS 400
#define BINS_POINTS  20

int trainer_target(struct target *t, const struct loss *l, const struct graph *g, int batch, struct err *e)
{
    const size_t lanes_used = ((size_t)batch + LANES - 1) / LANES * LANES;
    const size_t features = l->classes ? 1 : (size_t)shape_count(&g->value[g->output[0]].shape);
    size_t count, bytes;

    *t = (struct target){ 0 };
    if (size_mul(lanes_used, features, &count) && size_mul(count, sizeof(real), &bytes)) {
        if (l->classes)
            t->label = mem_array(count, sizeof *t->label);
        else
            t->value = mem_aligned(64, bytes);
    }
    return t->label || t->value ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

void trainer_target_free(struct target *t)
{
    free(t->label);
    free(t->value);
    *t = (struct target){ 0 };
}

int trainer_init(struct trainer *t, struct err *e)
{
    const struct trainer_settings *s = &t->settings;
    size_t bytes = t->graph->param_count * sizeof(real) + 64;

    t->pass = kernels_best()->update;
    for (int i = 0; i < s->optimizer->moments; i++)
        if (!(t->moment[i] = mem_aligned(64, bytes)))
            return err_set(e, ERR_NOMEM, "out of memory");
    int status = trainer_target(&t->target, s->loss, t->graph, s->batch_size, e);
    if (status)
        return status;
    t->features = (int)shape_count(&t->graph->value[t->graph->output[0]].shape);
    t->steps_per_epoch = (t->feed->count + s->batch_size - 1) / s->batch_size;
    t->steps_total = t->steps_per_epoch * s->epochs;
    if (t->prune && !t->prune->fixed)
        prune_begin(t->prune, t->graph, t->steps_total);
    if (t->quant) {
        quant_bind(t->quant, t->net);
        quant_apply(t->quant, t->graph, t->pool);
        if (t->method->regularizer)
            t->method->regularizer->begin(
                t->at.regularizer, t->quant,
                &(struct regularizer_settings){ .lambda = s->lambda,
                                                .coefficient = s->coefficient,
                                                .bins = s->bins.lambda,
                                                .travel = (double)t->steps_total * s->learning_rate /
                                                          (1 - s->momentum),
                                                .steps = t->steps_total,
                                                .warmup = s->bins.warmup,
                                                .ramp = s->bins.ramp,
                                                .hold = s->bins.hold });
    }
    if (t->rate)
        rate_begin(t->rate, t->steps_total);
    return trainer_cut(t, e);
}

void trainer_deinit(struct trainer *t)
{
    free(t->moment[0]);
    free(t->moment[1]);
    free(t->piece);
    trainer_target_free(&t->target);
    t->moment[0] = t->moment[1] = NULL;
    t->piece = NULL;
}

/* Where the weights lie between the levels: rarely, for it is a pass over all of them and many series. */
static void report_bins(struct trainer *t)
{
    const struct trainer_sink *s = &t->sink;
    struct histogram h;
    char series[32];

    histogram_take(t->quant, t->graph->param, &h);
    if (h.count == 0)
        return;
    s->metric(s->arg, "bin_variance", t->at.step, h.variance);
    for (int k = 0; k < HISTOGRAM_CELLS; k++) {
        snprintf(series, sizeof series, "bins/%.3f", (k + 0.5) / HISTOGRAM_CELLS - 0.5);
        s->metric(s->arg, series, t->at.step, h.offset[k]);
    }
}

static void report_span(struct trainer *t, double rate)
{
    const struct regularizer *r = t->method ? t->method->regularizer : NULL;
    const struct trainer_sink *s = &t->sink;
    int64_t step = t->at.step;

    s->metric(s->arg, "loss", step, t->at.span_loss / (double)t->at.span_samples);
    s->metric(s->arg, "learning_rate", step, rate);
    if (t->quant) {
        s->metric(s->arg, "msqe", step, t->quant->error);
        s->metric(s->arg, "error_in_steps", step, sqrt(t->quant->error) / quant_median_scale(t->quant));
        if (r)
            s->metric(s->arg, "coefficient", step, r->coefficient(t->at.regularizer));
    }
    if (t->rate) {
        s->metric(s->arg, "estimated_bytes", step, t->rate->at.bits / 8);
        s->metric(s->arg, "bit_price", step, t->rate->at.price);
    }
    if (t->prune && !t->prune->fixed) {
        s->metric(s->arg, "pruned_energy", step, t->prune->energy);
        s->metric(s->arg, "pruned_share", step, (double)t->prune->marked / (double)t->prune->total);
        s->metric(s->arg, "prune_coefficient", step, t->prune->rule.pruner->coefficient(t->prune->state));
    }
    if (t->hints)
        s->metric(s->arg, "feature_error", step, t->at.span_hints / (double)t->at.span_steps);
    t->at.span_loss = 0;
    t->at.span_samples = 0;
    t->at.span_hints = 0;
    t->at.span_steps = 0;
}

/* The teacher sees the same batch; where values are learned, the target moves towards what it says. */
static const real *ask_teacher(struct trainer *t, int samples)
{
    const struct value *in = &t->graph->value[t->graph->input];
    const size_t blocks = (size_t)net_blocks(t->net);
    const real weight = (real)t->settings.distill.weight;

    if (!t->teacher)
        return NULL;
    memcpy(net_input(t->teacher), net_input(t->net),
           blocks * (size_t)shape_count(&in->shape) * LANES * sizeof(real));
    net_forward(t->teacher, samples, false, 0);
    const real *wise = net_output(t->teacher, 0);
    if (!(weight > 0)) /* its layers alone */
        return NULL;
    if (t->settings.loss->classes)
        return wise;
    for (size_t i = 0; i < blocks * (size_t)t->features * LANES; i++)
        t->target.value[i] += weight * (wise[i] - t->target.value[i]);
    return NULL;
}

static int diverged(const struct trainer *t, double rate, struct err *e)
{
    return err_set(e, ERR_DIVERGED,
                   "the loss is no longer finite at step %lld of %lld (learning rate %g): try a smaller "
                   "learning rate",
                   (long long)t->at.step, (long long)t->steps_total, rate);
}

/* One of about `points` steps of the run that are reported; the last one always is. */
static bool is_point(const struct trainer *t, int points)
{
    const int64_t span = t->steps_total / points;

    return t->at.step % (span ? span : 1) == 0 || t->at.step == t->steps_total;
}

int trainer_step(struct trainer *t, struct err *e)
{
    const struct trainer_settings *s = &t->settings;
    const double done = (double)t->at.step / (double)t->steps_total;
    int64_t left = t->feed->count - t->at.sample;
    int samples = left < s->batch_size ? (int)left : s->batch_size, blocks = net_blocks(t->net);
    double rate = s->learning_rate * s->schedule->factor(done);

    t->feed->type->fill(t->feed, t->pool, t->at.sample, samples, blocks, net_input(t->net), &t->target);
    if (t->feed->type->ahead)
        t->feed->type->ahead(t->feed, t->at.sample + samples, s->batch_size);
    const real *teacher = ask_teacher(t, samples);
    net_forward(t->net, samples, true, (uint64_t)t->at.step);
    const struct loss_call call = { .y = net_output(t->net, 0),
                                    .target = &t->target,
                                    .teacher = teacher,
                                    .distill = s->distill,
                                    .smoothing = s->label_smoothing,
                                    .features = t->features,
                                    .samples = samples,
                                    .blocks = blocks,
                                    .gradient = net_output_gradient(t->net, 0) };
    struct loss_result r = s->loss->run(&call);
    if (!isfinite(r.loss))
        return diverged(t, rate, e);
    if (t->quant)
        quant_observe(t->quant, t->net, t->graph, samples, t->pool);
    if (t->hints)
        hints_set(t->hints, samples, s->distill.features * (1 - done));
    net_backward(t->net);
    trainer_update(t, rate);
    t->at.step++;
    t->at.sample += samples;
    t->at.epoch_loss += r.loss;
    t->at.epoch_correct += r.correct;
    t->at.span_loss += r.loss;
    t->at.span_samples += samples;
    t->at.span_hints += t->hints ? hints_error(t->hints) : 0;
    t->at.span_steps++;
    if (is_point(t, CURVE_POINTS))
        report_span(t, rate);
    if (t->quant && is_point(t, BINS_POINTS))
        report_bins(t);
    atomic_store(&t->control->step, t->steps_before + t->at.step);
    return 0;
}

static int end_epoch(struct trainer *t, struct err *e)
{
    const double share = (double)t->at.epoch_correct / (double)t->feed->count;
    int status = t->sink.judge(t->sink.arg, t->at.step, share, e);

    t->at.epoch++;
    t->at.sample = 0;
    t->at.epoch_loss = 0;
    t->at.epoch_correct = 0;
    return status ? status : t->sink.save(t->sink.arg, e);
}

int trainer_run(struct trainer *t, struct err *e)
{
    int status = 0;

    atomic_store(&t->control->steps, t->steps_before + t->steps_total + t->steps_after);
    atomic_store(&t->control->step, t->steps_before + t->at.step);
    while (t->at.epoch < t->settings.epochs && !status) {
        t->feed->type->shuffle(t->feed, (uint64_t)t->at.epoch);
        t->feed->augment = true;
        while (t->at.sample < t->feed->count && !status) {
            if (atomic_exchange(&t->control->checkpoint, false))
                status = t->sink.save(t->sink.arg, e);
            if (!status && atomic_load(&t->control->stop)) {
                status = t->sink.save(t->sink.arg, e);
                return status ? status : err_set(e, ERR_AGAIN, "stopped at step %lld", (long long)t->at.step);
            }
            if (!status)
                status = trainer_step(t, e);
        }
        if (!status)
            status = end_epoch(t, e);
    }
    return status;
}
