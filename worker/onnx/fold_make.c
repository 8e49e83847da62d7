/* fold_make.c - constants out of nothing, casts, and arithmetic. */
#include "worker/onnx/fold.h"

#include <string.h>

static int tensor_attribute(struct fold_call *c, const Onnx__AttributeProto *a)
{
    if (!a->t)
        return err_set(c->im->e, ERR_INVALID, "Attribute '%s' holds no tensor", a->name);
    const int bad = import_tensor(a->t, &c->out, c->im->e);
    if (!bad)
        c->im->folded += constant_count(c->out);
    return bad;
}

static int copy_list(struct fold_call *c, enum dtype dtype, const void *data, size_t count)
{
    const struct shape shape = { .rank = 1, .dim = { (int64_t)count } };
    const int bad = fold_new(c, dtype, &shape);
    if (!bad && count)
        memcpy(c->out->data, data, count * dtype_size(dtype));
    return bad;
}

static int copy_scalar(struct fold_call *c, enum dtype dtype, const void *data)
{
    const struct shape scalar = { 0 };
    const int bad = fold_new(c, dtype, &scalar);
    if (!bad)
        memcpy(c->out->data, data, dtype_size(dtype));
    return bad;
}

int fold_constant(struct fold_call *c)
{
    const Onnx__AttributeProto *a;
    if ((a = import_attr(c->p, "value")))
        return tensor_attribute(c, a);
    if ((a = import_attr(c->p, "value_float")))
        return copy_scalar(c, DTYPE_FLOAT, &a->f);
    if ((a = import_attr(c->p, "value_int")))
        return copy_scalar(c, DTYPE_INT64, &a->i);
    if ((a = import_attr(c->p, "value_floats")))
        return copy_list(c, DTYPE_FLOAT, a->floats, a->n_floats);
    if ((a = import_attr(c->p, "value_ints")))
        return copy_list(c, DTYPE_INT64, a->ints, a->n_ints);
    return err_set(c->im->e, ERR_UNSUPPORTED, "This kind of constant is not supported");
}

int fold_identity(struct fold_call *c)
{
    const int bad = fold_new(c, c->in[0]->dtype, &c->in[0]->shape);
    if (!bad)
        memcpy(c->out->data, c->in[0]->data, (size_t)constant_count(c->out) * dtype_size(c->out->dtype));
    return bad;
}

int fold_constant_of_shape(struct fold_call *c)
{
    const struct tensor *s = c->in[0];
    struct shape shape = { .rank = (int)constant_count(s) };
    if (s->dtype != DTYPE_INT64 || s->shape.rank != 1 || s->shape.dim[0] > GRAPH_RANK)
        return err_set(c->im->e, ERR_INVALID, "Its shape must be a list of at most %d int64", GRAPH_RANK);
    for (int a = 0; a < shape.rank; ++a) {
        shape.dim[a] = tensor_integer(s, a);
        if (shape.dim[a] < 0)
            return err_set(c->im->e, ERR_INVALID, "A dimension of its shape is negative or not known");
    }
    const Onnx__AttributeProto *a = import_attr(c->p, "value");
    struct tensor *fill = NULL;
    int bad = a && a->t ? import_tensor(a->t, &fill, c->im->e) : constant_float(0, &fill, c->im->e);
    if (!bad && constant_count(fill) != 1)
        bad = err_set(c->im->e, ERR_INVALID, "Its value must be one number");
    if (!bad)
        bad = fold_new(c, fill->dtype, &shape);
    if (!bad)
        constant_fill(c->out, fill);
    tensor_free(fill);
    return bad;
}

/* Integer to integer must fit; float to integer drops the fraction, as the standard says. */
static int cast_element(struct fold_call *c, int64_t i)
{
    const struct tensor *in = c->in[0];
    if (c->out->dtype == DTYPE_FLOAT) {
        ((float *)c->out->data)[i] =
            constant_integer(in) ? (float)tensor_integer(in, i) : ((float *)in->data)[i];
        return constant_integer(in) && tensor_integer(in, i) == BATCH_SIZE
                   ? err_set(c->im->e, ERR_UNSUPPORTED, "Arithmetic with the batch size")
                   : 0;
    }
    int64_t value;
    if (constant_integer(in)) {
        value = tensor_integer(in, i);
    } else {
        const float x = truncf(((const float *)in->data)[i]);
        if (!(x >= -0x1p63f && x < 0x1p63f))
            return err_set(c->im->e, ERR_INVALID, "A number is out of range");
        value = (int64_t)x;
    }
    if (c->out->dtype == DTYPE_BOOL)
        value = value != 0;
    if (!constant_fits(c->out->dtype, value))
        return err_set(c->im->e, ERR_INVALID, "A number does not fit %s", constant_type(c->out->dtype));
    constant_set_int(c->out, i, value);
    return 0;
}

