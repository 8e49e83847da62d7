/* unary.c - operators that take each number by itself: y = f(x), dx += dy * f'(x), f with up to two constants
 * a, b. One row of the table makes one operator; the functions are in worker/kernels/lanes_unary.c. */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

struct constants {
    real a, b;
};

/* name; symbol; in the kernels' table; inputs at most; attribute (or second and third input) and default of
 * a, of b; what backward sees (inputs: x, outputs: y). A NaN goes through. */
#define UNARY_MAP(X)                                                                                         \
    X("Relu", relu, UNARY_RELU, 1, NULL, 0, NULL, 0, outputs)                                                \
    X("LeakyRelu", leaky_relu, UNARY_LEAKY_RELU, 1, "alpha", 0.01, NULL, 0, inputs)                          \
    X("Sigmoid", sigmoid, UNARY_SIGMOID, 1, NULL, 0, NULL, 0, outputs)                                       \
    X("Tanh", tanh, UNARY_TANH, 1, NULL, 0, NULL, 0, outputs)                                                \
    X("HardSigmoid", hard_sigmoid, UNARY_HARD_SIGMOID, 1, "alpha", 0.2, "beta", 0.5, inputs)                 \
    X("HardSwish", hard_swish, UNARY_HARD_SWISH, 1, NULL, 0, NULL, 0, inputs)                                \
    X("Clip", clip, UNARY_CLIP, 3, "min", -HUGE_VAL, "max", HUGE_VAL, inputs)

static int setup(struct graph *g, struct node *n, int most, const char *name_a, double a, const char *name_b,
                 double b, struct err *e)
{
    const char *const known[] = { name_a, name_b, NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, most, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    a = name_a ? node_float(n, name_a, a) : a;
    b = name_b ? node_float(n, name_b, b) : b;
    if (setup_has(n, 1))
        r = setup_scalar(g, n, 1, &a, e);
    if (r == 0 && setup_has(n, 2))
        r = setup_scalar(g, n, 2, &b, e);
    struct constants *c = r == 0 ? setup_state(n, sizeof *c, e) : NULL;
    if (!c)
        return r < 0 ? r : ERR_NOMEM;
    *c = (struct constants){ (real)a, (real)b };
    setup_output(g, n, x);
    return 0;
}

static void forward(const struct step *s, const struct node *n, enum unary f, int lo, int hi)
{
    const struct constants *c = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    s->kernels->unary[f].forward(s->x[n->output[0]] + lo * block, s->x[n->input[0]] + lo * block,
                                 (size_t)(hi - lo) * block, c->a, c->b);
}

static void backward(const struct step *s, const struct node *n, enum unary f, int lo, int hi)
{
    const struct constants *c = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *seen = s->x[n->op->backward_needs_inputs ? n->input[0] : n->output[0]];
    if (s->g[n->input[0]])
        s->kernels->unary[f].backward(s->g[n->input[0]] + lo * block, s->g[n->output[0]] + lo * block,
                                      seen + lo * block, (size_t)(hi - lo) * block, c->a, c->b,
                                      !step_fresh(s, n, 0));
}

/* Clip from 0, like ReLU6, is a ReLU with a ceiling. */
static real ceiling(const struct node *n)
{
    const struct constants *c = n->state;
    return c->a == 0 ? c->b : 0;
}

#define DEFINE(text, symbol, f, most, name_a, a, name_b, b, seen)                                            \
    static int setup_##symbol(struct graph *g, struct node *n, struct err *e)                                \
    {                                                                                                        \
        return setup(g, n, most, name_a, a, name_b, b, e);                                                   \
    }                                                                                                        \
                                                                                                             \
    static void forward_##symbol(const struct step *s, const struct node *n, int lo, int hi, int thread)     \
    {                                                                                                        \
        (void)thread;                                                                                        \
        forward(s, n, f, lo, hi);                                                                            \
    }                                                                                                        \
                                                                                                             \
    static void backward_##symbol(const struct step *s, const struct node *n, int lo, int hi, int thread)    \
    {                                                                                                        \
        (void)thread;                                                                                        \
        backward(s, n, f, lo, hi);                                                                           \
    }                                                                                                        \
                                                                                                             \
    const struct op op_##symbol = {                                                                          \
        .name = text,                                                                                        \
        .weight = -1,                                                                                        \
        .bias = -1,                                                                                          \
        .setup = setup_##symbol,                                                                             \
        .teardown = setup_teardown,                                                                          \
        .forward = forward_##symbol,                                                                         \
        .backward = backward_##symbol,                                                                       \
        .backward_writes = 1,                                                                                \
        .role = f == UNARY_RELU || f == UNARY_CLIP ? TAIL_RELU : TAIL_NONE,                                  \
        .ceiling = f == UNARY_CLIP ? ceiling : NULL,                                                         \
        .backward_needs_##seen = 1,                                                                          \
    };

UNARY_MAP(DEFINE)
