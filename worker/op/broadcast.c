#include "worker/op/broadcast.h"

#include "worker/op/setup.h"
#include "worker/op/strided.h"

/* An input's shape among samples: a parameter's leading 1 for the batch goes away. */
static int input_shape(const struct graph *g, const struct node *n, int i, struct broadcast *b,
                       struct shape *out, int *activation_rank, struct err *e)
{
    const struct value *v = &g->value[n->input[i]];
    b->input[i].param = v->kind == VALUE_PARAM || v->kind == VALUE_CONST;
    *out = v->shape;
    if (!b->input[i].param) {
        if (g->batched && *activation_rank >= 0 && *activation_rank != v->shape.rank)
            return err_set(e, ERR_UNSUPPORTED, "Inputs of %d and %d dimensions would stretch the batch",
                           *activation_rank, v->shape.rank);
        *activation_rank = v->shape.rank > *activation_rank ? v->shape.rank : *activation_rank;
        return 0;
    }
    if (v->kind == VALUE_PARAM && v->trainable) {
        if (b->trained >= 0)
            return err_set(e, ERR_UNSUPPORTED, "Two inputs are trainable parameters");
        b->trained = i;
        b->trained_count = shape_count(&v->shape);
    }
    return 0;
}

static int drop_batch(struct shape *s, int activation_rank, struct err *e)
{
    if (s->rank <= activation_rank)
        return 0;
    if (s->rank > activation_rank + 1 || s->dim[0] != 1)
        return err_set(e, ERR_UNSUPPORTED, "A parameter of %d dimensions would stretch the batch", s->rank);
    s->rank--;
    memmove(s->dim, s->dim + 1, (size_t)s->rank * sizeof s->dim[0]);
    return 0;
}

/* Stretch the output so that this input fits; shapes are aligned at their ends. */
static int widen(struct shape *y, const struct shape *x, struct err *e)
{
    if (x->rank > y->rank) {
        int more = x->rank - y->rank;
        memmove(y->dim + more, y->dim, (size_t)y->rank * sizeof y->dim[0]);
        for (int i = 0; i < more; i++)
            y->dim[i] = 1;
        y->rank = x->rank;
    }
    for (int i = 0; i < x->rank; i++) {
        int64_t *to = &y->dim[y->rank - x->rank + i];
        if (*to == 1)
            *to = x->dim[i];
        if (x->dim[i] != 1 && x->dim[i] != *to) {
            char a[128], b[128];
            shape_text(y, a, sizeof a);
            shape_text(x, b, sizeof b);
            return err_set(e, ERR_INVALID, "%s and %s don't fit together", a, b);
        }
    }
    return 0;
}

static void input_steps(const struct shape *y, const struct shape *x, ptrdiff_t step[GRAPH_RANK])
{
    ptrdiff_t own[GRAPH_RANK];
    int shift = y->rank - x->rank;
    strided_steps(x, own);
    for (int i = 0; i < y->rank; i++)
        step[i] = i < shift || x->dim[i - shift] == 1 ? 0 : own[i - shift];
}

/* Can dimension d be one with d + 1, in the output and in every input? */
static bool mergeable(const struct broadcast *b, int inputs, int d)
{
    bool fits = b->out[d] == b->out[d + 1] * b->dim[d + 1];
    for (int i = 0; fits && i < inputs; i++)
        fits = b->input[i].step[d] == b->input[i].step[d + 1] * b->dim[d + 1];
    return fits;
}

static void merge(struct broadcast *b, int inputs)
{
    for (int d = b->rank - 2; d >= 0; d--) {
        if (!mergeable(b, inputs, d))
            continue;
        size_t tail = (size_t)(b->rank - d - 1);
        b->dim[d + 1] *= b->dim[d];
        memmove(&b->dim[d], &b->dim[d + 1], tail * sizeof b->dim[0]);
        memmove(&b->out[d], &b->out[d + 1], tail * sizeof b->out[0]);
        for (int i = 0; i < inputs; i++)
            memmove(&b->input[i].step[d], &b->input[i].step[d + 1], tail * sizeof b->input[i].step[0]);
        b->rank--;
    }
}

