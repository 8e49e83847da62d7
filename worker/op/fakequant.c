/* fakequant.c - QuantdFakeQuant: y = clip(rint(x / s), low, high) * s with a learned step s (one element).
 *
 * Gradients as in LSQ (Esser et al., arXiv 1902.08153, equations 3 and 5, without their scale factor):
 * dx = dy inside the range, else 0; ds += sum of dy * (rint(x / s) - x / s inside, low or high outside). In
 * evaluation it is, bit for bit, QuantizeLinear, Clip and DequantizeLinear with zero point 0. */
#include "worker/op/fakequant.h"

#include "worker/kernels/int8.h"
#include "worker/op/setup.h"

#include <float.h>

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

const struct node *fakequant_of(const struct step *s, const struct node *n)
{
    int quant = step_tail(s, n)->quant;
    return quant < 0 ? n : &s->graph->node[quant];
}

struct quant_range fakequant_range(const struct step *s, const struct node *n)
{
    const struct tail *tail = step_tail(s, n);
    const struct node *quant = fakequant_of(s, n);
    const struct fakequant *q = quant->state;
    struct quant_range r = { .scale = s->x[quant->input[1]][0], .low = q->low, .high = q->high };
    if (tail->relu && r.low < 0)
        r.low = 0;
    if (tail->ceiling / r.scale < r.high)
        r.high = real_rint(tail->ceiling / r.scale);
    return r;
}

struct quant_range fakequant_open(const struct step *s, const struct node *n)
{
    const struct tail *tail = step_tail(s, n);
    struct quant_range r = fakequant_range(s, n);
    if (tail->relu && r.low == 0)
        r.low = (real)FLT_MIN;
    const struct fakequant *q = fakequant_of(s, n)->state;
    if (tail->ceiling / r.scale < q->high)
        r.high = r.held = tail->ceiling / r.scale;
    return r;
}

struct quant_range fakequant_bytes(const struct step *s, const struct node *n)
{
    const struct fakequant *q = fakequant_of(s, n)->state;
    struct quant_range r = fakequant_range(s, n);
    r.zero = q->low < 0 ? 128 : 0;
    r.low += r.zero;
    r.high += r.zero;
    return r;
}

/* n is the quantizer, or the ReLU in front of it. */
static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    struct quant_range r = fakequant_range(s, n);
    (void)thread;
    s->kernels->element->fake_quantize(s->x[step_tail(s, n)->out] + lo * block,
                                       s->x[n->input[0]] + lo * block, (size_t)(hi - lo) * block, &r);
}

/* A block's share of the step's gradient. */
static size_t keep(const struct graph *g, const struct node *n)
{
    (void)g, (void)n;
    return sizeof(double);
}

static int items(const struct graph *g, const struct node *n)
{
    (void)g, (void)n;
    return 1;
}

/* Both gradients in one pass; [lo, hi) are pairs of blocks. */
static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const size_t block = setup_block(s->graph, n->input[0]);
    const struct quant_range r = fakequant_open(s, n);
    const real *dy = s->g[step_tail(s, n)->out];
    double *slope = s->kept[n - s->graph->node];
    real *dx = s->g[n->input[0]];
    (void)thread;
    for (int b = 2 * lo; b < 2 * hi && b < s->blocks; b++)
        slope[b] =
            s->kernels->element->fake_back(dx ? dx + b * block : NULL, dy + b * block,
                                           s->x[n->input[0]] + b * block, block, &r, !step_fresh(s, n, 0));
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const double *slope = s->kept[n - s->graph->node];
    real *step = s->g[fakequant_of(s, n)->input[1]];
    double total = 0;
    (void)lo, (void)hi, (void)thread;
    for (int b = 0; b < s->blocks; b++)
        total += slope[b];
    if (step)
        *step += (real)total;
}

/* Codes for the layers that run on them (coded.c), and numbers where others read them. */
static void forward_coded(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct shape *shape = &s->graph->value[n->input[0]].shape;
    const int C = (int)shape->dim[0];
    const ptrdiff_t pixels = shape_count(shape) / C, plane = pixels * LANES;
    const int out = step_tail(s, n)->out;
    const struct quant_range r = fakequant_bytes(s, n);
    if (s->x[out])
        forward(s, n, lo, hi, thread);
    for (int b = lo; b < hi; b++)
        for (int c = 0; c < C; c += QUAD) {
            uint8_t *to = s->code[out] + ((ptrdiff_t)b * quads(C) + c / QUAD) * pixels * PIXEL;
            s->kernels->int8->codes(to, s->x[n->input[0]] + ((ptrdiff_t)b * C + c) * plane, plane,
                                    C - c < QUAD ? C - c : QUAD, (size_t)pixels, &r);
        }
}

#define FAKEQUANT                                                                                            \
    .weight = -1, .bias = -1, .keep = keep, .items = items, .backward_prepare = backward_prepare,            \
    .backward_reduce = backward_reduce, .backward_needs_inputs = 1, .backward_writes = 1, .role = TAIL_QUANT

const struct op op_fakequant = {
    .name = "QuantdFakeQuant",
    .codes = true,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    FAKEQUANT,
};
const struct op op_fakequant_coded = { .name = "quantizer to codes", .forward = forward_coded, FAKEQUANT };
