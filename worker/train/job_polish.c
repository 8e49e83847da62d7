/* job_polish.c - codes that are not worth their bits, after the snap.
 *
 * The loss at the weights as they are tells what each move would do (rate/polish.h). The cheapest few are
 * made and tried on other training samples; then the loss is asked again. Moves that made things worse are
 * taken back, and fewer are tried. The metric on those samples may fall by /rate/polish and no more. Samples
 * are as in training, augmented by draws that no epoch has seen. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/mem.h"
#include "worker/rate/polish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH   (UINT32_MAX - 1) /* of the order and the augmentation; calibration has the one behind */
#define SAMPLES 8192 /* to try moves on, at most; a quarter as many to learn about the loss from, */
#define WORK    4e9  /* and no more multiplications than this for one figure; but a batch */
#define ROUNDS  32
#define SHARE   32 /* of the codes that are not zero, as one over: moved at once */
#define FEWER   4  /* moves after a round that was taken back, as one over */

struct polisher {
    struct job *j;
    struct polish polish;
    struct job_look look;
    struct target target;
    struct rate *rate;
    float *gradient, *curvature, *slope; /* owned: layout of graph->param */
    int8_t *code;                        /* owned: the present ones */
    struct polish_move *move;            /* owned */
    int8_t *undo;                        /* owned: [moves] codes before the round */
    double *odds;                        /* owned */
    int64_t learned;                     /* samples, */
    double own;                          /* the job's price of a bit; 0: none */
};

/* Where a network stands. */
struct standing {
    double loss, figure, bits; /* mean loss; the metric, or what falls as it does */
};

double job_polish_allowance(const struct job *j)
{
    return j->kind->prunes && j->kind->quantizes ? spec_double(j->spec, "/rate/polish", -1) : -1;
}

size_t job_polish_bytes(const struct job *j)
{
    return j->graph->param_count * (3 * sizeof(float) + sizeof(struct polish_move) + 2) +
           rate_bytes(j->graph->param_count);
}

static void polisher_free(struct polisher *p)
{
    net_free(p->look.net);
    trainer_target_free(&p->target);
    rate_free(p->rate);
    free(p->gradient);
    free(p->curvature);
    free(p->slope);
    free(p->code);
    free(p->move);
    free(p->undo);
    free(p->odds);
    free(p->polish.tensor);
}

static int polisher_init(struct polisher *p, struct job *j, struct err *e)
{
    const size_t n = j->graph->param_count + 1;
    const struct rate_rule rule = { 0 };
    struct net_options o = job_net_options(j, true, LANES);
    size_t lines = 1;
    int status = rate_new(j->graph, j->quant, j->prune, &rule, &p->rate, e);

    p->j = j;
    if (status)
        return status;
    for (int i = 0; i < j->quant->weights; i++) {
        const struct slope_tensor *t = &p->rate->tensor[i];
        lines = t->rows + t->columns > lines ? t->rows + t->columns : lines;
    }
    p->gradient = mem_array(n, sizeof *p->gradient);
    p->curvature = mem_array(n, sizeof *p->curvature);
    p->slope = mem_array(n, sizeof *p->slope);
    p->code = mem_array(n, 1);
    p->move = mem_array(n, sizeof *p->move);
    p->undo = mem_array(n, 1);
    p->odds = mem_array(lines, sizeof *p->odds);
    p->polish.tensor = mem_array((size_t)j->quant->weights + 1, sizeof *p->polish.tensor);
    if (!p->gradient || !p->curvature || !p->slope || !p->code || !p->move || !p->undo || !p->odds ||
        !p->polish.tensor)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(p->code, j->quant->code, j->graph->param_count);
    p->own = job_rate_lambda(j);
    p->polish = (struct polish){ .q = j->quant,
                                 .code = p->code,
                                 .curvature = p->curvature,
                                 .rate = p->rate,
                                 .tensor = p->polish.tensor,
                                 .slope = p->slope,
                                 .odds = p->odds };
    o.codes = false;
    if ((status = trainer_target(&p->target, j->loss, j->graph, LANES, e)) ||
        (status = net_new(j->graph, &o, &p->look.net, e)))
        return status;
    p->look.target = &p->target;
    p->look.batch = LANES;
    return 0;
}

