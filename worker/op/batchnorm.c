/* batchnorm.c - BatchNormalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta per channel.
 *
 * Training takes mean and (population) variance from the batch and moves the running ones, as ONNX says:
 * running = momentum * running + (1 - momentum) * batch. Otherwise the running ones are used, and backward
 * sees a fixed scale. Statistics cover the valid samples only; unused lanes get no gradient. (Ioffe and
 * Szegedy 2015) */
#include "worker/kernels/int8.h"
#include "worker/kernels/kernels.h"
#include "worker/op/fakequant.h"
#include "worker/op/setup.h"

enum { X, GAMMA, BETA, MEAN, VARIANCE };

struct batchnorm {
    int channels, pixels;
    real epsilon, momentum;
};

/* Per block and channel, from forward to backward. What is of all blocks is block 0's. */
struct statistics {
    real mean, scale;         /* of all; scale = 1 / sqrt(variance + epsilon) */
    real sum_dy, sum_product; /* of all: of dy and of dy * (x - mean) * scale */
    double first, second;     /* the block's sums */
    double slope;             /* of the loss in the step of the tail's quantizer: the block's share; block 0:
                                 of all */
};

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "epsilon", "momentum", "spatial", "training_mode", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 5, 5, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, X, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    if (x->rank < 1 || !g->batched || node_int(n, "spatial", 1) != 1 || node_int(n, "training_mode", 0))
        return err_set(e, ERR_UNSUPPORTED,
                       "Only normalization per channel with given statistics is supported");
    for (int i = GAMMA; i <= VARIANCE && r == 0; i++)
        r = setup_vector(g, n, i, x->dim[0], e);
    struct batchnorm *t = r == 0 ? setup_state(n, sizeof *t, e) : NULL;
    if (!t)
        return r < 0 ? r : ERR_NOMEM;
    *t = (struct batchnorm){ .channels = (int)x->dim[0],
                             .epsilon = (real)node_float(n, "epsilon", 1e-5),
                             .momentum = (real)node_float(n, "momentum", 0.9) };
    t->pixels = (int)(shape_count(x) / x->dim[0]);
    setup_output(g, n, x);
    return 0;
}

static size_t keep(const struct graph *g, const struct node *n)
{
    const struct batchnorm *t = n->state;
    (void)g;
    return (size_t)t->channels * sizeof(struct statistics);
}

static int items(const struct graph *g, const struct node *n)
{
    const struct batchnorm *t = n->state;
    (void)g;
    return t->channels;
}

/* Valid lanes of a block. */
static int lanes_of(const struct step *s, int block)
{
    int rest = s->samples - block * LANES;
    return rest < LANES ? rest : LANES;
}

static double valid_sum(const struct step *s, int block, const real lane[LANES])
{
    double total = 0;
    for (int l = 0; l < lanes_of(s, block); l++)
        total += (double)lane[l];
    return total;
}

/* A block's mean of a channel (first) and sum of squared distances from it (second), by two passes while it
 * is near. */
static void gather_block(const struct step *s, const struct batchnorm *t, const real *x, int block,
                         struct statistics *k)
{
    size_t plane = (size_t)t->pixels * LANES;
    double count = (double)lanes_of(s, block) * t->pixels;
    real sum[LANES] = { 0 }, squares[LANES] = { 0 };
    s->kernels->element->norm_sum(sum, x, plane, 0, 1);
    double mean = valid_sum(s, block, sum) / count, centre = (double)(real)mean;
    s->kernels->element->norm_sum(squares, x, plane, (real)mean, 2);
    k->first = mean;
    k->second = valid_sum(s, block, squares) - count * (mean - centre) * (mean - centre);
}

static void forward_gather(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    struct statistics *kept = s->kept[n - s->graph->node];
    size_t plane = (size_t)t->pixels * LANES;
    (void)thread;
    for (int b = lo; kept && s->training && b < hi; b++)
        for (int c = 0; c < t->channels; c++)
            gather_block(s, t, s->x[n->input[X]] + ((size_t)b * t->channels + c) * plane, b,
                         &kept[(size_t)b * t->channels + c]);
}

