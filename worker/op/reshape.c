/* reshape.c - operators that only change the shape: Flatten, Reshape, Squeeze, Unsqueeze, Identity. Row-major
 * order stays, so input and output are the same numbers; the executor normally shares the memory. */
#include "worker/op/setup.h"

static const struct shape *begin(struct graph *g, struct node *n, const char *const *known, int inputs,
                                 struct err *e)
{
    if (setup_attrs(n, known, e) < 0 || setup_arity(n, 1, inputs, e) < 0)
        return NULL;
    return setup_activation(g, n, 0, e);
}

static int setup_identity(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { NULL };
    const struct shape *x = begin(g, n, known, 1, e);
    if (!x)
        return ERR_UNSUPPORTED;
    setup_output(g, n, x);
    return 0;
}

static int setup_flatten(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axis", NULL };
    const struct shape *x = begin(g, n, known, 1, e);
    if (!x)
        return ERR_UNSUPPORTED;
    int64_t axis = node_int(n, "axis", 1);
    int full = x->rank + (g->batched ? 1 : 0);
    axis += axis < 0 ? full : 0;
    if (g->batched && axis != 1)
        return err_set(e, ERR_UNSUPPORTED, "'axis' is %lld; only 1 keeps the batch", (long long)axis);
    if (axis < 0 || axis > full)
        return err_set(e, ERR_INVALID, "'axis' is %lld with %d dimensions", (long long)axis, full);
    struct shape y = { 1, { shape_count(x) } };
    if (!g->batched) {
        struct shape front = { (int)axis, { 0 } };
        memcpy(front.dim, x->dim, sizeof front.dim);
        int64_t rows = shape_count(&front);
        y = (struct shape){ 2, { rows, rows ? shape_count(x) / rows : 0 } };
    }
    setup_output(g, n, &y);
    return 0;
}

/* Does the first number of a Reshape stand for the batch? Then the rest is the sample's shape. */
static int skip_batch(const struct graph *g, const int64_t *dim, int count, bool *open, struct err *e)
{
    *open = false;
    if (!g->batched)
        return 0;
    bool kept = count && (dim[0] == 0 || dim[0] == -1 || (dim[0] == 1 && g->batch_fixed_one));
    if (!kept)
        return err_set(e, ERR_UNSUPPORTED, "The new shape must keep the batch: it begins with %lld",
                       count ? (long long)dim[0] : 0);
    *open = dim[0] == -1;
    return 1;
}

static int setup_reshape(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "allowzero", "shape", NULL };
    int64_t dim[GRAPH_RANK + 1];
    int count;
    bool batch_open;
    const struct shape *x = begin(g, n, known, 2, e);
    int r = x ? setup_ints(g, n, "shape", 1, dim, GRAPH_RANK + 1, &count, e) : ERR_UNSUPPORTED;
    if (r < 0)
        return r;
    if (count < 0)
        return err_set(e, ERR_INVALID, "The new shape is missing");
    int first = skip_batch(g, dim, count, &batch_open, e), free_at = -1;
    if (first < 0)
        return first;
    if (count - first > GRAPH_RANK)
        return err_set(e, ERR_UNSUPPORTED, "More than %d dimensions", GRAPH_RANK);
    struct shape y = { count - first, { 0 } };
    for (int i = 0; i < y.rank; i++) {
        int64_t d = dim[first + i];
        bool empty = d == 0 && node_int(n, "allowzero", 0) && !g->batched;
        if (d == 0 && !empty && i < x->rank)
            d = x->dim[i];
        if (d == -1 && free_at < 0 && !batch_open) {
            free_at = i;
            d = 1;
        }
        if (d < 1 && !empty)
            return err_set(e, ERR_UNSUPPORTED, "The new shape contains %lld", (long long)dim[first + i]);
        y.dim[i] = d;
    }
    int64_t have = shape_count(x), want = shape_count(&y);
    if (want > 0 && free_at >= 0 && have % want == 0)
        y.dim[free_at] = have / want;
    if (shape_count(&y) != have)
        return err_set(e, ERR_INVALID, "%lld numbers per sample can't take the new shape", (long long)have);
    setup_output(g, n, &y);
    return 0;
}

