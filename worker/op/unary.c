/* unary.c - operators that take each number by itself: y = f(x), dx += dy * f'(x), f with up to two constants
 * a, b. One row of the table makes one operator. */
#include "worker/op/setup.h"

struct constants {
    real a, b;
};

#define HALF ((real)0.5)

static inline real clip(real x, real low, real high)
{
    real least = x < low ? low : x;
    return least > high ? high : least;
}

static inline real slope(real x, real low, real high)
{
    return x >= low && x <= high ? 1 : 0;
}

/* name, symbol, inputs at most; attribute (or second and third input) and default of a, of b; what backward
 * reads (IN: x, OUT: y); f; f'. A NaN goes through. */
#define UNARY_MAP(X)                                                                                         \
    X(Relu, relu, 1, NULL, 0, NULL, 0, OUT, x<0 ? 0 : x, y> 0 ? 1 : 0)                                       \
    X(LeakyRelu, leaky_relu, 1, "alpha", 0.01, NULL, 0, IN, x < 0 ? a * x : x, x < 0 ? a : 1)                \
    X(Sigmoid, sigmoid, 1, NULL, 0, NULL, 0, OUT, 1 / (1 + real_exp(-x)), y * (1 - y))                       \
    X(Tanh, tanh, 1, NULL, 0, NULL, 0, OUT, real_tanh(x), 1 - y * y)                                         \
    X(HardSigmoid, hard_sigmoid, 1, "alpha", 0.2, "beta", 0.5, IN, clip(a *x + b, 0, 1),                     \
      slope(a *x + b, 0, 1) * a)                                                                             \
    X(HardSwish, hard_swish, 1, NULL, 0, NULL, 0, IN, x *clip(x / 6 + HALF, 0, 1),                           \
      clip(x / 6 + HALF, 0, 1) + slope(x / 6 + HALF, 0, 1) * x / 6)                                          \
    X(Clip, clip, 3, "min", -HUGE_VAL, "max", HUGE_VAL, IN, clip(x, a, b), slope(x, a, b))

enum { IN_INPUTS = 1, IN_OUTPUTS = 0, OUT_INPUTS = 0, OUT_OUTPUTS = 1 };

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

#define DEFINE(Name, symbol, most, name_a, a_default, name_b, b_default, needs, f, df)                       \
    static int setup_##symbol(struct graph *g, struct node *n, struct err *e)                                \
    {                                                                                                        \
        return setup(g, n, most, name_a, a_default, name_b, b_default, e);                                   \
    }                                                                                                        \
                                                                                                             \
    static void forward_##symbol(const struct step *s, const struct node *n, int lo, int hi, int thread)     \
    {                                                                                                        \
        size_t block = setup_block(s->graph, n->input[0]);                                                   \
        const real *restrict from = s->x[n->input[0]];                                                       \
        real *restrict to = s->x[n->output[0]];                                                              \
        const real a = ((const struct constants *)n->state)->a, b = ((const struct constants *)n->state)->b; \
        (void)a, (void)b, (void)thread;                                                                      \
        for (size_t i = lo * block; i < hi * block; i++) {                                                   \
            real x = from[i];                                                                                \
            to[i] = f;                                                                                       \
        }                                                                                                    \
    }                                                                                                        \
                                                                                                             \
    static void backward_##symbol(const struct step *s, const struct node *n, int lo, int hi, int thread)    \
    {                                                                                                        \
        size_t block = setup_block(s->graph, n->input[0]);                                                   \
        const real *restrict in = s->x[n->input[0]], *restrict out = s->x[n->output[0]];                     \
        const real *restrict dy = s->g[n->output[0]];                                                        \
        real *restrict dx = s->g[n->input[0]];                                                               \
        const real a = ((const struct constants *)n->state)->a, b = ((const struct constants *)n->state)->b; \
        (void)a, (void)b, (void)thread;                                                                      \
        if (!dx)                                                                                             \
            return;                                                                                          \
        for (size_t i = lo * block; i < hi * block; i++) {                                                   \
            real x = in[needs##_INPUTS ? i : 0], y = out[needs##_OUTPUTS ? i : 0];                           \
            (void)x, (void)y;                                                                                \
            dx[i] += dy[i] * (real)(df);                                                                     \
        }                                                                                                    \
    }                                                                                                        \
                                                                                                             \
    const struct op op_##symbol = {                                                                          \
        .name = #Name,                                                                                       \
        .weight = -1,                                                                                        \
        .bias = -1,                                                                                          \
        .setup = setup_##symbol,                                                                             \
        .teardown = setup_teardown,                                                                          \
        .forward = forward_##symbol,                                                                         \
        .backward = backward_##symbol,                                                                       \
        .backward_needs_inputs = needs##_INPUTS,                                                             \
        .backward_needs_outputs = needs##_OUTPUTS,                                                           \
    };

UNARY_MAP(DEFINE)
