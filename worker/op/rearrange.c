/* rearrange.c - Transpose, Slice, Pad, DepthToSpace and SpaceToDepth: the output is a part of the input in
 * another order, or the input in a frame of constants. */
#include "worker/op/setup.h"
#include "worker/op/strided.h"

struct rearrange {
    struct strided move;
    bool framed; /* Pad: outputs that no input reaches get `fill` */
    real fill;
};

static struct rearrange *begin(struct graph *g, struct node *n, const char *const *known, int inputs,
                               const struct shape **x, struct err *e)
{
    if (setup_attrs(n, known, e) < 0 || setup_arity(n, 1, inputs, e) < 0)
        return NULL;
    *x = setup_activation(g, n, 0, e);
    return *x ? setup_state(n, sizeof(struct rearrange), e) : NULL;
}

static int setup_transpose(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "perm", NULL };
    int64_t perm[GRAPH_RANK + 1];
    int count, first = g->batched ? 1 : 0;
    const struct shape *x;
    struct rearrange *t = begin(g, n, known, 1, &x, e);
    int r = t ? setup_ints(g, n, "perm", -1, perm, GRAPH_RANK + 1, &count, e) : ERR_UNSUPPORTED;
    if (r < 0)
        return r;
    if (count < 0) /* reversed */
        for (count = 0; count < x->rank + first; count++)
            perm[count] = x->rank + first - 1 - count;
    if (count != x->rank + first)
        return err_set(e, ERR_INVALID, "'perm' has %d elements for %d dimensions", count, x->rank + first);
    if (g->batched && perm[0] != 0)
        return err_set(e, ERR_UNSUPPORTED, "'perm' moves the batch");
    ptrdiff_t step[GRAPH_RANK];
    bool seen[GRAPH_RANK] = { false };
    struct shape y = { x->rank, { 0 } };
    strided_steps(x, step);
    for (int i = 0; i < x->rank; i++) {
        int64_t at = perm[i + first] - first;
        if (at < 0 || at >= x->rank || seen[at])
            return err_set(e, ERR_INVALID, "'perm' is no permutation");
        seen[at] = true;
        y.dim[i] = x->dim[at];
        t->move.from[i] = step[at];
    }
    t->move.rank = y.rank;
    memcpy(t->move.dim, y.dim, sizeof y.dim);
    strided_steps(&y, t->move.to);
    setup_output(g, n, &y);
    return 0;
}

/* One axis of a slice: ONNX lets start and end count from the end and run over; they are clamped. */
static int64_t clamp(int64_t at, int64_t low, int64_t high)
{
    return at < low ? low : at > high ? high : at;
}

static int slice_axis(struct strided *s, int d, int64_t start, int64_t end, int64_t step, struct err *e)
{
    int64_t size = s->dim[d];
    if (step == 0)
        return err_set(e, ERR_INVALID, "A step of 0");
    step = clamp(step, -size - 1, size + 1);
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    start = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
    end = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
    int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    s->dim[d] = span > 0 ? (span + stride - 1) / stride : 0;
    s->from_base += s->from[d] * start;
    s->from[d] *= step;
    return 0;
}

static int setup_slice(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "axes", "ends", "starts", NULL };
    int64_t start[GRAPH_RANK + 1], end[GRAPH_RANK + 1], axis[GRAPH_RANK + 1], step[GRAPH_RANK + 1];
    int starts, ends, axes, steps;
    const struct shape *x;
    struct rearrange *t = begin(g, n, known, 5, &x, e);
    int r = t ? setup_ints(g, n, "starts", 1, start, GRAPH_RANK + 1, &starts, e) : ERR_UNSUPPORTED;
    if (r == 0)
        r = setup_ints(g, n, "ends", 2, end, GRAPH_RANK + 1, &ends, e);
    if (r == 0)
        r = setup_ints(g, n, "axes", 3, axis, GRAPH_RANK + 1, &axes, e);
    if (r == 0)
        r = setup_ints(g, n, "steps", 4, step, GRAPH_RANK + 1, &steps, e);
    if (r < 0)
        return r;
    if (starts < 0 || starts != ends || (axes >= 0 && axes != starts) || (steps >= 0 && steps != starts))
        return err_set(e, ERR_INVALID, "'starts', 'ends', 'axes' and 'steps' differ in length");
    bool seen[GRAPH_RANK] = { false };
    t->move.rank = x->rank;
    memcpy(t->move.dim, x->dim, sizeof x->dim);
    strided_steps(x, t->move.from);
    for (int i = 0; i < starts; i++) {
        int d;
        r = setup_axis(g, x->rank, axes < 0 ? i : axis[i], &d, e);
        if (r < 0)
            return r;
        if (seen[d])
            return err_set(e, ERR_INVALID, "'axes' lists an axis twice");
        seen[d] = true;
        r = slice_axis(&t->move, d, start[i], end[i], steps < 0 ? 1 : step[i], e);
        if (r < 0)
            return r;
    }
    struct shape y = { x->rank, { 0 } };
    memcpy(y.dim, t->move.dim, sizeof y.dim);
    strided_steps(&y, t->move.to);
    setup_output(g, n, &y);
    return 0;
}