/* All blocks' together, one after the other as in Chan, Golub and LeVeque 1979, equation 2.1. */
static void merge_blocks(const struct step *s, const struct batchnorm *t, const struct statistics *kept,
                         int c, double *mean, double *squares)
{
    *mean = *squares = 0;
    for (int b = 0; b < s->blocks; b++) {
        const struct statistics *k = &kept[(size_t)b * t->channels + c];
        double before = (double)b * LANES * t->pixels, count = (double)lanes_of(s, b) * t->pixels;
        double apart = k->first - *mean;
        *squares += k->second + apart * apart * before * count / (before + count);
        *mean += apart * count / (before + count);
    }
}

/* The running statistics live in the graph, whatever weights a quantizer has put in place. */
static void move_running(const struct step *s, int value, int channel, double batch, real momentum)
{
    const struct value *v = &s->graph->value[value];
    if (v->kind != VALUE_PARAM)
        return;
    real *at = &s->graph->param[v->offset + channel];
    *at = momentum * *at + (1 - momentum) * (real)batch;
}

static void forward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    struct statistics *kept = s->kept[n - s->graph->node];
    double count = (double)s->samples * t->pixels;
    (void)thread;
    for (int c = lo; kept && c < hi; c++) {
        double mean = (double)s->x[n->input[MEAN]][c], variance = (double)s->x[n->input[VARIANCE]][c];
        if (s->training) {
            merge_blocks(s, t, kept, c, &mean, &variance);
            variance /= count;
            move_running(s, n->input[MEAN], c, mean, t->momentum);
            move_running(s, n->input[VARIANCE], c, variance, t->momentum);
        }
        kept[c].mean = (real)mean;
        kept[c].scale = 1 / real_sqrt((real)variance + t->epsilon);
    }
}

/* The value whose gradient the normalization and what is added get, but for what a ReLU keeps: behind an
 * addition, the sum. */
static int sum_of(const struct tail *tail)
{
    return tail->number >= 0 ? tail->number : tail->out;
}

static bool quantizes(const struct step *s, const struct node *n)
{
    return step_tail(s, n)->quant >= 0;
}

/* What is done to channel c, the tail included; quant: the range of its quantizer, NULL when there is none.
 */
static struct norm norm_of(const struct step *s, const struct node *n, int c, const struct quant_range *quant)
{
    const struct batchnorm *t = n->state;
    const struct statistics *kept = s->kept[n - s->graph->node];
    real scale = kept ? kept[c].scale : 1 / real_sqrt(s->x[n->input[VARIANCE]][c] + t->epsilon);
    return (struct norm){ .mean = kept ? kept[c].mean : s->x[n->input[MEAN]][c],
                          .factor = scale * s->x[n->input[GAMMA]][c],
                          .shift = s->x[n->input[BETA]][c],
                          .relu = step_tail(s, n)->relu,
                          .ceiling = step_tail(s, n)->ceiling,
                          .quant = quant };
}

/* The activation that the tail adds; NULL when there is none. */
static const real *other_of(const struct step *s, const struct node *n)
{
    const struct tail *tail = step_tail(s, n);
    return tail->other < 0 ? NULL : s->x[tail->other];
}

static void forward_numbers(const struct step *s, const struct node *n, const struct quant_range *quant,
                            int lo, int hi)
{
    const struct batchnorm *t = n->state;
    size_t block = setup_block(s->graph, n->input[X]), plane = (size_t)t->pixels * LANES;
    const real *x = s->x[n->input[X]], *other = other_of(s, n);
    real *y = s->x[sum_of(step_tail(s, n))];
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < t->channels; c++) {
            struct norm k = norm_of(s, n, c, quant);
            size_t at = b * block + c * plane;
            s->kernels->element->norm(y + at, x + at, other ? other + at : NULL, plane, &k);
        }
}

