/* trainer_update.c - what a step does with its gradients: every parameter by the optimizer, then what is
 * pruned, what weights are quantized to, what regularizes them. */
#include "worker/train/trainer_parts.h"

#include "base/mem.h"

#define PIECE     ((size_t)8192)
#define CHUNK     ((size_t)512)
#define STEP_MIN  ((real)1e-8) /* a learned step never becomes zero or negative */
#define STEP_MOVE ((real)0.25) /* and moves by no more than so much of itself */

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

/* Levels move with their basis, not by themselves. */
static bool is_level(const struct quant *q, int value)
{
    for (int i = 0; q && i < q->activations; i++)
        if (q->activation[i].basis && q->activation[i].level == value)
            return true;
    return false;
}

int trainer_cut(struct trainer *t, struct err *e)
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
        if (value->kind != VALUE_PARAM || !value->trainable || is_level(t->quant, v))
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

static void update_bases(const struct trainer *t, const struct optimizer_step *o)
{
    for (int i = 0; i < t->quant->activations; i++) {
        struct quant_basis *b = &t->quant->basis[i];
        if (t->quant->activation[i].basis)
            update_steps(t, o, b->v, b->slope, (real *const[]){ b->moment[0], b->moment[1] },
                         (size_t)t->quant->activation[i].bits);
    }
}

/* Scales, then what the weights are quantized to, then the regularizer. */
static void requantize(struct trainer *t, const struct optimizer_step *step)
{
    const struct regularizer *r = t->method->regularizer;
    struct quant *q = t->quant;

    if (t->method->learns && !(r && r->holds && r->holds(t->at.regularizer)))
        update_steps(t, step, q->scale, q->slope, q->moment, (size_t)q->scales);
    if (q->basis_learns)
        update_bases(t, step);
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

void trainer_update(struct trainer *t, double rate)
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
