/* fold_move.c - constants cut, joined, turned and given another shape. */
#include "worker/onnx/fold.h"

#include <string.h>

int fold_list(const struct fold_call *c, const char *attribute, int i, int64_t list[GRAPH_RANK], int *count)
{
    const Onnx__AttributeProto *a = import_attr(c->p, attribute);
    *count = -1;
    if (a && a->n_ints <= GRAPH_RANK) {
        *count = (int)a->n_ints;
        for (int k = 0; k < *count; ++k)
            list[k] = a->ints[k];
        return 0;
    }
    const struct tensor *t = i < c->inputs ? c->in[i] : NULL;
    if (!a && !t)
        return 0;
    if (a || (t->dtype != DTYPE_INT64 && t->dtype != DTYPE_INT32) || t->shape.rank > 1 ||
        constant_count(t) > GRAPH_RANK)
        return err_set(c->im->e, ERR_INVALID, "'%s' must be a list of at most %d integers", attribute,
                       GRAPH_RANK);
    *count = (int)constant_count(t);
    for (int k = 0; k < *count; ++k)
        list[k] = tensor_integer(t, k);
    return 0;
}

static int bad_axis(struct fold_call *c)
{
    return err_set(c->im->e, ERR_INVALID, "An axis is out of range");
}

/* Negative axes count from the end; -1 when out of range. */
static int axis_of(int64_t axis, int rank)
{
    if (axis < 0)
        axis += rank;
    return axis < 0 || axis >= rank ? -1 : (int)axis;
}

static int64_t product(const struct shape *s, int from, int to)
{
    int64_t n = 1;
    for (int a = from; a < to; ++a)
        n *= s->dim[a];
    return n;
}

static int same_elements(struct fold_call *c, const struct shape *shape)
{
    const int bad = fold_new(c, c->in[0]->dtype, shape);
    if (!bad)
        memcpy(c->out->data, c->in[0]->data, (size_t)constant_count(c->out) * dtype_size(c->out->dtype));
    return bad;
}

int fold_gather(struct fold_call *c)
{
    const struct tensor *in = c->in[0], *index = c->in[1];
    const int axis = axis_of(import_attr_int(c->p, "axis", 0), in->shape.rank);
    if (axis < 0)
        return bad_axis(c);
    if (!constant_integer(index) || in->shape.rank - 1 + index->shape.rank > GRAPH_RANK)
        return err_set(c->im->e, ERR_INVALID, "Its indices must be integers of few dimensions");

    struct shape shape = { 0 };
    for (int a = 0; a < axis; ++a)
        shape.dim[shape.rank++] = in->shape.dim[a];
    for (int a = 0; a < index->shape.rank; ++a)
        shape.dim[shape.rank++] = index->shape.dim[a];
    for (int a = axis + 1; a < in->shape.rank; ++a)
        shape.dim[shape.rank++] = in->shape.dim[a];
    const int bad = fold_new(c, in->dtype, &shape);
    if (bad || constant_count(c->out) == 0) /* an axis of length 0 leaves others free to be huge */
        return bad;

    const int64_t length = in->shape.dim[axis], outer = product(&in->shape, 0, axis),
                  count = constant_count(index);
    const size_t inner = (size_t)product(&in->shape, axis + 1, in->shape.rank) * dtype_size(in->dtype);
    char *to = c->out->data;
    for (int64_t o = 0; o < outer; ++o)
        for (int64_t k = 0; k < count; ++k, to += inner) {
            int64_t i = tensor_integer(index, k);
            i = i < 0 && i >= -length ? i + length : i;
            if (i < 0 || i >= length)
                return err_set(c->im->e, ERR_INVALID, "An index is out of range");
            memcpy(to, (const char *)in->data + (size_t)(o * length + i) * inner, inner);
        }
    return 0;
}

