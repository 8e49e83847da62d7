#include "worker/train/trainer.h"
#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/histogram.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE        ((size_t)8192)
#define CURVE_POINTS 400
#define BINS_POINTS  20
#define CHUNK        ((size_t)512)
#define STEP_MIN     ((real)1e-8) /* a learned step never becomes zero or negative */
#define STEP_MOVE    ((real)0.25) /* and moves by no more than so much of itself */

/* A slice of one parameter: updated by whichever thread gets it. */
struct trainer_piece {
    size_t offset, count;
    real decay;          /* weight decay that applies: none for biases, scales and steps */
    real gradient_scale; /* 1; LSQ's g for activation steps */
    int pruned;          /* index in prune->weight, -1: not pruned */
    int charged;         /* index in quant->weight whose bits are charged, -1: they are not */
    size_t from;         /* first element within the parameter */
    bool step;           /* a learned step of an activation */
    double doomed;       /* sum of w^2 over its pruned weights */
};

static int pruned_index(const struct prune *p, int value)
{
    for (int i = 0; p && i < p->weights; i++)
        if (p->weight[i].value == value)
            return i;
    return -1;
}

static int charged_index(const struct trainer *t, int value)
{
    for (int i = 0; t->rate && i < t->quant->weights; i++)
        if (t->quant->weight[i].value == value)
            return i;
    return -1;
}

static const struct quant_activation *step_of(const struct quant *q, int value)
{
    for (int i = 0; q && i < q->activations; i++)
        if (q->activation[i].step == value)
            return &q->activation[i];
    return NULL;
}

static int cut_pieces(struct trainer *t, struct err *e)
{
    const struct graph *g = t->graph;
    size_t total = 0;

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].trainable)
            total += ((size_t)shape_count(&g->value[v].shape) + PIECE - 1) / PIECE;
    t->piece = mem_array(total + 1, sizeof *t->piece);
    if (!t->piece)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int v = 0; v < g->values; v++) {
        const struct value *value = &g->value[v];
        if (value->kind != VALUE_PARAM || !value->trainable)
            continue;
        const struct quant_activation *a = step_of(t->quant, v);
        size_t count = (size_t)shape_count(&value->shape);
        struct trainer_piece p = { .pruned = pruned_index(t->prune, v),
                                   .charged = charged_index(t, v),
                                   .step = a != NULL };
        p.decay = value->shape.rank >= 2 ? (real)t->settings.weight_decay : 0;
        /* LSQ (arXiv 1902.08153): g = 1 / sqrt(N Q_P), N features of one sample */
        p.gradient_scale = a ? (real)(1 / sqrt((double)a->features * a->high)) : 1;
        for (size_t at = 0; at < count; at += PIECE) {
            p.offset = value->offset + at;
            p.from = at;
            p.count = count - at < PIECE ? count - at : PIECE;
            t->piece[t->pieces++] = p;
        }
    }
    return 0;
}

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
    return cut_pieces(t, e);
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

struct update {
    struct trainer *t;
    struct optimizer_step step;
    double prune_pull;
};

/* One update of learned steps. The gradient of a step grows with what it clips, so that one wild batch would
 * carry a small step below zero, or so far up that every code is 0, and the next gradients would be larger
 * still. A step moves by at most a quarter of itself; its momentum ends there. */
static void update_steps(const struct trainer *t, const struct optimizer_step *o, real *step, const real *g,
                         real *const moment[2], size_t count)
{
    const real share = t->settings.optimizer->step_share;
    real before[CHUNK];

    for (size_t at = 0; at < count; at += CHUNK) {
        const size_t n = count - at < CHUNK ? count - at : CHUNK;
        real *const there[2] = { moment[0] + at, moment[1] ? moment[1] + at : NULL };
        memcpy(before, step + at, n * sizeof *before);
        t->settings.optimizer->update(t->pass, o, step + at, g + at, there, n);
        for (size_t i = 0; i < n; i++) {
            const real most = before[i] * STEP_MOVE;
            const real move = (step[at + i] - before[i]) * (share > 0 ? share * before[i] : 1);
            const bool wild = !(real_fabs(move) <= most); /* or not a number */
            step[at + i] = before[i] + (!wild ? move : move > 0 ? most : -most);
            if (wild)
                there[0][i] = 0;
        }
        for (size_t i = 0; i < n; i++)
            step[at + i] = step[at + i] > STEP_MIN ? step[at + i] : STEP_MIN;
    }
}