static void forward_codes(const struct step *s, const struct node *n, int lo, int hi)
{
    const struct batchnorm *t = n->state;
    const ptrdiff_t plane = (ptrdiff_t)t->pixels * LANES;
    const struct quant_range r = fakequant_bytes(s, n);
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < t->channels; c += QUAD) {
            int channels = t->channels - c < QUAD ? t->channels - c : QUAD;
            uint8_t *to = s->code[step_tail(s, n)->out] +
                          ((ptrdiff_t)b * quads(t->channels) + c / QUAD) * t->pixels * PIXEL;
            struct norm k[QUAD];
            for (int i = 0; i < channels; i++)
                k[i] = norm_of(s, n, c + i, NULL);
            s->kernels->int8->norm_codes(to, s->x[n->input[X]] + ((ptrdiff_t)b * t->channels + c) * plane,
                                         plane, channels, (size_t)t->pixels, k, &r);
        }
}

/* A sum as numbers and what its quantizer makes of them, four channels at a time: these are still near. */
static void forward_both(const struct step *s, const struct node *n, int lo, int hi)
{
    const struct batchnorm *t = n->state;
    const struct tail *tail = step_tail(s, n);
    const ptrdiff_t plane = (ptrdiff_t)t->pixels * LANES;
    const struct quant_range bytes = fakequant_bytes(s, n), range = fakequant_range(s, n);
    const struct element *k = s->kernels->element;
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < t->channels; c += QUAD) {
            const ptrdiff_t at = ((ptrdiff_t)b * t->channels + c) * plane;
            const int channels = t->channels - c < QUAD ? t->channels - c : QUAD;
            real *y = s->x[tail->number] + at;
            for (int i = 0; i < channels; i++) {
                const struct norm norm = norm_of(s, n, c + i, NULL);
                k->norm(y + i * plane, s->x[n->input[X]] + at + i * plane, s->x[tail->other] + at + i * plane,
                        (size_t)plane, &norm);
            }
            if (s->x[tail->out])
                k->fake_quantize(s->x[tail->out] + at, y, (size_t)(channels * plane), &range);
            if (s->code[tail->out])
                s->kernels->int8->codes(s->code[tail->out] + ((ptrdiff_t)b * quads(t->channels) + c / QUAD) *
                                                                 t->pixels * PIXEL,
                                        y, plane, channels, (size_t)t->pixels, &bytes);
        }
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const int out = step_tail(s, n)->out;
    const bool quant = quantizes(s, n);
    const struct quant_range r = quant ? fakequant_range(s, n) : (struct quant_range){ 0 };
    (void)thread;
    if (step_tail(s, n)->number >= 0) {
        forward_both(s, n, lo, hi);
        return;
    }
    if (s->x[out])
        forward_numbers(s, n, quant ? &r : NULL, lo, hi);
    if (s->code[out])
        forward_codes(s, n, lo, hi);
}

/* A channel of a block; what is added makes dz take the place of the sum's gradient. */
static void backward_sums(const struct step *s, const struct node *n, int c, size_t at,
                          const struct quant_range *r, real one[LANES], real product[LANES],
                          real slope[LANES])
{
    const struct tail *tail = step_tail(s, n);
    const struct element *k = s->kernels->element;
    const struct norm norm = norm_of(s, n, c, r);
    const size_t plane = (size_t)((const struct batchnorm *)n->state)->pixels * LANES;
    const real *x = s->x[n->input[X]] + at, *dy = s->g[tail->out] + at;
    if (tail->other >= 0)
        k->norm_add_back_sum(one, product, slope, s->g[sum_of(tail)] + at, r ? dy : NULL, x,
                             s->x[sum_of(tail)] + at, plane, &norm);
    else if (r)
        k->norm_quant_back_sum(one, product, slope, dy, x, plane, &norm);
    else
        k->norm_back_sum(one, product, dy, x, plane, &norm);
}

