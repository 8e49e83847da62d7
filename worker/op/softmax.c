/* softmax.c - Softmax: y = exp(x - max) / sum of it, along one axis; before opset 13 over all axes from
 * `axis` on. */
#include "worker/op/setup.h"

/* The sample seen as [outer][length][inner]. */
struct softmax {
    int outer, length, inner;
};

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", NULL };
    int axis, r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 1, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    bool together = g->opset < 13;
    r = setup_axis(g, x->rank, node_int(n, "axis", together ? 1 : -1), &axis, e);
    struct softmax *t = r == 0 ? setup_state(n, sizeof *t, e) : NULL;
    if (!t)
        return r < 0 ? r : ERR_NOMEM;
    *t = (struct softmax){ 1, 1, 1 };
    for (int i = 0; i < x->rank; i++)
        *(i < axis ? &t->outer : i == axis || together ? &t->length : &t->inner) *= (int)x->dim[i];
    setup_output(g, n, x);
    return 0;
}

/* `step` numbers lie between neighbours on the axis. */
static void forward_line(const real *x, real *y, int length, size_t step)
{
    real most[LANES], sum[LANES] = { 0 };
    memcpy(most, x, sizeof most);
    for (int i = 1; i < length; i++)
        for (int l = 0; l < LANES; l++)
            most[l] = x[i * step + l] > most[l] ? x[i * step + l] : most[l];
    for (int i = 0; i < length; i++)
        for (int l = 0; l < LANES; l++) {
            y[i * step + l] = real_exp(x[i * step + l] - most[l]);
            sum[l] += y[i * step + l];
        }
    for (int i = 0; i < length; i++)
        for (int l = 0; l < LANES; l++)
            y[i * step + l] /= sum[l];
}

/* dx += y * (dy - sum of dy * y) */
static void backward_line(const real *y, const real *dy, real *dx, int length, size_t step)
{
    real sum[LANES] = { 0 };
    for (int i = 0; i < length; i++)
        for (int l = 0; l < LANES; l++)
            sum[l] += dy[i * step + l] * y[i * step + l];
    for (int i = 0; i < length; i++)
        for (int l = 0; l < LANES; l++)
            dx[i * step + l] += y[i * step + l] * (dy[i * step + l] - sum[l]);
}

/* Offset of line number i of one block. */
static size_t line_offset(const struct softmax *t, int i)
{
    return ((size_t)(i / t->inner) * t->length * t->inner + i % t->inner) * LANES;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct softmax *t = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    (void)thread;
    for (int b = lo; b < hi; b++)
        for (int i = 0; i < t->outer * t->inner; i++) {
            size_t at = b * block + line_offset(t, i);
            forward_line(s->x[n->input[0]] + at, s->x[n->output[0]] + at, t->length,
                         (size_t)t->inner * LANES);
        }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct softmax *t = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        for (int i = 0; i < t->outer * t->inner; i++) {
            size_t at = b * block + line_offset(t, i);
            backward_line(s->x[n->output[0]] + at, s->g[n->output[0]] + at, s->g[n->input[0]] + at, t->length,
                          (size_t)t->inner * LANES);
        }
}

const struct op op_softmax = {
    .name = "Softmax",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    .backward = backward,
    .backward_needs_outputs = 1,
};
