/* export_tensor.c - initializers: always raw_data, little-endian. */
#include "worker/onnx/export.h"

_Static_assert(sizeof(real) == sizeof(float), "parameters are written as they lie in memory");

enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, GRAPH_INITIALIZER = 5 };

static const int types[] = {
    [DTYPE_FLOAT] = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    [DTYPE_INT64] = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
    [DTYPE_INT32] = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
    [DTYPE_INT8] = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    [DTYPE_UINT8] = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    [DTYPE_BOOL] = ONNX__TENSOR_PROTO__DATA_TYPE__BOOL,
};

void export_put_tensor(struct export *x, const char *name, enum dtype dtype, const struct shape *shape,
                       const void *data)
{
    struct buf tensor;
    buf_init(&tensor, x->initializers.limit);
    for (int a = 0; a < shape->rank; ++a)
        pb_put_int(&tensor, TENSOR_DIMS, shape->dim[a]);
    pb_put_int(&tensor, TENSOR_TYPE, types[dtype]);
    pb_put_text(&tensor, TENSOR_NAME, name);
    pb_put_bytes(&tensor, TENSOR_RAW, data, (size_t)shape_count(shape) * dtype_size(dtype));
    pb_put_message(&x->initializers, GRAPH_INITIALIZER, &tensor);
}

void export_put_value(struct export *x, const struct value *v)
{
    if (v->kind == VALUE_CONST)
        export_put_tensor(x, v->name, v->constant->dtype, &v->constant->shape, v->constant->data);
    else
        export_put_tensor(x, v->name, DTYPE_FLOAT, &v->shape, x->graph->param + v->offset);
}
