/* add.c - Add, Sub and Sum: y = x0 +- x1 + ... with broadcasting. */
#include "worker/op/broadcast.h"
#include "worker/op/setup.h"

static int setup_two(struct graph *g, struct node *n, struct err *e)
{
    return broadcast_setup(g, n, 2, 2, e);
}

static int setup_sum(struct graph *g, struct node *n, struct err *e)
{
    return broadcast_setup(g, n, 1, NODE_INPUTS, e);
}

static real sign_of(const struct node *n, int input)
{
    return input && !strcmp(n->op->name, "Sub") ? -1 : 1;
}

/* y[i] (+)= sign * x[i * step] for one row; an activation's element is LANES numbers, a parameter's one. */
static void add_row(real *y, const real *x, bool param, ptrdiff_t step, int64_t width, real sign, bool first)
{
    for (int64_t i = 0; i < width; i++, y += LANES) {
        const real *from = x + i * step * (param ? 1 : LANES);
        for (int l = 0; l < LANES; l++)
            y[l] = (first ? 0 : y[l]) + sign * from[param ? 0 : l];
    }
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    int last = b->rank - 1;
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row row = { 0 };
        real *y = s->x[n->output[0]] + block * out;
        do
            for (int i = 0; i < n->inputs; i++) {
                bool param = b->input[i].param;
                const real *x = param ? s->x[n->input[i]] + row.input[i]
                                      : s->x[n->input[i]] + block * setup_block(s->graph, n->input[i]) +
                                            row.input[i] * LANES;
                add_row(y + row.out * LANES, x, param, b->input[i].step[last], b->dim[last], sign_of(n, i),
                        !i);
            }
        while (broadcast_next(b, n->inputs, &row));
    }
}

/* dx[i * step] += sign * dy[i] */
static void pull_row(real *dx, ptrdiff_t step, const real *dy, int64_t width, real sign)
{
    for (int64_t i = 0; i < width; i++, dy += LANES)
        for (int l = 0; l < LANES; l++)
            dx[i * step * LANES + l] += sign * dy[l];
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    int last = b->rank - 1;
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row row = { 0 };
        const real *dy = s->g[n->output[0]] + block * out;
        do
            for (int i = 0; i < n->inputs; i++) {
                real *dx = s->g[n->input[i]];
                if (!dx || b->input[i].param)
                    continue;
                dx += block * setup_block(s->graph, n->input[i]) + row.input[i] * LANES;
                pull_row(dx, b->input[i].step[last], dy + row.out * LANES, b->dim[last], sign_of(n, i));
            }
        while (broadcast_next(b, n->inputs, &row));
    }
}

struct sum {
    const real *dy; /* one block */
    double total;
};

static void add_lanes(void *arg, ptrdiff_t out, ptrdiff_t other)
{
    struct sum *t = arg;
    (void)other;
    for (int l = 0; l < LANES; l++)
        t->total += (double)t->dy[out * LANES + l];
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    real *g = s->g[n->input[b->trained]];
    (void)thread;
    for (int item = lo; g && item < hi; item++) {
        double total = 0;
        for (int block = 0; block < s->blocks; block++) {
            struct sum t = { s->g[n->output[0]] + block * out, 0 };
            broadcast_meet(b, item, -1, add_lanes, &t);
            total += t.total;
        }
        g[item] += sign_of(n, b->trained) * (real)total;
    }
}

#define ADD                                                                                                  \
    .weight = -1, .bias = -1, .teardown = setup_teardown, .items = broadcast_items, .forward = forward,      \
    .backward_reduce = backward_reduce, .backward = backward

const struct op op_add = { .name = "Add", .setup = setup_two, ADD };
const struct op op_sub = { .name = "Sub", .setup = setup_two, ADD };
const struct op op_sum = { .name = "Sum", .setup = setup_sum, ADD };