/* Weights that are not worth their bits shrink. */
static void charge_bits(const struct update *u, const struct trainer_piece *p, real *w, real *const moment[2])
{
    const struct trainer *t = u->t;
    real cost[CHUNK];

    for (size_t at = 0; at < p->count; at += CHUNK) {
        const size_t count = p->count - at < CHUNK ? p->count - at : CHUNK;
        real *const there[2] = { moment[0] + at, moment[1] ? moment[1] + at : NULL };
        rate_costs(t->rate, t->quant, p->charged, p->from + at, w + at, count, cost);
        t->settings.optimizer->shrink(&u->step, w + at, cost, there, count);
    }
    rate_bury(t->rate, t->quant, p->charged, p->from, w, p->count);
}

/* Optimizer and pruning, while the piece is in the cache. */
static void update_piece(const struct update *u, struct trainer_piece *p)
{
    struct trainer *t = u->t;
    struct optimizer_step step = u->step;
    real *w = t->graph->param + p->offset;
    real *const moment[2] = { t->moment[0] + p->offset, t->moment[1] ? t->moment[1] + p->offset : NULL };
    real *g = net_gradients(t->net) + p->offset;

    step.weight_decay = p->decay;
    if (p->gradient_scale != 1)
        for (size_t i = 0; i < p->count; i++)
            g[i] *= p->gradient_scale;
    if (p->step)
        update_steps(t, &step, w, g, moment, p->count);
    else
        t->settings.optimizer->update(t->pass, &step, w, g, moment, p->count);
    if (p->charged >= 0)
        charge_bits(u, p, w, moment);
    if (p->pruned >= 0)
        p->doomed = prune_apply(t->prune, p->pruned, p->from, w, p->count, u->prune_pull);
}

static void update_pieces(void *arg, int lo, int hi, int thread)
{
    const struct update *u = arg;
    (void)thread;

    for (int i = lo; i < hi; i++)
        update_piece(u, &u->t->piece[i]);
}

/* Scales, then what the weights are quantized to, then the regularizer. */
static void requantize(struct trainer *t, const struct optimizer_step *step)
{
    const struct regularizer *r = t->method->regularizer;
    struct quant *q = t->quant;

    if (t->method->learns && !(r && r->holds && r->holds(t->at.regularizer)))
        update_steps(t, step, q->scale, q->slope, q->moment, (size_t)q->scales);
    quant_rescale(q);
    quant_relevel(q, t->graph);
    quant_apply(q, t->graph, t->pool);
    if (!r)
        return;
    const double strength = r->pull ? r->pull(t->at.regularizer, q) : 0;
    if (strength > 0)
        quant_pull(q, t->graph, strength / (1 + strength), t->pool);
    r->update(t->at.regularizer, q);
}

static void collect_doomed(struct trainer *t)
{
    double sum = 0;

    for (int i = 0; i < t->pieces; i++)
        if (t->piece[i].pruned >= 0)
            sum += t->piece[i].doomed;
    t->prune->energy = t->prune->total ? sum / (double)t->prune->total : 0;
    prune_update(t->prune);
}

static void update_all(struct trainer *t, double rate)
{
    struct update u = { .t = t };

    if (t->prune) {
        prune_rank(t->prune, t->graph, t->at.step, t->steps_total);
        u.prune_pull = prune_pull(t->prune);
    }
    if (t->rate)
        rate_update(t->rate, t->quant, t->at.step);
    u.step = (struct optimizer_step){ (real)rate, (real)t->settings.momentum, 0, t->at.step + 1 };
    if (t->quant)
        quant_backward(t->quant, t->graph, net_gradients(t->net), t->at.regularizer, t->pool);
    if (t->rate && t->method->learns)
        rate_slopes(t->rate, t->quant);
    pool_run(t->pool, update_pieces, &u, t->pieces);
    if (t->prune)
        collect_doomed(t);
    if (t->quant)
        requantize(t, &u.step);
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
        snprintf(series, sizeof series, "bins/%+.3f", (k + 0.5) / HISTOGRAM_CELLS - 0.5);
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
    update_all(t, rate);
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
