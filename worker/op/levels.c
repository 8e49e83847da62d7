/* levels.c - QuantdLevels: y = level[number of thresholds below x], for thresholds and levels that are sorted
 * and learned elsewhere (worker/quant/levels.c). Inputs: x, thresholds, levels (one more).
 *
 * Backward goes straight through between the least level and the greatest (LQ-Nets, arXiv 1807.10029,
 * section 3.3, has the greatest alone: there a ReLU stands in front, which files that others have quantized
 * may lack). Levels that are trainable get a gradient, too: each the sum of dy over its values, and the
 * greatest besides that of -x / level dy over what goes straight through, for a quantizer whose levels all
 * grow by a share grows as its input would. With levels 0, s, 2s... that is LSQ's slope of s (arXiv
 * 1902.08153, equation 3). Thresholds get none. */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

enum { MOST = 16 };

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 3, 3, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    const struct shape *level = x ? setup_param(g, n, 2, e) : NULL;
    if (!level)
        return ERR_UNSUPPORTED;
    const int64_t count = shape_count(level);
    if (count < 2 || count > MOST)
        return err_set(e, ERR_UNSUPPORTED, "%lld levels: 2 to %d are possible", (long long)count, MOST);
    r = setup_vector(g, n, 1, count - 1, e);
    if (r == 0)
        r = setup_vector(g, n, 2, count, e);
    if (r == 0)
        setup_output(g, n, x);
    return r;
}

static int count_of(const struct step *s, const struct node *n)
{
    return (int)shape_count(&s->graph->value[n->input[2]].shape);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const size_t block = setup_block(s->graph, n->input[0]);
    (void)thread;
    s->kernels->element->levels(s->x[n->output[0]] + lo * block, s->x[n->input[0]] + lo * block,
                                (size_t)(hi - lo) * block, s->x[n->input[1]], s->x[n->input[2]],
                                count_of(s, n));
}

/* What goes straight through. */
static struct quant_range range_of(const struct step *s, const struct node *n)
{
    const real *level = s->x[n->input[2]];

    return (struct quant_range){ .scale = 1, .low = level[0], .high = level[count_of(s, n) - 1] };
}

/* A block's share of the gradient in the levels. */
struct share {
    double above[MOST], product; /* of dy above each threshold; of dy x inside */
};

static size_t keep(const struct graph *g, const struct node *n)
{
    return g->value[n->input[2]].trainable ? sizeof(struct share) : 0;
}

static int items(const struct graph *g, const struct node *n)
{
    (void)g, (void)n;
    return 1;
}

/* [lo, hi) are pairs of blocks. */
static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const size_t block = setup_block(s->graph, n->input[0]);
    const struct quant_range inside = range_of(s, n);
    struct share *share = s->kept[n - s->graph->node];
    (void)thread;

    if (!s->g[n->input[2]])
        return;
    for (int b = 2 * lo; b < 2 * hi && b < s->blocks; b++) {
        share[b] = (struct share){ 0 };
        share[b].product = s->kernels->element->levels_back(
            s->g[n->output[0]] + b * block, s->x[n->input[0]] + b * block, block, s->x[n->input[1]],
            count_of(s, n), inside.low, inside.high, share[b].above);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct share *share = s->kept[n - s->graph->node];
    const int levels = count_of(s, n);
    const double greatest = (double)s->x[n->input[2]][levels - 1];
    real *dl = s->g[n->input[2]];
    struct share all = { 0 };
    (void)lo, (void)hi, (void)thread;

    if (!dl)
        return;
    for (int b = 0; b < s->blocks; b++) {
        for (int j = 0; j < levels; j++)
            all.above[j] += share[b].above[j];
        all.product += share[b].product;
    }
    for (int j = 0; j < levels; j++)
        dl[j] += (real)(all.above[j] - (j + 1 < levels ? all.above[j + 1] : 0));
    if (greatest > 0)
        dl[levels - 1] -= (real)(all.product / greatest);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const size_t block = setup_block(s->graph, n->input[0]);
    const struct quant_range inside = range_of(s, n);
    (void)thread;

    if (s->g[n->input[0]])
        s->kernels->element->quantize_back(s->g[n->input[0]] + lo * block, s->g[n->output[0]] + lo * block,
                                           s->x[n->input[0]] + lo * block, (size_t)(hi - lo) * block, &inside,
                                           1);
}

const struct op op_levels = { .name = "QuantdLevels",
                              .codes = true,
                              .weight = -1,
                              .bias = -1,
                              .setup = setup,
                              .keep = keep,
                              .items = items,
                              .forward = forward,
                              .backward_prepare = backward_prepare,
                              .backward_reduce = backward_reduce,
                              .backward = backward,
                              .backward_needs_inputs = 1 };