int broadcast_setup(struct graph *g, struct node *n, int least, int most, struct err *e)
{
    static const char *const known[] = { NULL };
    struct shape x[NODE_INPUTS], y = { 0 };
    int r = setup_attrs(n, known, e), activation_rank = -1;
    if (r == 0)
        r = setup_arity(n, n->inputs > least ? n->inputs : least, most, e);
    struct broadcast *b = r == 0 ? setup_state(n, sizeof *b, e) : NULL;
    if (!b)
        return r < 0 ? r : ERR_NOMEM;
    b->trained = -1;
    for (int i = 0; i < n->inputs && r == 0; i++)
        r = input_shape(g, n, i, b, &x[i], &activation_rank, e);
    if (r == 0 && activation_rank < 0)
        r = err_set(e, ERR_UNSUPPORTED, "All inputs are constants");
    for (int i = 0; i < n->inputs && r == 0; i++) {
        if (b->input[i].param && g->batched)
            r = drop_batch(&x[i], activation_rank, e);
        if (r == 0)
            r = widen(&y, &x[i], e);
    }
    if (r < 0)
        return r;
    if (shape_count(&y) < 0)
        return err_set(e, ERR_TOO_LARGE, "The output is too large");
    b->rank = y.rank ? y.rank : 1;
    b->dim[0] = 1;
    memcpy(b->dim, y.dim, (size_t)y.rank * sizeof y.dim[0]);
    strided_steps(&y, b->out);
    for (int i = 0; i < n->inputs; i++)
        input_steps(&y, &x[i], b->input[i].step);
    merge(b, n->inputs);
    setup_output(g, n, &y);
    return 0;
}

bool broadcast_next(const struct broadcast *b, int inputs, struct broadcast_row *row)
{
    for (int d = b->rank - 2; d >= 0; d--) {
        bool more = ++row->index[d] < b->dim[d];
        int64_t by = more ? 1 : 1 - b->dim[d]; /* on, or back to the first */
        row->out += b->out[d] * by;
        for (int i = 0; i < inputs; i++)
            row->input[i] += b->input[i].step[d] * by;
        if (more)
            return true;
        row->index[d] = 0;
    }
    return false;
}

struct broadcast_part broadcast_part(const struct step *s, const struct node *n, int input, int block,
                                     const struct broadcast_row *row)
{
    const struct broadcast *b = n->state;
    ptrdiff_t step = b->input[input].step[b->rank - 1];
    const real *x = s->x[n->input[input]];
    if (b->input[input].param)
        return (struct broadcast_part){ x + row->input[input], step, 0 };
    x += block * setup_block(s->graph, n->input[input]);
    return (struct broadcast_part){ x + row->input[input] * LANES, step * LANES, 1 };
}

int broadcast_items(const struct graph *g, const struct node *n)
{
    const struct broadcast *b = n->state;
    (void)g;
    return b->trained >= 0 ? (int)b->trained_count : 0;
}

void broadcast_meet(const struct broadcast *b, int64_t item, int other, broadcast_fn *fn, void *arg)
{
    struct strided free_part = { 0 }; /* dimensions along which the parameter is stretched */
    ptrdiff_t out = 0, beside = 0;
    for (int d = 0; d < b->rank; d++) {
        ptrdiff_t step = b->input[b->trained].step[d];
        ptrdiff_t other_step = other >= 0 ? b->input[other].step[d] : 0;
        if (step) {
            out += item / step % b->dim[d] * b->out[d];
            beside += item / step % b->dim[d] * other_step;
            continue;
        }
        int at = free_part.rank++;
        free_part.dim[at] = b->dim[d];
        free_part.from[at] = b->out[d];
        free_part.to[at] = other_step;
    }
    int64_t index[GRAPH_RANK] = { 0 };
    for (int d = 0; d >= 0;) {
        fn(arg, out, beside);
        for (d = free_part.rank - 1; d >= 0; d--) {
            bool more = ++index[d] < free_part.dim[d];
            int64_t by = more ? 1 : 1 - free_part.dim[d];
            out += free_part.from[d] * by;
            beside += free_part.to[d] * by;
            if (more)
                break;
            index[d] = 0;
        }
    }
}
