/* quantize.c - QuantizeLinear and DequantizeLinear on activations, per tensor or along one axis.
 *
 *      q = saturate(rint(x / scale) + zero point)      y = (q - zero point) * scale
 *
 * q stays a real number that holds the integer. Division is a true division and rounding is half to even, as
 * in ONNX and in QuantdFakeQuant. Backward is straight through: the slope of x / scale where nothing
 * saturates. */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

/* The sample is [outer][channels][inner]; one scale and zero point per channel. */
struct quantize {
    int outer, channels, inner;
    real low, high;
    bool shifted; /* there are zero points, in input 3 */
};

/* The type of the zero point is the range; without one it is uint8 with zero point 0. */
static int read_zero(const struct graph *g, const struct node *n, struct quantize *q, struct err *e)
{
    q->low = 0;
    q->high = 255;
    q->shifted = setup_has(n, 2);
    if (!q->shifted)
        return 0;
    const struct value *v = &g->value[n->input[2]];
    if (v->kind != VALUE_CONST || shape_count(&v->shape) != q->channels ||
        (v->constant->dtype != DTYPE_INT8 && v->constant->dtype != DTYPE_UINT8))
        return err_set(e, ERR_UNSUPPORTED,
                       "The zero point '%s' must be constant int8 or uint8, as many as scales", v->name);
    if (v->constant->dtype == DTYPE_INT8) {
        q->low = -128;
        q->high = 127;
    }
    return 0;
}

/* How the sample is cut: one scale for all, or one per index of the axis. */
static int read_axis(const struct graph *g, const struct node *n, const struct shape *x, struct quantize *q,
                     struct err *e)
{
    const struct shape *scale = setup_param(g, n, 1, e);
    int axis;
    *q = (struct quantize){ 1, 1, 1, 0, 0, false };
    if (!scale)
        return ERR_UNSUPPORTED;
    if (shape_count(scale) == 1) {
        q->inner = (int)shape_count(x);
        return 0;
    }
    int r = setup_axis(g, x->rank, node_int(n, "axis", 1), &axis, e);
    if (r == 0)
        r = setup_vector(g, n, 1, x->dim[axis], e);
    for (int d = 0; r == 0 && d < x->rank; d++)
        *(d < axis ? &q->outer : d > axis ? &q->inner : &q->channels) *= (int)x->dim[d];
    return r;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", "saturate", NULL };
    struct quantize q;
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 3, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    r = read_axis(g, n, x, &q, e);
    if (r == 0)
        r = read_zero(g, n, &q, e);
    struct quantize *state = r == 0 ? setup_state(n, sizeof *state, e) : NULL;
    if (!state)
        return r < 0 ? r : ERR_NOMEM;
    *state = q;
    setup_output(g, n, x);
    return 0;
}

/* What is done to `count` numbers with one scale: at `at` in x, y and their gradients. */
typedef void stretch_fn(const struct step *s, const struct node *n, const struct quant_range *r, size_t at,
                        size_t count);

static void each_stretch(const struct step *s, const struct node *n, int lo, int hi, stretch_fn *fn)
{
    const struct quantize *q = n->state;
    size_t at = lo * setup_block(s->graph, n->input[0]), count = (size_t)q->inner * LANES;
    const real *scale = s->x[n->input[1]], *zero = q->shifted ? s->x[n->input[2]] : NULL;
    for (int64_t i = 0; i < (int64_t)(hi - lo) * q->outer; i++)
        for (int c = 0; c < q->channels; c++, at += count)
            fn(s, n, &(struct quant_range){ scale[c], zero ? zero[c] : 0, q->low, q->high, 0 }, at, count);
}

static void quantize(const struct step *s, const struct node *n, const struct quant_range *r, size_t at,
                     size_t count)
{
    s->kernels->element->quantize(s->x[n->output[0]] + at, s->x[n->input[0]] + at, count, r);
}

static void quantize_back(const struct step *s, const struct node *n, const struct quant_range *r, size_t at,
                          size_t count)
{
    s->kernels->element->quantize_back(s->g[n->input[0]] + at, s->g[n->output[0]] + at,
                                       s->x[n->input[0]] + at, count, r, 1 / r->scale);
}

static void dequantize(const struct step *s, const struct node *n, const struct quant_range *r, size_t at,
                       size_t count)
{
    s->kernels->element->dequantize(s->x[n->output[0]] + at, s->x[n->input[0]] + at, count, r);
}

static void dequantize_back(const struct step *s, const struct node *n, const struct quant_range *r,
                            size_t at, size_t count)
{
    s->kernels->element->add(s->g[n->input[0]] + at, s->g[n->output[0]] + at, count, r->scale);
}

#define STAGES(name)                                                                                         \
    static void forward_##name(const struct step *s, const struct node *n, int lo, int hi, int thread)       \
    {                                                                                                        \
        (void)thread;                                                                                        \
        each_stretch(s, n, lo, hi, name);                                                                    \
    }                                                                                                        \
                                                                                                             \
    static void backward_##name(const struct step *s, const struct node *n, int lo, int hi, int thread)      \
    {                                                                                                        \
        (void)thread;                                                                                        \
        if (s->g[n->input[0]])                                                                               \
            each_stretch(s, n, lo, hi, name##_back);                                                         \
    }

STAGES(quantize)
STAGES(dequantize)

#define QUANTIZE .weight = -1, .bias = -1, .setup = setup, .teardown = setup_teardown

const struct op op_quantize = {
    .name = "QuantizeLinear",
    QUANTIZE,
    .forward = forward_quantize,
    .backward = backward_quantize,
    .backward_needs_inputs = 1,
};
const struct op op_dequantize = {
    .name = "DequantizeLinear",
    .codes = true,
    QUANTIZE,
    .forward = forward_dequantize,
    .backward = backward_dequantize,
};
