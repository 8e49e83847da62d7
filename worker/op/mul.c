/* mul.c - Mul: y = x0 * x1 with broadcasting. */
#include "worker/op/broadcast.h"
#include "worker/op/setup.h"

static int setup(struct graph *g, struct node *n, struct err *e)
{
    return broadcast_setup(g, n, 2, 2, e);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    int64_t width = b->dim[b->rank - 1];
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row at = { 0 };
        do {
            struct broadcast_part u = broadcast_part(s, n, 0, block, &at);
            struct broadcast_part v = broadcast_part(s, n, 1, block, &at);
            real *y = s->x[n->output[0]] + block * setup_block(s->graph, n->output[0]) + at.out * LANES;
            for (int64_t i = 0; i < width; i++)
                for (int l = 0; l < LANES; l++)
                    y[i * LANES + l] = u.at[i * u.step + l * u.lane] * v.at[i * v.step + l * v.lane];
        } while (broadcast_next(b, 2, &at));
    }
}

/* dx += dy * the other input, for input i over one block */
static void pull(const struct step *s, const struct node *n, int i, int block)
{
    const struct broadcast *b = n->state;
    const real *dy = s->g[n->output[0]] + block * setup_block(s->graph, n->output[0]);
    real *dx = s->g[n->input[i]] + block * setup_block(s->graph, n->input[i]);
    struct broadcast_row at = { 0 };
    do {
        struct broadcast_part other = broadcast_part(s, n, 1 - i, block, &at);
        const real *from = dy + at.out * LANES;
        real *to = dx + at.input[i] * LANES;
        ptrdiff_t step = b->input[i].step[b->rank - 1] * LANES;
        for (int64_t k = 0; k < b->dim[b->rank - 1]; k++)
            for (int l = 0; l < LANES; l++)
                to[k * step + l] += from[k * LANES + l] * other.at[k * other.step + l * other.lane];
    } while (broadcast_next(b, 2, &at));
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    (void)thread;
    for (int block = lo; block < hi; block++)
        for (int i = 0; i < 2; i++)
            if (!b->input[i].param && s->g[n->input[i]])
                pull(s, n, i, block);
}

struct sum {
    const real *dy, *other; /* one block */
    int lane;               /* as in struct broadcast_part */
    double total;
};

static void add_products(void *arg, ptrdiff_t out, ptrdiff_t other)
{
    struct sum *t = arg;
    const real *x = t->other + other * (t->lane ? LANES : 1);
    for (int l = 0; l < LANES; l++)
        t->total += (double)(t->dy[out * LANES + l] * x[l * t->lane]);
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    int other = 1 - b->trained;
    real *g = s->g[n->input[b->trained]];
    (void)thread;
    for (int item = lo; g && item < hi; item++) {
        double total = 0;
        for (int block = 0; block < s->blocks; block++) {
            struct broadcast_row begin = { 0 };
            struct broadcast_part x = broadcast_part(s, n, other, block, &begin);
            const real *dy = s->g[n->output[0]] + block * setup_block(s->graph, n->output[0]);
            struct sum t = { dy, x.at, x.lane, 0 };
            broadcast_meet(b, item, other, add_products, &t);
            total += t.total;
        }
        g[item] += (real)total;
    }
}

const struct op op_mul = {
    .name = "Mul",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .items = broadcast_items,
    .forward = forward,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 3,
};