int fold_cast(struct fold_call *c)
{
    enum dtype to;
    if (import_dtype((int32_t)import_attr_int(c->p, "to", 0), &to))
        return err_set(c->im->e, ERR_UNSUPPORTED, "Cast to type %lld is not supported",
                       (long long)import_attr_int(c->p, "to", 0));
    int bad = fold_new(c, to, &c->in[0]->shape);
    const int64_t count = bad ? 0 : constant_count(c->out);
    for (int64_t i = 0; !bad && i < count; ++i)
        bad = cast_element(c, i);
    return bad;
}

/* Shape: since opset 15 a part of it may be asked for. */
int fold_shape_of(struct fold_call *c, const struct shape *s)
{
    int64_t start = import_attr_int(c->p, "start", 0), end = import_attr_int(c->p, "end", s->rank);
    start = start < 0 ? start + s->rank : start;
    end = end < 0 ? end + s->rank : end;
    start = start < 0 ? 0 : start;
    end = end > s->rank ? s->rank : end;
    return copy_list(c, DTYPE_INT64, s->dim + (start < end ? start : 0),
                     start < end ? (size_t)(end - start) : 0);
}

int fold_shape(struct fold_call *c)
{
    return fold_shape_of(c, &c->in[0]->shape);
}

/* --- arithmetic ---------------------------------------------------------------------------------------- */

static bool whole(char op, int64_t a, int64_t b, int64_t *y)
{
    if (a == BATCH_SIZE || b == BATCH_SIZE)
        return false;
    switch (op) {
    case 'A':
        return !__builtin_add_overflow(a, b, y);
    case 'S':
        return !__builtin_sub_overflow(a, b, y);
    case 'M':
        return !__builtin_mul_overflow(a, b, y);
    default:
        if (b == 0)
            return false;
        *y = a / b;
        return true;
    }
}

static float real_number(char op, float a, float b)
{
    switch (op) {
    case 'A':
        return a + b;
    case 'S':
        return a - b;
    case 'M':
        return a * b;
    default:
        return a / b;
    }
}

/* The broadcast shape, and how each operand is walked over it: stride 0 along a repeated axis. */
static bool broadcast(const struct shape *a, const struct shape *b, struct shape *y, int64_t *sa, int64_t *sb)
{
    int64_t plain_a[GRAPH_RANK], plain_b[GRAPH_RANK];
    constant_strides(a, plain_a);
    constant_strides(b, plain_b);
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < y->rank; ++i) {
        const int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return false;
        y->dim[i] = da == 1 ? db : da;
        sa[i] = da == 1 ? 0 : plain_a[ia];
        sb[i] = db == 1 ? 0 : plain_b[ib];
    }
    return true;
}

static int compute(struct fold_call *c, char op, const struct tensor *a, const struct tensor *b)
{
    const int64_t count = constant_count(c->out);
    for (int64_t i = 0; i < count; ++i) {
        int64_t y = 0;
        if (c->out->dtype == DTYPE_FLOAT)
            ((float *)c->out->data)[i] = real_number(op, ((float *)a->data)[i], ((float *)b->data)[i]);
        else if (!whole(op, tensor_integer(a, i), tensor_integer(b, i), &y) ||
                 !constant_fits(c->out->dtype, y))
            return err_set(c->im->e, ERR_UNSUPPORTED,
                           "Arithmetic with the batch size, or a result out of range");
        else
            constant_set_int(c->out, i, y);
    }
    return 0;
}

int fold_binary(struct fold_call *c)
{
    const struct tensor *a = c->in[0], *b = c->in[1];
    struct shape shape = { 0 };
    int64_t stride_a[GRAPH_RANK], stride_b[GRAPH_RANK];
    if (a->dtype != b->dtype)
        return err_set(c->im->e, ERR_INVALID, "Its inputs have different types");
    if (!broadcast(&a->shape, &b->shape, &shape, stride_a, stride_b))
        return err_set(c->im->e, ERR_INVALID, "The shapes of its inputs don't match");
    int bad = fold_new(c, a->dtype, &shape);
    struct tensor *wide_a = NULL, *wide_b = NULL;
    if (!bad)
        bad = constant_new(a->dtype, &shape, &wide_a, c->im->e);
    if (!bad)
        bad = constant_new(b->dtype, &shape, &wide_b, c->im->e);
    if (!bad) {
        constant_view(a, 0, stride_a, wide_a);
        constant_view(b, 0, stride_b, wide_b);
        bad = compute(c, c->p->op_type[0], wide_a, wide_b);
    }
    tensor_free(wide_a);
    tensor_free(wide_b);
    return bad;
}
