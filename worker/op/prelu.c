/* prelu.c - PRelu: y = x where x >= 0, else slope * x, the slope a parameter stretched over the sample. (He
 * et al. 2015, equation 1) */
#include "worker/op/broadcast.h"
#include "worker/op/setup.h"

enum { X, SLOPE };

static int setup(struct graph *g, struct node *n, struct err *e)
{
    int r = setup_inputs(n, 2, 2, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, X, e) : NULL;
    if (!x || !setup_param(g, n, SLOPE, e))
        return ERR_UNSUPPORTED;
    r = broadcast_setup(g, n, 2, 2, e);
    if (r == 0 && !shape_equal(x, &g->value[n->output[0]].shape))
        r = err_set(e, ERR_INVALID, "The slope has more dimensions than the input");
    return r;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    int64_t width = b->dim[b->rank - 1];
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row at = { 0 };
        do {
            struct broadcast_part x = broadcast_part(s, n, X, block, &at);
            struct broadcast_part slope = broadcast_part(s, n, SLOPE, block, &at);
            real *y = s->x[n->output[0]] + block * setup_block(s->graph, n->output[0]) + at.out * LANES;
            for (int64_t i = 0; i < width; i++)
                for (int l = 0; l < LANES; l++) {
                    real from = x.at[i * LANES + l];
                    y[i * LANES + l] = from < 0 ? slope.at[i * slope.step] * from : from;
                }
        } while (broadcast_next(b, 2, &at));
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    size_t size = setup_block(s->graph, n->input[X]);
    int64_t width = b->dim[b->rank - 1];
    (void)thread;
    for (int block = lo; block < hi && s->g[n->input[X]]; block++) {
        struct broadcast_row at = { 0 };
        do {
            struct broadcast_part x = broadcast_part(s, n, X, block, &at);
            struct broadcast_part slope = broadcast_part(s, n, SLOPE, block, &at);
            const real *dy = s->g[n->output[0]] + block * size + at.out * LANES;
            real *dx = s->g[n->input[X]] + block * size + at.out * LANES;
            for (int64_t i = 0; i < width; i++)
                for (int l = 0; l < LANES; l++)
                    dx[i * LANES + l] += x.at[i * LANES + l] < 0
                                             ? slope.at[i * slope.step] * dy[i * LANES + l]
                                             : dy[i * LANES + l];
        } while (broadcast_next(b, 2, &at));
    }
}

struct sum {
    const real *x, *dy; /* one block */
    double total;
};

static void add_negative(void *arg, ptrdiff_t out, ptrdiff_t other)
{
    struct sum *t = arg;
    (void)other;
    for (int l = 0; l < LANES; l++) {
        real x = t->x[out * LANES + l];
        t->total += (double)(x < 0 ? x * t->dy[out * LANES + l] : 0);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    size_t size = setup_block(s->graph, n->input[X]);
    real *g = s->g[n->input[SLOPE]];
    (void)thread;
    for (int item = lo; g && item < hi; item++) {
        double total = 0;
        for (int block = 0; block < s->blocks; block++) {
            struct sum t = { s->x[n->input[X]] + block * size, s->g[n->output[0]] + block * size, 0 };
            broadcast_meet(b, item, -1, add_negative, &t);
            total += t.total;
        }
        g[item] += (real)total;
    }
}

const struct op op_prelu = {
    .name = "PRelu",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .items = broadcast_items,
    .forward = forward,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 1 << X,
};