/* Mean and variance of the gradient: B times the variance over batches of B samples is that over samples. */
static void learn_loss(struct polisher *p)
{
    struct job *j = p->j;
    const size_t n = j->graph->param_count;
    int64_t batches = 0;

    memset(p->gradient, 0, n * sizeof *p->gradient);
    memset(p->curvature, 0, n * sizeof *p->curvature);
    for (int64_t at = 0; at + LANES <= p->learned; at += LANES, batches++) {
        struct job_look one = p->look;
        one.from = at;
        one.samples = LANES;
        job_look(j, &one, true);
        net_backward(one.net);
        const real *g = net_gradients(one.net);
        for (size_t i = 0; i < n; i++) {
            p->gradient[i] += (float)g[i];
            p->curvature[i] += (float)g[i] * (float)g[i];
        }
    }
    const float share = batches ? 1 / (float)batches : 0;
    for (size_t i = 0; i < n; i++) {
        p->gradient[i] *= share;
        const float variance = p->curvature[i] * share - p->gradient[i] * p->gradient[i];
        p->curvature[i] = variance > 0 ? LANES * variance : 0;
    }
}

/* Metric of the task, or what falls as it does: the share of right answers, or -10 log10 of the loss. */
static struct standing stand(const struct polisher *p)
{
    const double count = (double)p->look.samples;
    const struct loss_result r = job_look(p->j, &p->look, false);

    return (struct standing){ .loss = r.loss / count,
                              .figure = p->j->loss->classes ? (double)r.correct / count
                                                            : -10 * log10(r.loss / count + 1e-30),
                              .bits = polish_bits(&p->polish) };
}

static const struct quant_weight *weight_at(const struct quant *q, size_t at)
{
    for (int i = 0; i < q->weights; i++)
        if (at >= q->weight[i].offset && at < q->weight[i].offset + q->weight[i].count)
            return &q->weight[i];
    return NULL;
}

static void put_code(struct polisher *p, size_t at, int8_t code)
{
    const struct quant_weight *w = weight_at(p->j->quant, at);

    p->code[at] = code;
    p->j->graph->param[at] = (real)code * w->scale[0];
}

static void move(struct polisher *p, size_t moves)
{
    for (size_t i = 0; i < moves; i++) {
        p->undo[i] = p->code[p->move[i].at];
        put_code(p, p->move[i].at, p->move[i].to);
    }
}

static void take_back(struct polisher *p, size_t moves)
{
    for (size_t i = 0; i < moves; i++)
        put_code(p, p->move[i].at, p->undo[i]);
}

static size_t count_codes(const struct polisher *p)
{
    const struct quant *q = p->j->quant;
    size_t count = 0;

    for (int i = 0; i < q->weights; i++)
        for (size_t k = q->weight[i].offset; k < q->weight[i].offset + q->weight[i].count; k++)
            count += p->code[k] != 0;
    return count;
}

/* With a price of the job the sum of loss and bits must fall, else the bits. */
static bool better(const struct polisher *p, const struct standing *now, const struct standing *was)
{
    return p->own > 0 ? now->loss + p->own * now->bits < was->loss + p->own * was->bits
                      : now->bits < was->bits;
}

static void run_rounds(struct polisher *p, double allowance)
{
    const struct standing first = stand(p);
    const size_t codes = count_codes(p);
    const double most = p->own > 0 ? p->own : INFINITY;
    struct standing best = first, now;
    size_t few = codes / SHARE + 1, moves = 0;
    bool known = false;

    for (int k = 0; k < ROUNDS && few; k++) {
        if (!known)
            learn_loss(p);
        moves = polish_moves(&p->polish, most, p->move);
        moves = moves < few ? moves : few;
        if (!moves)
            break;
        move(p, moves);
        now = stand(p);
        known = !(now.figure >= first.figure - allowance) || !better(p, &now, &best);
        if (known) {
            take_back(p, moves);
            few = moves / FEWER;
        } else {
            best = now;
        }
    }
    events_log(
        p->j->events, "info",
        "%zu of %zu codes became zero, or nearer to it: about %.0f to %.0f bytes; on %lld training samples "
        "loss %.5f to %.5f, %.5f to %.5f",
        codes - count_codes(p), codes, first.bits / 8, best.bits / 8, (long long)p->look.samples, first.loss,
        best.loss, first.figure, best.figure);
}

int job_polish(struct job *j, struct err *e)
{
    const double allowance = job_polish_allowance(j);
    struct polisher p = { 0 };

    if (allowance < 0)
        return 0;
    int64_t samples;
    int status = polisher_init(&p, j, e);
    if (!status)
        status = job_affordable(j, LANES, SAMPLES, WORK, &samples, e);
    if (!status) {
        j->feed->type->shuffle(j->feed, EPOCH);
        j->feed->augment = true;
        /* where there are few, both see the same */
        p.learned = samples / 4 > LANES ? samples / 4 : LANES;
        p.learned = p.learned < j->feed->count ? p.learned : j->feed->count;
        p.look.from = p.learned + samples <= j->feed->count ? p.learned : j->feed->count - samples;
        p.look.samples = samples;
        run_rounds(&p, allowance);
    }
    polisher_free(&p);
    return status;
}
