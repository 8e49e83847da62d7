/* fakequant.c - QuantdFakeQuant: y = clip(rint(x / s), low, high) * s with a learned step s (one element).
 *
 * Gradients as in LSQ (Esser et al., arXiv 1902.08153, equations 3 and 5, without their scale factor):
 * dx = dy inside the range, else 0; ds += sum of dy * (rint(x / s) - x / s inside, low or high outside). In
 * evaluation it is, bit for bit, QuantizeLinear, Clip and DequantizeLinear with zero point 0. */
#include "worker/op/round.h"
#include "worker/op/setup.h"

/* The step's gradient is summed over this many parts of the features, whatever the number of threads. */
enum { PARTS = 16 };

struct fakequant {
    real low, high;
    int features;
};

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "high", "low", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 2, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    r = setup_vector(g, n, 1, 1, e);
    int64_t low = node_int(n, "low", 0), high = node_int(n, "high", 0);
    if (r == 0 && (low >= high || low < -65536 || high > 65536))
        r = err_set(e, ERR_INVALID, "A range of %lld to %lld", (long long)low, (long long)high);
    struct fakequant *q = r == 0 ? setup_state(n, sizeof *q, e) : NULL;
    if (!q)
        return r < 0 ? r : ERR_NOMEM;
    *q = (struct fakequant){ (real)low, (real)high, (int)shape_count(x) };
    setup_output(g, n, x);
    return 0;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct fakequant *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict x = s->x[n->input[0]];
    real *restrict y = s->x[n->output[0]], step = s->x[n->input[1]][0];
    (void)thread;
    for (size_t i = lo * block; i < hi * block; i++) {
        real r = round_even(x[i] / step);
        r = r < q->low ? q->low : r;
        y[i] = (r > q->high ? q->high : r) * step;
    }
}

static size_t keep(const struct graph *g, const struct node *n)
{
    (void)g, (void)n;
    return PARTS * sizeof(double); /* the sums of the parts, in block 0's room */
}

static int items(const struct graph *g, const struct node *n)
{
    (void)g, (void)n;
    return PARTS;
}

/* dy times the slope of the output in the step, summed over one part of one block. */
static double part_sum(const struct fakequant *q, const real *x, const real *dy, int features, real step)
{
    real sum[LANES] = { 0 };
    double total = 0;
    for (int i = 0; i < features; i++)
        for (int l = 0; l < LANES; l++) {
            real r = x[i * LANES + l] / step, inside = round_even(r) - r;
            real slope = r < q->low ? q->low : r > q->high ? q->high : inside;
            sum[l] += dy[i * LANES + l] * slope;
        }
    for (int l = 0; l < LANES; l++)
        total += (double)sum[l];
    return total;
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct fakequant *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    double *sums = s->kept[n - s->graph->node];
    (void)thread;
    for (int part = lo; s->g[n->input[1]] && part < hi; part++) {
        int first = (int)((int64_t)q->features * part / PARTS);
        int end = (int)((int64_t)q->features * (part + 1) / PARTS);
        sums[part] = 0;
        for (int b = 0; b < s->blocks; b++) {
            size_t at = b * block + (size_t)first * LANES;
            sums[part] += part_sum(q, s->x[n->input[0]] + at, s->g[n->output[0]] + at, end - first,
                                   s->x[n->input[1]][0]);
        }
    }
}

/* The parts are summed, in order, by whoever has block 0. */
static void add_parts(const struct step *s, const struct node *n)
{
    const double *sums = s->kept[n - s->graph->node];
    double total = 0;
    for (int part = 0; part < PARTS; part++)
        total += sums[part];
    s->g[n->input[1]][0] += (real)total;
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct fakequant *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict x = s->x[n->input[0]], *restrict dy = s->g[n->output[0]];
    real *restrict dx = s->g[n->input[0]], step = s->x[n->input[1]][0];
    (void)thread;
    if (lo == 0 && s->g[n->input[1]])
        add_parts(s, n);
    if (!dx)
        return;
    for (size_t i = lo * block; i < hi * block; i++) {
        real r = x[i] / step;
        dx[i] += r >= q->low && r <= q->high ? dy[i] : 0;
    }
}

const struct op op_fakequant = {
    .name = "QuantdFakeQuant",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .keep = keep,
    .items = items,
    .forward = forward,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 1,
};
