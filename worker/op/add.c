/* add.c - Add, Sub and Sum: y = x0 +- x1 + ... with broadcasting. */
#include "worker/kernels/kernels.h"
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
static void add_row(real *y, const struct broadcast_part *x, int64_t width, real sign, bool first)
{
    for (int64_t i = 0; i < width; i++, y += LANES) {
        const real *from = x->at + i * x->step;
        for (int l = 0; l < LANES; l++)
            y[l] = (first ? 0 : y[l]) + sign * from[l * x->lane];
    }
}

/* Numbers that lie side by side, as those of the output do. */
static bool is_plain(const struct broadcast_part *x)
{
    return x->lane && x->step == LANES;
}

static void forward_row(const struct step *s, const struct node *n, int block,
                        const struct broadcast_row *row)
{
    const struct broadcast *b = n->state;
    const struct element *k = s->kernels->element;
    int64_t width = b->dim[b->rank - 1];
    real *y = s->x[n->output[0]] + block * setup_block(s->graph, n->output[0]) + row->out * LANES;
    int next = 0;
    if (n->inputs > 1) {
        struct broadcast_part u = broadcast_part(s, n, 0, block, row),
                              v = broadcast_part(s, n, 1, block, row);
        if (is_plain(&u) && is_plain(&v)) {
            k->sum(y, u.at, v.at, (size_t)width * LANES, sign_of(n, 1));
            next = 2;
        }
    }
    for (int i = next; i < n->inputs; i++) {
        struct broadcast_part x = broadcast_part(s, n, i, block, row);
        if (i && is_plain(&x))
            k->add(y, x.at, (size_t)width * LANES, sign_of(n, i));
        else
            add_row(y, &x, width, sign_of(n, i), !i);
    }
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct broadcast *b = n->state;
    (void)thread;
    for (int block = lo; block < hi; block++) {
        struct broadcast_row row = { 0 };
        do
            forward_row(s, n, block, &row);
        while (broadcast_next(b, n->inputs, &row));
    }
}

/* dx[i * step] += sign * dy[i] */
static void pull_row(const struct element *k, real *dx, ptrdiff_t step, const real *dy, int64_t width,
                     real sign)
{
    if (step == 1) {
        k->add(dx, dy, (size_t)width * LANES, sign);
        return;
    }
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
                pull_row(s->kernels->element, dx, b->input[i].step[last], dy + row.out * LANES, b->dim[last],
                         sign_of(n, i));
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

const struct op op_add = { .name = "Add", .setup = setup_two, .role = TAIL_ADD, ADD };
const struct op op_sub = { .name = "Sub", .setup = setup_two, ADD };
const struct op op_sum = { .name = "Sum", .setup = setup_sum, ADD };