/* What is filled in: attribute `value` until opset 11, an input since. */
static int read_fill(const struct graph *g, const struct node *n, real *fill, struct err *e)
{
    const struct attr *mode = node_attr(n, "mode");
    double value = node_float(n, "value", 0);
    if (mode && (mode->type != ATTR_STRING || strcmp(mode->s, "constant")))
        return err_set(e, ERR_UNSUPPORTED, "Only the mode 'constant' is supported");
    int r = setup_has(n, 2) ? setup_scalar(g, n, 2, &value, e) : 0;
    *fill = (real)value;
    return r;
}

/* Pads by axis of the sample, from the list over all dimensions or those in the input `axes` (opset 18). */
static int read_pads(struct graph *g, struct node *n, int rank, int64_t before[GRAPH_RANK],
                     int64_t after[GRAPH_RANK], struct err *e)
{
    int64_t pads[2 * (GRAPH_RANK + 1)], axis[GRAPH_RANK + 1];
    int count, axes, first = g->batched ? 1 : 0;
    int r = setup_ints(g, n, "pads", 1, pads, 2 * (GRAPH_RANK + 1), &count, e);
    if (r == 0)
        r = setup_ints(g, n, "axes", 3, axis, GRAPH_RANK + 1, &axes, e);
    if (r < 0)
        return r;
    if (axes < 0)
        for (axes = 0; axes < rank + first; axes++)
            axis[axes] = axes;
    if (count != 2 * axes)
        return err_set(e, ERR_INVALID, "'pads' has %d elements for %d dimensions", count < 0 ? 0 : count,
                       axes);
    for (int i = 0; i < axes; i++) {
        int64_t at = axis[i] + (axis[i] < 0 ? rank + first : 0) - first;
        if (at == -1 && g->batched && !pads[i] && !pads[i + axes])
            continue;
        if (at < 0 || at >= rank)
            return err_set(e, ERR_UNSUPPORTED, "'pads' would pad the batch, or an axis that is not there");
        if (pads[i] < 0 || pads[i + axes] < 0 || pads[i] > 1 << 20 || pads[i + axes] > 1 << 20)
            return err_set(e, ERR_UNSUPPORTED, "'pads' has a number below 0 or above 2^20");
        before[at] = pads[i];
        after[at] = pads[i + axes];
    }
    return 0;
}

static int setup_pad(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "mode", "pads", "value", NULL };
    int64_t before[GRAPH_RANK] = { 0 }, after[GRAPH_RANK] = { 0 };
    const struct shape *x;
    struct rearrange *t = begin(g, n, known, 4, &x, e);
    int r = t ? read_fill(g, n, &t->fill, e) : ERR_UNSUPPORTED;
    if (r == 0)
        r = read_pads(g, n, x->rank, before, after, e);
    if (r < 0)
        return r;
    struct shape y = *x;
    for (int i = 0; i < x->rank; i++)
        y.dim[i] += before[i] + after[i];
    if (shape_count(&y) < 0)
        return err_set(e, ERR_TOO_LARGE, "The padded value is too large");
    t->framed = true;
    t->move.rank = x->rank;
    memcpy(t->move.dim, x->dim, sizeof x->dim);
    strided_steps(x, t->move.from);
    strided_steps(&y, t->move.to);
    for (int i = 0; i < x->rank; i++)
        t->move.to_base += t->move.to[i] * before[i];
    setup_output(g, n, &y);
    return 0;
}

