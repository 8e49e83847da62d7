/* concat.c - Concat and Split: parts behind each other along one axis of the sample. */
#include "worker/op/setup.h"
#include "worker/op/strided.h"

/* Part i is input i of a Concat, output i of a Split. */
struct parts {
    struct strided part[NODE_INPUTS];
};

/* Part i begins at `at` on the axis of the whole; data goes from the part to the whole, or back. */
static void place_part(struct parts *p, int i, const struct shape *part, const struct shape *whole, int axis,
                       int64_t at, bool back)
{
    struct strided *s = &p->part[i];
    ptrdiff_t *inner = back ? s->to : s->from, *outer = back ? s->from : s->to;
    s->rank = part->rank;
    memcpy(s->dim, part->dim, sizeof part->dim);
    strided_steps(part, inner);
    strided_steps(whole, outer);
    *(back ? &s->from_base : &s->to_base) = at * outer[axis];
}

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

static int setup_concat(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", NULL };
    int axis, r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, n->inputs > 0 ? n->inputs : 1, NODE_INPUTS, e);
    const struct shape *first = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!first)
        return ERR_UNSUPPORTED;
    r = setup_axis(g, first->rank, node_int(n, "axis", 1), &axis, e);
    struct parts *p = r == 0 ? setup_state(n, sizeof *p, e) : NULL;
    if (!p)
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
        place_part(p, i, x, &y, axis, at, false);
        at += x->dim[axis];
    }
    setup_output(g, n, &y);
    return 0;
}

/* The lengths of a Split's parts: given, or equal ones. */
static int read_lengths(struct graph *g, struct node *n, int64_t whole, int64_t length[NODE_OUTPUTS],
                        struct err *e)
{
    int count, r = setup_ints(g, n, "split", 1, length, NODE_OUTPUTS, &count, e);
    if (r < 0)
        return r;
    if (count < 0) {
        for (count = 0; count < n->outputs; count++)
            length[count] = whole / n->outputs;
    } else if (count != n->outputs) {
        return err_set(e, ERR_INVALID, "'split' has %d elements for %d outputs", count, n->outputs);
    }
    int64_t rest = whole;
    for (int i = 0; i < count; i++) {
        if (length[i] < 1 || length[i] > rest)
            return err_set(e, ERR_INVALID, "'split' does not divide %lld", (long long)whole);
        rest -= length[i];
    }
    return rest ? err_set(e, ERR_INVALID, "%d parts do not make %lld", count, (long long)whole) : 0;
}

static int setup_split(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", "split", NULL };
    int64_t length[NODE_OUTPUTS], at = 0;
    int axis, r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_inputs(n, 1, 2, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    r = setup_axis(g, x->rank, node_int(n, "axis", 0), &axis, e);
    if (r == 0)
        r = read_lengths(g, n, x->dim[axis], length, e);
    struct parts *p = r == 0 ? setup_state(n, sizeof *p, e) : NULL;
    if (!p)
        return r < 0 ? r : ERR_NOMEM;
    for (int i = 0; i < n->outputs; i++) {
        struct shape y = *x;
        y.dim[axis] = length[i];
        place_part(p, i, &y, x, axis, at, true);
        at += length[i];
        g->value[n->output[i]].shape = y;
    }
    return 0;
}

static void forward_concat(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct parts *p = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int i = 0; i < n->inputs; i++) {
        size_t in = setup_block(s->graph, n->input[i]);
        for (int b = lo; b < hi; b++)
            strided_copy(&p->part[i], s->x[n->input[i]] + b * in, s->x[n->output[0]] + b * out);
    }
}

static void backward_concat(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct parts *p = n->state;
    size_t out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int i = 0; i < n->inputs; i++) {
        size_t in = setup_block(s->graph, n->input[i]);
        for (int b = lo; b < hi && s->g[n->input[i]]; b++)
            strided_pull(&p->part[i], s->g[n->input[i]] + b * in, s->g[n->output[0]] + b * out, 1);
    }
}

static void forward_split(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct parts *p = n->state;
    size_t in = setup_block(s->graph, n->input[0]);
    (void)thread;
    for (int i = 0; i < n->outputs; i++) {
        size_t out = setup_block(s->graph, n->output[i]);
        for (int b = lo; b < hi; b++)
            strided_copy(&p->part[i], s->x[n->input[0]] + b * in, s->x[n->output[i]] + b * out);
    }
}

/* An output that nobody reads has no gradient. */
static void backward_split(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct parts *p = n->state;
    size_t in = setup_block(s->graph, n->input[0]);
    (void)thread;
    for (int i = 0; i < n->outputs && s->g[n->input[0]]; i++) {
        size_t out = setup_block(s->graph, n->output[i]);
        for (int b = lo; b < hi && s->g[n->output[i]]; b++)
            strided_pull(&p->part[i], s->g[n->input[0]] + b * in, s->g[n->output[i]] + b * out, 1);
    }
}

const struct op op_concat = {
    .name = "Concat",
    .weight = -1,
    .bias = -1,
    .setup = setup_concat,
    .teardown = setup_teardown,
    .forward = forward_concat,
    .backward = backward_concat,
};
const struct op op_split = {
    .name = "Split",
    .weight = -1,
    .bias = -1,
    .all_outputs = true,
    .setup = setup_split,
    .teardown = setup_teardown,
    .forward = forward_split,
    .backward = backward_split,
};
