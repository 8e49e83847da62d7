/* mul.c - Mul: y = x0 * x1 with broadcasting. */
#include "worker/op/broadcast.h"
#include "worker/op/setup.h"

static int setup(struct graph *g, struct node *n, struct err *e)
{
    return broadcast_setup(g, n, 2, 2, e);
}

/* An input's row: element i, lane l is at[i * step + l * lane]. */
struct row {
    const real *at;
    ptrdiff_t step;
    int lane; /* 0 for a parameter, 1 for an activation */
};

static struct row row_of(const struct step *s, const struct node *n, int i, int block,
                         const struct broadcast_row *r)
{
    const struct broadcast *b = n->state;
    ptrdiff_t step = b->input[i].step[b->rank - 1];
    const real *x = s->x[n->input[i]];
    if (b->input[i].param)
        return (struct row){ x + r->input[i], step, 0 };
    x += block * setup_block(s->graph, n->input[i]);
    return (struct row){ x + r->input[i] * LANES, step * LANES, 1 };
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    int64_t width = b->dim[b->rank - 1];
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row at = { 0 };
        do {
            struct row u = row_of(s, n, 0, block, &at), v = row_of(s, n, 1, block, &at);
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
        struct row other = row_of(s, n, 1 - i, block, &at);
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
    int lane;               /* as in struct row */
    real total;
};

static void add_products(void *arg, ptrdiff_t out, ptrdiff_t other)
{
    struct sum *t = arg;
    const real *x = t->other + other * (t->lane ? LANES : 1);
    for (int l = 0; l < LANES; l++)
        t->total += t->dy[out * LANES + l] * x[l * t->lane];
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    int other = 1 - b->trained;
    real *g = s->g[n->input[b->trained]];
    (void)thread;
    for (int item = lo; g && item < hi; item++)
        for (int block = 0; block < s->blocks; block++) {
            struct broadcast_row begin = { 0 };
            struct row x = row_of(s, n, other, block, &begin);
            const real *dy = s->g[n->output[0]] + block * setup_block(s->graph, n->output[0]);
            struct sum t = { dy, x.at, x.lane, 0 };
            broadcast_meet(b, item, other, add_products, &t);
            g[item] += t.total;
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
