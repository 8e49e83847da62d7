/* fakequant.c - QuantdFakeQuant: y = clip(rint(x / s), low, high) * s with a learned step s (one element).
 *
 * Gradients as in LSQ (Esser et al., arXiv 1902.08153, equations 3 and 5, without their scale factor):
 * dx = dy inside the range, else 0; ds += sum of dy * (rint(x / s) - x / s inside, low or high outside). In
 * evaluation it is, bit for bit, QuantizeLinear, Clip and DequantizeLinear with zero point 0. */
#include "worker/kernels/kernels.h"
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

static struct quant_range range_of(const struct step *s, const struct node *n)
{
    const struct fakequant *q = n->state;
    return (struct quant_range){ s->x[n->input[1]][0], 0, q->low, q->high };
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    struct quant_range r = range_of(s, n);
    (void)thread;
    s->kernels->element->fake_quantize(s->x[n->output[0]] + lo * block, s->x[n->input[0]] + lo * block,
                                       (size_t)(hi - lo) * block, &r);
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

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct fakequant *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    double *sums = s->kept[n - s->graph->node];
    struct quant_range r = range_of(s, n);
    (void)thread;
    for (int part = lo; s->g[n->input[1]] && part < hi; part++) {
        int first = (int)((int64_t)q->features * part / PARTS);
        int end = (int)((int64_t)q->features * (part + 1) / PARTS);
        sums[part] = 0;
        for (int b = 0; b < s->blocks; b++) {
            size_t at = b * block + (size_t)first * LANES;
            sums[part] += s->kernels->element->scale_slope(s->x[n->input[0]] + at, s->g[n->output[0]] + at,
                                                           (size_t)(end - first) * LANES, &r);
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
    size_t block = setup_block(s->graph, n->input[0]);
    struct quant_range r = range_of(s, n);
    (void)thread;
    if (lo == 0 && s->g[n->input[1]])
        add_parts(s, n);
    if (s->g[n->input[0]])
        s->kernels->element->quantize_back(s->g[n->input[0]] + lo * block, s->g[n->output[0]] + lo * block,
                                           s->x[n->input[0]] + lo * block, (size_t)(hi - lo) * block, &r, 1);
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