/* Mark the axes given; without the attribute or input, `fallback` says which. `rank` is the sample's rank. */
static int read_axes(struct graph *g, struct node *n, int rank, bool axis[GRAPH_RANK], bool *given,
                     struct err *e)
{
    int64_t list[GRAPH_RANK];
    int count, r = setup_ints(g, n, "axes", 1, list, GRAPH_RANK, &count, e);
    *given = r == 0 && count >= 0;
    for (int i = 0; i < count && r == 0; i++) {
        int at;
        r = setup_axis(g, rank, list[i], &at, e);
        if (r == 0)
            axis[at] = true;
    }
    return r;
}

static int setup_squeeze(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axes", NULL };
    bool axis[GRAPH_RANK] = { false }, given;
    const struct shape *x = begin(g, n, known, 2, e);
    int r = x ? read_axes(g, n, x->rank, axis, &given, e) : ERR_UNSUPPORTED;
    if (r < 0)
        return r;
    struct shape y = { 0 };
    for (int i = 0; i < x->rank; i++) {
        if (axis[i] && x->dim[i] != 1)
            return err_set(e, ERR_INVALID, "A dimension of %lld can't be squeezed", (long long)x->dim[i]);
        if (given ? !axis[i] : x->dim[i] != 1)
            y.dim[y.rank++] = x->dim[i];
    }
    setup_output(g, n, &y);
    return 0;
}

static int setup_unsqueeze(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axes", NULL };
    int64_t list[GRAPH_RANK];
    bool axis[GRAPH_RANK] = { false }, given;
    int count;
    const struct shape *x = begin(g, n, known, 2, e);
    int r = x ? setup_ints(g, n, "axes", 1, list, GRAPH_RANK, &count, e) : ERR_UNSUPPORTED;
    if (r < 0)
        return r;
    if (count < 1 || x->rank + count > GRAPH_RANK)
        return err_set(e, ERR_UNSUPPORTED, "'axes' has %d elements", count < 0 ? 0 : count);
    struct shape y = { x->rank + count, { 0 } };
    r = read_axes(g, n, y.rank, axis, &given, e);
    if (r < 0)
        return r;
    int next = 0;
    for (int i = 0; i < y.rank; i++)
        y.dim[i] = axis[i] ? 1 : next < x->rank ? x->dim[next++] : 0;
    if (next != x->rank || shape_count(&y) != shape_count(x))
        return err_set(e, ERR_INVALID, "'axes' lists an axis twice");
    setup_output(g, n, &y);
    return 0;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    (void)thread;
    memcpy(s->x[n->output[0]] + lo * block, s->x[n->input[0]] + lo * block, (hi - lo) * block * sizeof(real));
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    const real *dy = s->g[n->output[0]];
    real *dx = s->g[n->input[0]];
    (void)thread;
    if (!dx)
        return;
    for (size_t i = lo * block; i < hi * block; i++)
        dx[i] += dy[i];
}

#define SHAPE_ONLY .weight = -1, .bias = -1, .pass_shape_only = true, .forward = forward, .backward = backward

const struct op op_identity = { .name = "Identity", .setup = setup_identity, SHAPE_ONLY };
const struct op op_flatten = { .name = "Flatten", .setup = setup_flatten, SHAPE_ONLY };
const struct op op_reshape = { .name = "Reshape", .setup = setup_reshape, SHAPE_ONLY };
const struct op op_squeeze = { .name = "Squeeze", .setup = setup_squeeze, SHAPE_ONLY };
const struct op op_unsqueeze = { .name = "Unsqueeze", .setup = setup_unsqueeze, SHAPE_ONLY };