int fold_concat(struct fold_call *c)
{
    struct shape shape = c->in[0]->shape;
    const int axis = axis_of(import_attr_int(c->p, "axis", 0), shape.rank);
    if (axis < 0)
        return bad_axis(c);
    for (int i = 1; i < c->inputs; ++i) {
        struct shape rest = c->in[i] ? c->in[i]->shape : (struct shape){ 0 };
        if (!c->in[i] || rest.rank != shape.rank || c->in[i]->dtype != c->in[0]->dtype)
            return err_set(c->im->e, ERR_INVALID, "Its inputs don't match");
        const int64_t total = shape.dim[axis] + rest.dim[axis];
        rest.dim[axis] = shape.dim[axis];
        if (!shape_equal(&rest, &shape))
            return err_set(c->im->e, ERR_INVALID, "The shapes of its inputs don't match");
        shape.dim[axis] = total;
    }
    const int bad = fold_new(c, c->in[0]->dtype, &shape);
    if (bad || constant_count(c->out) == 0)
        return bad;
    const int64_t outer = product(&shape, 0, axis);
    const size_t size = dtype_size(c->out->dtype);
    char *to = c->out->data;
    for (int64_t o = 0; o < outer; ++o)
        for (int i = 0; i < c->inputs; ++i) {
            const size_t chunk = (size_t)product(&c->in[i]->shape, axis, shape.rank) * size;
            memcpy(to, (const char *)c->in[i]->data + (size_t)o * chunk, chunk);
            to += chunk;
        }
    return 0;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* One axis of a Slice: *start clamped as the standard says; returns the number of elements taken. */
static int64_t slice_axis(int64_t length, int64_t *start, int64_t end, int64_t step)
{
    const int64_t from = *start < 0 ? *start + length : *start;
    const int64_t to = end < 0 ? end + length : end;
    if (step > 0) {
        const int64_t first = *start = clamp(from, 0, length), last = clamp(to, 0, length);
        return last > first ? (last - first - 1) / step + 1 : 0;
    }
    const int64_t first = *start = clamp(from, 0, length - 1), last = clamp(to, -1, length - 1);
    return first > last ? (first - last - 1) / -step + 1 : 0;
}

int fold_slice(struct fold_call *c)
{
    const struct tensor *in = c->in[0];
    int64_t starts[GRAPH_RANK], ends[GRAPH_RANK], axes[GRAPH_RANK], steps[GRAPH_RANK];
    int n, ne, na, ns;
    if (fold_list(c, "starts", 1, starts, &n) || fold_list(c, "ends", 2, ends, &ne) ||
        fold_list(c, "axes", 3, axes, &na) || fold_list(c, "steps", 4, steps, &ns))
        return ERR_INVALID;
    if (n < 0 || ne != n || (na >= 0 && na != n) || (ns >= 0 && ns != n) || n > in->shape.rank)
        return err_set(c->im->e, ERR_INVALID, "Starts, ends, axes and steps don't match");

    struct shape shape = in->shape;
    int64_t stride[GRAPH_RANK], at = 0;
    constant_strides(&in->shape, stride);
    for (int k = 0; k < n; ++k) {
        const int axis = axis_of(na < 0 ? k : axes[k], shape.rank);
        const int64_t step = ns < 0 ? 1 : steps[k];
        if (axis < 0)
            return bad_axis(c);
        if (step == 0 || step < -INT32_MAX || step > INT32_MAX)
            return err_set(c->im->e, ERR_INVALID, "A step is out of range");
        int64_t start = starts[k];
        shape.dim[axis] = slice_axis(in->shape.dim[axis], &start, ends[k], step);
        at += start * stride[axis];
        stride[axis] *= step;
    }
    const int bad = fold_new(c, in->dtype, &shape);
    if (!bad)
        constant_view(in, at, stride, c->out);
    return bad;
}

int fold_squeeze(struct fold_call *c)
{
    const struct shape *in = &c->in[0]->shape;
    int64_t axes[GRAPH_RANK];
    int n;
    if (fold_list(c, "axes", 1, axes, &n))
        return ERR_INVALID;
    unsigned drop = 0;
    for (int k = 0; k < n; ++k) {
        const int axis = axis_of(axes[k], in->rank);
        if (axis < 0 || in->dim[axis] != 1)
            return bad_axis(c);
        drop |= 1u << axis;
    }
    struct shape shape = { 0 };
    for (int a = 0; a < in->rank; ++a)
        if (n < 0 ? in->dim[a] != 1 : !(drop >> a & 1))
            shape.dim[shape.rank++] = in->dim[a];
    return same_elements(c, &shape);
}

int fold_unsqueeze(struct fold_call *c)
{
    const struct shape *in = &c->in[0]->shape;
    int64_t axes[GRAPH_RANK];
    int n;
    if (fold_list(c, "axes", 1, axes, &n))
        return ERR_INVALID;
    struct shape shape = { .rank = in->rank + n };
    if (n < 0 || shape.rank > GRAPH_RANK)
        return bad_axis(c);
    unsigned added = 0;
    for (int k = 0; k < n; ++k) {
        const int axis = axis_of(axes[k], shape.rank);
        if (axis < 0 || (added >> axis & 1))
            return bad_axis(c);
        added |= 1u << axis;
    }
    for (int a = 0, from = 0; a < shape.rank; ++a)
        shape.dim[a] = added >> a & 1 ? 1 : in->dim[from++];
    return same_elements(c, &shape);
}

int fold_reshape(struct fold_call *c)
{
    const struct shape *in = &c->in[0]->shape;
    struct shape shape = { 0 };
    if (fold_list(c, "shape", 1, shape.dim, &shape.rank))
        return ERR_INVALID;
    const bool zero_is_zero = import_attr_int(c->p, "allowzero", 0) != 0;
    int64_t rest = shape_count(in);
    int open = -1;
    for (int a = 0; a < shape.rank; ++a) {
        if (shape.dim[a] == 0 && !zero_is_zero && a < in->rank)
            shape.dim[a] = in->dim[a];
        if (shape.dim[a] == -1 && open < 0)
            open = a;
        else if (shape.dim[a] <= 0 || rest % shape.dim[a])
            return err_set(c->im->e, ERR_INVALID, "The shape does not fit the data");
        else
            rest /= shape.dim[a];
    }
    if (open >= 0)
        shape.dim[open] = rest;
    else if (rest != 1)
        return err_set(c->im->e, ERR_INVALID, "The shape does not fit the data");
    return same_elements(c, &shape);
}

int fold_transpose(struct fold_call *c)
{
    const struct tensor *in = c->in[0];
    const int rank = in->shape.rank;
    int64_t perm[GRAPH_RANK], from[GRAPH_RANK], stride[GRAPH_RANK];
    int n;
    if (fold_list(c, "perm", c->inputs, perm, &n))
        return ERR_INVALID;
    if (n >= 0 && n != rank)
        return bad_axis(c);
    struct shape shape = { .rank = rank };
    constant_strides(&in->shape, from);
    unsigned seen = 0;
    for (int a = 0; a < rank; ++a) {
        const int64_t axis = n < 0 ? rank - 1 - a : perm[a];
        if (axis < 0 || axis >= rank || (seen >> axis & 1))
            return bad_axis(c);
        seen |= 1u << axis;
        shape.dim[a] = in->shape.dim[axis];
        stride[a] = from[axis];
    }
    const int bad = fold_new(c, in->dtype, &shape);
    if (!bad)
        constant_view(in, 0, stride, c->out);
    return bad;
}
