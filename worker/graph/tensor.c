#include "base/mem.h"
#include "worker/graph/graph.h"

#include <stdlib.h>

size_t dtype_size(enum dtype t)
{
    static const size_t size[] = {
        [DTYPE_FLOAT] = 4, [DTYPE_INT64] = 8, [DTYPE_INT32] = 4,
        [DTYPE_INT8] = 1,  [DTYPE_UINT8] = 1, [DTYPE_BOOL] = 1,
    };
    return size[t];
}

struct tensor *tensor_new(enum dtype dtype, const struct shape *shape)
{
    int64_t count = shape_count(shape);
    struct tensor *t = mem_alloc(sizeof *t);
    if (!t || count < 0)
        goto fail;
    *t = (struct tensor){ .dtype = dtype, .shape = *shape };
    t->data = mem_array(count ? (size_t)count : 1, dtype_size(dtype));
    if (t->data)
        return t;
fail:
    free(t);
    return NULL;
}

struct tensor *tensor_copy(const struct tensor *t)
{
    struct tensor *copy = tensor_new(t->dtype, &t->shape);
    if (copy)
        memcpy(copy->data, t->data, (size_t)shape_count(&t->shape) * dtype_size(t->dtype));
    return copy;
}

void tensor_free(struct tensor *t)
{
    if (!t)
        return;
    free(t->data);
    free(t);
}

int64_t tensor_integer(const struct tensor *t, int64_t i)
{
    switch (t->dtype) {
    case DTYPE_FLOAT:
        return (int64_t)((const float *)t->data)[i];
    case DTYPE_INT64:
        return ((const int64_t *)t->data)[i];
    case DTYPE_INT32:
        return ((const int32_t *)t->data)[i];
    case DTYPE_INT8:
        return ((const int8_t *)t->data)[i];
    case DTYPE_UINT8:
    case DTYPE_BOOL:
        return ((const uint8_t *)t->data)[i];
    }
    return 0;
}

double tensor_number(const struct tensor *t, int64_t i)
{
    return t->dtype == DTYPE_FLOAT ? (double)((const float *)t->data)[i] : (double)tensor_integer(t, i);
}
