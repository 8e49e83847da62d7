/* reduce_mean.c - ReduceMean over axes of the sample. */
#include "worker/op/setup.h"
#include "worker/op/strided.h"

struct reduce {
    struct strided move; /* the steps of reduced axes are 0 on the output's side */
    real factor;         /* 1 / (numbers in a mean) */
};

/* Which axes are reduced; without a list all are, unless noop_with_empty_axes. */
static int read_axes(struct graph *g, struct node *n, int rank, bool reduced[GRAPH_RANK], struct err *e)
{
    int64_t list[GRAPH_RANK + 1];
    int count, r = setup_ints(g, n, "axes", 1, list, GRAPH_RANK + 1, &count, e);
    if (r < 0)
        return r;
    bool all = count <= 0 && !node_int(n, "noop_with_empty_axes", 0);
    if (all && g->batched)
        return err_set(e, ERR_UNSUPPORTED, "Without 'axes' the mean is over the batch too");
    for (int i = 0; all && i < rank; i++)
        reduced[i] = true;
    for (int i = 0; i < count && r == 0; i++) {
        int at;
        r = setup_axis(g, rank, list[i], &at, e);
        if (r == 0)
            reduced[at] = true;
    }
    return r;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axes", "keepdims", "noop_with_empty_axes", NULL };
    bool reduced[GRAPH_RANK] = { false };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 2, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    r = x ? read_axes(g, n, x->rank, reduced, e) : ERR_UNSUPPORTED;
    struct reduce *t = r == 0 ? setup_state(n, sizeof *t, e) : NULL;
    if (!t)
        return r < 0 ? r : ERR_NOMEM;
    struct shape kept = *x, y = { 0 };
    bool keep = node_int(n, "keepdims", 1) != 0;
    for (int i = 0; i < x->rank; i++) {
        kept.dim[i] = reduced[i] ? 1 : x->dim[i];
        if (keep || !reduced[i])
            y.dim[y.rank++] = kept.dim[i];
    }
    t->move.rank = x->rank;
    memcpy(t->move.dim, x->dim, sizeof x->dim);
    strided_steps(x, t->move.from);
    strided_steps(&kept, t->move.to);
    for (int i = 0; i < x->rank; i++)
        t->move.to[i] = reduced[i] ? 0 : t->move.to[i];
    t->factor = (real)shape_count(&kept) / (real)shape_count(x);
    setup_output(g, n, &y);
    return 0;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct reduce *t = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi; b++) {
        real *y = s->x[n->output[0]] + b * out;
        memset(y, 0, out * sizeof *y);
        strided_push(&t->move, s->x[n->input[0]] + b * in, y, 1);
        for (size_t i = 0; i < out; i++)
            y[i] *= t->factor;
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct reduce *t = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        strided_pull(&t->move, s->g[n->input[0]] + b * in, s->g[n->output[0]] + b * out, t->factor);
}

const struct op op_reduce_mean = {
    .name = "ReduceMean",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    .backward = backward,
};
