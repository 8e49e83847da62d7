/* constant.c - see constant.h. */
#include "worker/onnx/constant.h"

#include <string.h>

#define ELEMENTS ((int64_t)1 << 31)

static const struct {
    const char *name;
    int64_t low, high;
} types[] = {
    [DTYPE_FLOAT] = { "float", 0, 0 },
    [DTYPE_INT64] = { "int64", INT64_MIN, INT64_MAX },
    [DTYPE_INT32] = { "int32", INT32_MIN, INT32_MAX },
    [DTYPE_INT8] = { "int8", INT8_MIN, INT8_MAX },
    [DTYPE_UINT8] = { "uint8", 0, UINT8_MAX },
    [DTYPE_BOOL] = { "bool", 0, 1 },
};

const char *constant_type(enum dtype dtype)
{
    return types[dtype].name;
}

bool constant_fits(enum dtype dtype, int64_t value)
{
    return dtype != DTYPE_FLOAT && value >= types[dtype].low && value <= types[dtype].high;
}

int constant_new(enum dtype dtype, const struct shape *shape, struct tensor **t, struct err *e)
{
    *t = NULL;
    const int64_t count = shape_count(shape);
    if (count < 0 || count > ELEMENTS) {
        char text[80];
        shape_text(shape, text, sizeof text);
        return err_set(e, ERR_TOO_LARGE, "A constant of %s elements is too large", text);
    }
    *t = tensor_new(dtype, shape);
    return *t ? 0 : err_set(e, ERR_NOMEM, "Out of memory for a constant");
}

int64_t constant_count(const struct tensor *t)
{
    return shape_count(&t->shape);
}

bool constant_integer(const struct tensor *t)
{
    return t->dtype != DTYPE_FLOAT;
}

void constant_set_int(struct tensor *t, int64_t i, int64_t value)
{
    switch (t->dtype) {
    case DTYPE_INT64:
        ((int64_t *)t->data)[i] = value;
        break;
    case DTYPE_INT32:
        ((int32_t *)t->data)[i] = (int32_t)value;
        break;
    case DTYPE_INT8:
        ((int8_t *)t->data)[i] = (int8_t)value;
        break;
    case DTYPE_UINT8:
    case DTYPE_BOOL:
        ((uint8_t *)t->data)[i] = (uint8_t)value;
        break;
    case DTYPE_FLOAT:
        break;
    }
}

void constant_strides(const struct shape *s, int64_t stride[GRAPH_RANK])
{
    int64_t step = 1;
    for (int a = s->rank; a-- > 0;) {
        stride[a] = step;
        step *= s->dim[a];
    }
}

void constant_view(const struct tensor *in, int64_t start, const int64_t *stride, struct tensor *out)
{
    const size_t size = dtype_size(in->dtype);
    const int64_t count = constant_count(out);
    const char *from = in->data;
    char *to = out->data;
    int64_t index[GRAPH_RANK] = { 0 }, at = start;
    for (int64_t i = 0; i < count; ++i) {
        memcpy(to + (size_t)i * size, from + (size_t)at * size, size);
        for (int a = out->shape.rank; a-- > 0;) { /* the next index, last axis fastest */
            at += stride[a];
            if (++index[a] < out->shape.dim[a])
                break;
            at -= stride[a] * out->shape.dim[a];
            index[a] = 0;
        }
    }
}

/* Zeros cost nothing, not even memory before it is touched; others double from one. */
void constant_fill(struct tensor *t, const struct tensor *one)
{
    static const char zeros[sizeof(int64_t)];
    const size_t size = dtype_size(t->dtype), bytes = (size_t)constant_count(t) * size;
    char *to = t->data;
    if (bytes == 0 || memcmp(one->data, zeros, size) == 0)
        return;
    memcpy(to, one->data, size);
    for (size_t done = size; done < bytes; done *= 2)
        memcpy(to + done, to, done < bytes - done ? done : bytes - done);
}

int constant_ints(const int64_t *values, size_t count, struct tensor **t, struct err *e)
{
    const struct shape shape = { .rank = 1, .dim = { (int64_t)count } };
    const int bad = constant_new(DTYPE_INT64, &shape, t, e);
    if (!bad)
        memcpy((*t)->data, values, count * sizeof *values);
    return bad;
}

int constant_float(float value, struct tensor **t, struct err *e)
{
    const struct shape scalar = { 0 };
    const int bad = constant_new(DTYPE_FLOAT, &scalar, t, e);
    if (!bad)
        *(float *)(*t)->data = value;
    return bad;
}
