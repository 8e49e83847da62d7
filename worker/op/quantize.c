/* quantize.c - QuantizeLinear and DequantizeLinear on activations, per tensor.
 *
 *      q = saturate(rint(x / scale) + zero point)      y = (q - zero point) * scale
 *
 * q stays a real number that holds the integer. Division is a true division and rounding is half to even, as
 * in ONNX and in QuantdFakeQuant. Backward is straight through: the slope of x / scale where nothing
 * saturates. */
#include "worker/op/round.h"
#include "worker/op/setup.h"

struct quantize {
    real zero, low, high;
};

/* The type of the zero point is the range; without one it is uint8 with zero point 0. */
static int read_zero(const struct graph *g, const struct node *n, struct quantize *q, struct err *e)
{
    *q = (struct quantize){ 0, 0, 255 };
    if (!setup_has(n, 2))
        return 0;
    const struct value *v = &g->value[n->input[2]];
    if (v->kind != VALUE_CONST || shape_count(&v->shape) != 1 ||
        (v->constant->dtype != DTYPE_INT8 && v->constant->dtype != DTYPE_UINT8))
        return err_set(e, ERR_UNSUPPORTED, "The zero point '%s' must be one constant int8 or uint8", v->name);
    if (v->constant->dtype == DTYPE_INT8)
        *q = (struct quantize){ 0, -128, 127 };
    q->zero = (real)tensor_number(v->constant, 0);
    return 0;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", "saturate", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 3, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    r = setup_vector(g, n, 1, 1, e);
    if (r == 0)
        setup_output(g, n, x);
    struct quantize q;
    if (r == 0)
        r = read_zero(g, n, &q, e);
    struct quantize *state = r == 0 ? setup_state(n, sizeof *state, e) : NULL;
    if (!state)
        return r < 0 ? r : ERR_NOMEM;
    *state = q;
    return 0;
}

static void quantize(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct quantize *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict x = s->x[n->input[0]];
    real *restrict y = s->x[n->output[0]], scale = s->x[n->input[1]][0];
    (void)thread;
    for (size_t i = lo * block; i < hi * block; i++) {
        real r = round_even(x[i] / scale) + q->zero;
        r = r < q->low ? q->low : r;
        y[i] = r > q->high ? q->high : r;
    }
}

static void quantize_back(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct quantize *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict x = s->x[n->input[0]], *restrict dy = s->g[n->output[0]];
    real *restrict dx = s->g[n->input[0]], scale = s->x[n->input[1]][0];
    (void)thread;
    if (!dx)
        return;
    for (size_t i = lo * block; i < hi * block; i++) {
        real r = x[i] / scale + q->zero;
        dx[i] += r >= q->low && r <= q->high ? dy[i] / scale : 0;
    }
}

static void dequantize(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct quantize *q = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict x = s->x[n->input[0]];
    real *restrict y = s->x[n->output[0]], scale = s->x[n->input[1]][0];
    (void)thread;
    for (size_t i = lo * block; i < hi * block; i++)
        y[i] = (x[i] - q->zero) * scale;
}

static void dequantize_back(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    const real *restrict dy = s->g[n->output[0]];
    real *restrict dx = s->g[n->input[0]], scale = s->x[n->input[1]][0];
    (void)thread;
    if (!dx)
        return;
    for (size_t i = lo * block; i < hi * block; i++)
        dx[i] += dy[i] * scale;
}

#define QUANTIZE .weight = -1, .bias = -1, .setup = setup, .teardown = setup_teardown

const struct op op_quantize = {
    .name = "QuantizeLinear",
    QUANTIZE,
    .forward = quantize,
    .backward = quantize_back,
    .backward_needs_inputs = 1,
};
const struct op op_dequantize = {
    .name = "DequantizeLinear",
    QUANTIZE,
    .forward = dequantize,
    .backward = dequantize_back,
};
