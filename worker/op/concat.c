/* concat.c - Concat: inputs behind each other along one axis of the sample. */
#include "worker/op/setup.h"
#include "worker/op/strided.h"

struct concat {
    struct strided part[NODE_INPUTS];
};

/* May this input stand beside the first? */
static int check_part(const struct shape *first, const struct shape *x, int axis, int index, struct err *e)
{
    bool fits = x->rank == first->rank;
    for (int d = 0; fits && d < x->rank; d++)
        fits = d == axis || x->dim[d] == first->dim[d];
    if (fits)
        return 0;
    char a[128], b[128];
    shape_text(first, a, sizeof a);
    shape_text(x, b, sizeof b);
    return err_set(e, ERR_INVALID, "Input %d is %s, the first is %s", index + 1, b, a);
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", NULL };
    int axis, r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, n->inputs > 0 ? n->inputs : 1, NODE_INPUTS, e);
    const struct shape *first = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!first)
        return ERR_UNSUPPORTED;
    r = setup_axis(g, first->rank, node_int(n, "axis", 1), &axis, e);
    struct concat *c = r == 0 ? setup_state(n, sizeof *c, e) : NULL;
    if (!c)
        return r < 0 ? r : ERR_NOMEM;
    struct shape y = *first;
    for (int i = 1; i < n->inputs; i++) {
        const struct shape *x = setup_activation(g, n, i, e);
        r = x ? check_part(first, x, axis, i, e) : ERR_UNSUPPORTED;
        if (r < 0)
            return r;
        y.dim[axis] += x->dim[axis];
    }
    int64_t at = 0;
    for (int i = 0; i < n->inputs; i++) {
        const struct shape *x = &g->value[n->input[i]].shape;
        struct strided *p = &c->part[i];
        p->rank = x->rank;
        memcpy(p->dim, x->dim, sizeof x->dim);
        strided_steps(x, p->from);
        strided_steps(&y, p->to);
        p->to_base = at * p->to[axis];
        at += x->dim[axis];
    }
    setup_output(g, n, &y);
    return 0;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct concat *c = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int i = 0; i < n->inputs; i++) {
        size_t in = setup_block(s->graph, n->input[i]);
        for (int b = lo; b < hi; b++)
            strided_copy(&c->part[i], s->x[n->input[i]] + b * in, s->x[n->output[0]] + b * out);
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct concat *c = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int i = 0; i < n->inputs; i++) {
        size_t in = setup_block(s->graph, n->input[i]);
        for (int b = lo; b < hi && s->g[n->input[i]]; b++)
            strided_pull(&c->part[i], s->g[n->input[i]] + b * in, s->g[n->output[0]] + b * out, 1);
    }
}

const struct op op_concat = {
    .name = "Concat",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    .backward = backward,
};
