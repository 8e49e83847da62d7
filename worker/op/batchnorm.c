/* batchnorm.c - BatchNormalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta per channel.
 *
 * Training takes mean and (population) variance from the batch and moves the running ones, as ONNX says:
 * running = momentum * running + (1 - momentum) * batch. Otherwise the running ones are used, and backward
 * sees a fixed scale. Statistics cover the valid samples only; unused lanes get no gradient. (Ioffe and
 * Szegedy 2015) */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

enum { X, GAMMA, BETA, MEAN, VARIANCE };

struct batchnorm {
    int channels, pixels;
    real epsilon, momentum;
};

/* Per channel, from forward to backward; kept at the front of block 0's room. */
struct statistics {
    real mean, scale;         /* scale = 1 / sqrt(variance + epsilon) */
    real sum_dy, sum_product; /* of dy and of dy * (x - mean) * scale */
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

/* Sum of (x - centre)^power over the batch, power 1 or 2; per lane in real, the rest in double. */
static double channel_sum(const struct step *s, const struct node *n, int channel, real centre, int power)
{
    const struct batchnorm *t = n->state;
    size_t step = setup_block(s->graph, n->input[X]);
    double total = 0;
    for (int b = 0; b < s->blocks; b++) {
        const real *x = s->x[n->input[X]] + b * step + (size_t)channel * t->pixels * LANES;
        real sum[LANES] = { 0 };
        s->kernels->element->norm_sum(sum, x, (size_t)t->pixels * LANES, centre, power);
        for (int l = 0; l < lanes_of(s, b); l++)
            total += (double)sum[l];
    }
    return total;
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
            mean = channel_sum(s, n, c, 0, 1) / count;
            variance = channel_sum(s, n, c, (real)mean, 2) / count;
            move_running(s, n->input[MEAN], c, mean, t->momentum);
            move_running(s, n->input[VARIANCE], c, variance, t->momentum);
        }
        kept[c].mean = (real)mean;
        kept[c].scale = 1 / real_sqrt((real)variance + t->epsilon);
    }
}

static struct statistics statistics_of(const struct step *s, const struct node *n, int c)
{
    const struct batchnorm *t = n->state;
    const struct statistics *kept = s->kept[n - s->graph->node];
    if (kept)
        return kept[c];
    return (struct statistics){ .mean = s->x[n->input[MEAN]][c],
                                .scale = 1 / real_sqrt(s->x[n->input[VARIANCE]][c] + t->epsilon) };
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    size_t block = setup_block(s->graph, n->input[X]), plane = (size_t)t->pixels * LANES;
    (void)thread;
    for (int c = 0; c < t->channels; c++) {
        struct statistics k = statistics_of(s, n, c);
        real factor = k.scale * s->x[n->input[GAMMA]][c], beta = s->x[n->input[BETA]][c];
        for (int b = lo; b < hi; b++) {
            size_t at = b * block + c * plane;
            s->kernels->element->norm(s->x[n->output[0]] + at, s->x[n->input[X]] + at, plane, k.mean, factor,
                                      beta);
        }
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    struct statistics *kept = s->kept[n - s->graph->node];
    size_t block = setup_block(s->graph, n->input[X]), plane = (size_t)t->pixels * LANES;
    (void)thread;
    for (int c = lo; c < hi; c++) {
        double sum_dy = 0, sum_product = 0;
        for (int b = 0; b < s->blocks; b++) {
            const real *x = s->x[n->input[X]] + b * block + c * plane;
            const real *dy = s->g[n->output[0]] + b * block + c * plane;
            real one[LANES] = { 0 }, product[LANES] = { 0 };
            s->kernels->element->norm_back_sum(one, product, dy, x, plane, kept[c].mean);
            for (int l = 0; l < lanes_of(s, b); l++) {
                sum_dy += (double)one[l];
                sum_product += (double)product[l];
            }
        }
        kept[c].sum_dy = (real)sum_dy;
        kept[c].sum_product = (real)sum_product * kept[c].scale;
        if (s->g[n->input[GAMMA]])
            s->g[n->input[GAMMA]][c] += kept[c].sum_product;
        if (s->g[n->input[BETA]])
            s->g[n->input[BETA]][c] += kept[c].sum_dy;
    }
}

/* dx = gamma * scale * (dy - mean(dy) - xhat * mean(dy * xhat)); fixed statistics: the first term alone. */
static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct batchnorm *t = n->state;
    const struct statistics *kept = s->kept[n - s->graph->node];
    size_t block = setup_block(s->graph, n->input[X]), plane = (size_t)t->pixels * LANES;
    real part = s->training ? 1 / ((real)s->samples * (real)t->pixels) : 0;
    (void)thread;
    for (int c = 0; s->g[n->input[X]] && c < t->channels; c++) {
        struct statistics k = kept[c];
        real factor = k.scale * s->x[n->input[GAMMA]][c];
        real shift = k.sum_dy * part, slope = k.sum_product * part * k.scale;
        for (int b = lo; b < hi; b++) {
            size_t at = b * block + c * plane;
            real lane_factor[LANES] = { 0 };
            for (int l = 0; l < lanes_of(s, b); l++)
                lane_factor[l] = factor;
            s->kernels->element->norm_back(s->g[n->input[X]] + at, s->g[n->output[0]] + at,
                                           s->x[n->input[X]] + at, plane, lane_factor, k.mean, shift, slope);
        }
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
    .forward_reduce = forward_reduce,
    .forward = forward,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 1,
};