static void backward_gather(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    struct statistics *kept = s->kept[n - s->graph->node];
    const bool quant = quantizes(s, n);
    const struct quant_range r = quant ? fakequant_open(s, n) : (struct quant_range){ 0 };
    (void)thread;
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < t->channels; c++) {
            const size_t plane = (size_t)b * t->channels + c;
            real one[LANES] = { 0 }, product[LANES] = { 0 }, slope[LANES] = { 0 };
            backward_sums(s, n, c, plane * (size_t)t->pixels * LANES, quant ? &r : NULL, one, product, slope);
            kept[plane].first = valid_sum(s, b, one);
            kept[plane].second = valid_sum(s, b, product);
            kept[plane].slope = valid_sum(s, b, slope);
        }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    struct statistics *kept = s->kept[n - s->graph->node];
    (void)thread;
    for (int b = 1; b < s->blocks; b++)
        for (int c = lo; c < hi; c++) {
            const struct statistics *k = &kept[(size_t)b * t->channels + c];
            kept[c].first += k->first;
            kept[c].second += k->second;
            kept[c].slope += k->slope;
        }
    for (int c = lo; c < hi; c++) {
        kept[c].sum_dy = (real)kept[c].first;
        kept[c].sum_product = (real)kept[c].second * kept[c].scale;
        if (s->g[n->input[GAMMA]])
            s->g[n->input[GAMMA]][c] += kept[c].sum_product;
        if (s->g[n->input[BETA]])
            s->g[n->input[BETA]][c] += kept[c].sum_dy;
    }
}

/* dx = gamma * scale * (dy - mean(dy) - xhat * mean(dy * xhat)); fixed statistics: the first term alone. */
static struct norm_slope slope_of(const struct step *s, const struct node *n, int c, int block,
                                  const struct norm *k)
{
    const struct batchnorm *t = n->state;
    const struct statistics *kept = s->kept[n - s->graph->node];
    real part = s->training ? 1 / ((real)s->samples * (real)t->pixels) : 0;
    struct norm_slope slope = { .shift = kept[c].sum_dy * part,
                                .slope = kept[c].sum_product * part * kept[c].scale };
    for (int l = 0; l < lanes_of(s, block); l++)
        slope.factor[l] = k->factor;
    return slope;
}

/* The gradient of what the tail adds is the sum's; often it lies where that one is (plan.c). */
static void backward_other(const struct step *s, const struct tail *tail, size_t at, size_t count)
{
    real *to = s->g[tail->other] + at;
    const real *dz = s->g[sum_of(tail)] + at;
    if (to == dz)
        return;
    if (tail->other_fresh)
        memcpy(to, dz, count * sizeof *to);
    else
        s->kernels->element->add(to, dz, count, 1);
}

/* All channels' shares of the gradient of the quantizer's step. */
static void backward_step(const struct step *s, const struct node *n)
{
    const struct batchnorm *t = n->state;
    const struct statistics *kept = s->kept[n - s->graph->node];
    real *step = s->g[fakequant_of(s, n)->input[1]];
    double total = 0;
    for (int c = 0; c < t->channels; c++)
        total += kept[c].slope;
    if (step)
        *step += (real)total;
}

/* Whoever has the first block adds up for the quantizer. */
static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    const struct tail *tail = step_tail(s, n);
    const bool quant = quantizes(s, n), adds = tail->other >= 0;
    const struct quant_range r = quant ? fakequant_open(s, n) : (struct quant_range){ 0 };
    size_t block = setup_block(s->graph, n->input[X]), plane = (size_t)t->pixels * LANES;
    const real *x = s->x[n->input[X]], *dy = s->g[sum_of(tail)];
    real *dx = s->g[n->input[X]];
    (void)thread;
    if (quant && lo == 0)
        backward_step(s, n);
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < t->channels; c++) {
            size_t at = b * block + c * plane;
            struct norm k = norm_of(s, n, c, quant && !adds ? &r : NULL);
            struct norm_slope slope = slope_of(s, n, c, b, &k);
            k.relu = k.relu && !adds; /* dy is dz then */
            if (dx)
                s->kernels->element->norm_back(dx + at, dy + at, x + at, plane, &k, &slope,
                                               !step_fresh(s, n, X));
            if (adds && s->g[tail->other])
                backward_other(s, tail, at, plane);
        }
}

const struct op op_batchnorm = {
    .name = "BatchNormalization",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .keep = keep,
    .items = items,
    .forward_gather = forward_gather,
    .forward_reduce = forward_reduce,
    .forward = forward,
    .backward_gather = backward_gather,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 1,
    .backward_writes = 1,
    .role = TAIL_HEAD,
};