/* Channels that hold the block x block pixels of an image `block` times larger on each side, which has the
 * shape `large`. Moving runs over (channel, row, row in the block, column, column in the block); the channel
 * of the small image is [row][column][channel] (DCR), or [channel][row][column] (CRD). */
static void place_blocks(struct strided *m, const struct shape *large, int64_t block, bool crd,
                         ptrdiff_t *small_step, ptrdiff_t *large_step)
{
    int64_t C = large->dim[0], h = large->dim[1] / block, w = large->dim[2] / block, plane = h * w;
    struct shape split = { 5, { C, h, block, w, block } };
    ptrdiff_t steps[] = { crd ? block * block * plane : plane, w, (crd ? block : block * C) * plane, 1,
                          crd ? plane : C * plane };
    m->rank = split.rank;
    memcpy(m->dim, split.dim, sizeof m->dim);
    memcpy(small_step, steps, sizeof steps);
    strided_steps(&split, large_step);
}

static int read_block(const struct node *n, const struct shape *x, int64_t *block, struct err *e)
{
    *block = node_int(n, "blocksize", 0);
    if (*block < 1 || *block > 64)
        return err_set(e, ERR_INVALID, "'blocksize' is %lld; 1 to 64 are supported", (long long)*block);
    if (x->rank != 3)
        return err_set(e, ERR_UNSUPPORTED, "The input has %d dimensions without the batch; 3 are supported",
                       x->rank);
    return 0;
}

static int setup_depth_to_space(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "blocksize", "mode", NULL };
    static const char *const modes[] = { "DCR", "CRD", NULL };
    const struct shape *x;
    int64_t block;
    int mode;
    struct rearrange *t = begin(g, n, known, 1, &x, e);
    int r = t ? read_block(n, x, &block, e) : ERR_UNSUPPORTED;
    if (r == 0)
        r = setup_word(n, "mode", modes, &mode, e);
    if (r < 0)
        return r;
    if (x->dim[0] % (block * block))
        return err_set(e, ERR_INVALID, "%lld channels are no blocks of %lldx%lld", (long long)x->dim[0],
                       (long long)block, (long long)block);
    struct shape y = { 3, { x->dim[0] / (block * block), x->dim[1] * block, x->dim[2] * block } };
    place_blocks(&t->move, &y, block, mode == 1, t->move.from, t->move.to);
    setup_output(g, n, &y);
    return 0;
}

static int setup_space_to_depth(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "blocksize", NULL };
    const struct shape *x;
    int64_t block;
    struct rearrange *t = begin(g, n, known, 1, &x, e);
    int r = t ? read_block(n, x, &block, e) : ERR_UNSUPPORTED;
    if (r < 0)
        return r;
    if (x->dim[1] % block || x->dim[2] % block)
        return err_set(e, ERR_INVALID, "%lldx%lld pixels are no blocks of %lldx%lld", (long long)x->dim[1],
                       (long long)x->dim[2], (long long)block, (long long)block);
    place_blocks(&t->move, x, block, false, t->move.to, t->move.from);
    setup_output(g, n,
                 &(struct shape){ 3, { x->dim[0] * block * block, x->dim[1] / block, x->dim[2] / block } });
    return 0;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct rearrange *t = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi; b++) {
        real *y = s->x[n->output[0]] + b * out;
        for (size_t i = 0; t->framed && i < out; i++)
            y[i] = t->fill;
        strided_copy(&t->move, s->x[n->input[0]] + b * in, y);
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct rearrange *t = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        strided_pull(&t->move, s->g[n->input[0]] + b * in, s->g[n->output[0]] + b * out, 1);
}

#define REARRANGE                                                                                            \
    .weight = -1, .bias = -1, .teardown = setup_teardown, .forward = forward, .backward = backward

const struct op op_transpose = { .name = "Transpose", .setup = setup_transpose, REARRANGE };
const struct op op_slice = { .name = "Slice", .setup = setup_slice, REARRANGE };
const struct op op_pad = { .name = "Pad", .setup = setup_pad, REARRANGE };
const struct op op_depth_to_space = { .name = "DepthToSpace", .setup = setup_depth_to_space, REARRANGE };
const struct op op_space_to_depth = { .name = "SpaceToDepth", .setup = setup_space_to_depth, REARRANGE };
