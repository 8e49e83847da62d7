/* import_tensor.c - a TensorProto to an array in memory. Nothing is allocated before the bytes that must fill
 * it have been seen in the file. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <string.h>

typedef Onnx__TensorProto proto;

/* Raw bytes are little-endian, as this machine is; memcpy because protobuf aligns nothing. */
static void raw_copy(const uint8_t *in, void *out, size_t count, size_t size)
{
    if (count)
        memcpy(out, in, count * size);
}

static void raw_double(const uint8_t *in, void *out, size_t count, size_t size)
{
    float *to = out;
    for (size_t i = 0; i < count; ++i) {
        double x;
        memcpy(&x, in + i * size, sizeof x);
        to[i] = (float)x;
    }
}

/* IEEE half: 1 sign, 5 exponent, 10 fraction bits. */
static float half(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float x;
    if (exponent == 31)
        x = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        x = ldexpf((float)fraction, -24);
    else
        x = ldexpf((float)(1024 + fraction), exponent - 25);
    return bits & 0x8000 ? -x : x;
}

/* The upper half of a float. */
static float brain(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}

static void raw_half(const uint8_t *in, void *out, size_t count, size_t size)
{
    for (size_t i = 0; i < count; ++i)
        ((float *)out)[i] = half((uint16_t)(in[i * size] | in[i * size + 1] << 8));
}

static void raw_brain(const uint8_t *in, void *out, size_t count, size_t size)
{
    for (size_t i = 0; i < count; ++i)
        ((float *)out)[i] = brain((uint16_t)(in[i * size] | in[i * size + 1] << 8));
}

/* Typed fields; *count is set, and with `out` the values are written: false when one is out of range. */
static bool typed_float(const proto *p, void *out, size_t *count)
{
    *count = p->n_float_data;
    if (out && *count)
        memcpy(out, p->float_data, *count * sizeof(float));
    return true;
}

static bool typed_double(const proto *p, void *out, size_t *count)
{
    *count = p->n_double_data;
    for (size_t i = 0; out && i < *count; ++i)
        ((float *)out)[i] = (float)p->double_data[i];
    return true;
}

static bool typed_int64(const proto *p, void *out, size_t *count)
{
    *count = p->n_int64_data;
    if (out && *count)
        memcpy(out, p->int64_data, *count * sizeof(int64_t));
    return true;
}

static bool typed_int32(const proto *p, void *out, size_t *count)
{
    *count = p->n_int32_data;
    if (out && *count)
        memcpy(out, p->int32_data, *count * sizeof(int32_t));
    return true;
}

static bool typed_byte(const proto *p, void *out, size_t *count, enum dtype dtype)
{
    *count = p->n_int32_data;
    for (size_t i = 0; out && i < *count; ++i) {
        if (!constant_fits(dtype, p->int32_data[i]))
            return false;
        ((uint8_t *)out)[i] = (uint8_t)p->int32_data[i];
    }
    return true;
}

static bool typed_int8(const proto *p, void *out, size_t *count)
{
    return typed_byte(p, out, count, DTYPE_INT8);
}

static bool typed_uint8(const proto *p, void *out, size_t *count)
{
    return typed_byte(p, out, count, DTYPE_UINT8);
}

static bool typed_bool(const proto *p, void *out, size_t *count)
{
    return typed_byte(p, out, count, DTYPE_BOOL);
}

static bool typed_bits(const proto *p, void *out, size_t *count, float (*decode)(uint16_t))
{
    *count = p->n_int32_data;
    for (size_t i = 0; out && i < *count; ++i) {
        if (p->int32_data[i] < 0 || p->int32_data[i] > UINT16_MAX)
            return false;
        ((float *)out)[i] = decode((uint16_t)p->int32_data[i]);
    }
    return true;
}

static bool typed_half(const proto *p, void *out, size_t *count)
{
    return typed_bits(p, out, count, half);
}

static bool typed_brain(const proto *p, void *out, size_t *count)
{
    return typed_bits(p, out, count, brain);
}

static const struct format {
    int32_t code; /* TensorProto.DataType */
    enum dtype dtype;
    size_t size; /* of one element in raw_data */
    void (*raw)(const uint8_t *in, void *out, size_t count, size_t size);
    bool (*typed)(const proto *p, void *out, size_t *count);
} formats[] = {
    { ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, DTYPE_FLOAT, 4, raw_copy, typed_float },
    { ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, DTYPE_FLOAT, 8, raw_double, typed_double },
    { ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, DTYPE_FLOAT, 2, raw_half, typed_half },
    { ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, DTYPE_FLOAT, 2, raw_brain, typed_brain },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT64, DTYPE_INT64, 8, raw_copy, typed_int64 },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT32, DTYPE_INT32, 4, raw_copy, typed_int32 },
    { ONNX__TENSOR_PROTO__DATA_TYPE__INT8, DTYPE_INT8, 1, raw_copy, typed_int8 },
    { ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, DTYPE_UINT8, 1, raw_copy, typed_uint8 },
    { ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, DTYPE_BOOL, 1, raw_copy, typed_bool },
};

static const struct format *format_of(int32_t code)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i)
        if (formats[i].code == code)
            return &formats[i];
    return NULL;
}

int import_dtype(int32_t code, enum dtype *dtype)
{
    const struct format *f = format_of(code);
    if (!f)
        return ERR_UNSUPPORTED;
    *dtype = f->dtype;
    return 0;
}

size_t import_weights(const proto *p)
{
    const struct format *f = format_of(p->data_type);
    size_t count = 0;
    if (!f || f->dtype == DTYPE_INT64 || f->dtype == DTYPE_BOOL)
        return 0;
    if (p->has_raw_data)
        return p->raw_data.len / f->size;
    f->typed(p, NULL, &count);
    return count;
}

static int shape_of(const proto *p, struct shape *shape, int64_t *count, struct err *e)
{
    if (p->n_dims > GRAPH_RANK)
        return err_set(e, ERR_UNSUPPORTED, "%zu dimensions; at most %d are supported", p->n_dims, GRAPH_RANK);
    *shape = (struct shape){ .rank = (int)p->n_dims };
    for (int i = 0; i < shape->rank; ++i) {
        if (p->dims[i] < 0)
            return err_set(e, ERR_CORRUPT, "A negative dimension");
        shape->dim[i] = p->dims[i];
    }
    *count = shape_count(shape);
    if (*count < 0)
        return err_set(e, ERR_CORRUPT, "The dimensions are larger than any file");
    return 0;
}

/* Says how many elements the file really has for this tensor. */
static int present(const proto *p, const struct format *f, size_t *count, struct err *e)
{
    if (!p->has_raw_data) {
        f->typed(p, NULL, count);
        return 0;
    }
    if (p->raw_data.len % f->size)
        return err_set(e, ERR_CORRUPT, "Raw_data ends inside an element");
    *count = p->raw_data.len / f->size;
    return 0;
}

int import_tensor(const Onnx__TensorProto *p, struct tensor **t, struct err *e)
{
    *t = NULL;
    if (p->n_external_data || p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return err_set(e, ERR_UNSUPPORTED,
                       "The data lies in another file; only self-contained models are read");
    if (p->segment)
        return err_set(e, ERR_UNSUPPORTED, "Tensors in segments are not supported");
    const struct format *f = format_of(p->data_type);
    if (!f)
        return err_set(e, ERR_UNSUPPORTED, "Element type %d is not supported", p->data_type);

    struct shape shape;
    int64_t claimed = 0;
    size_t there = 0;
    int bad = shape_of(p, &shape, &claimed, e);
    if (!bad)
        bad = present(p, f, &there, e);
    if (bad)
        return bad;
    if ((uint64_t)claimed != there)
        return err_set(e, ERR_CORRUPT, "The dimensions ask for %lld elements, the file holds %zu",
                       (long long)claimed, there);
    bad = constant_new(f->dtype, &shape, t, e);
    if (bad)
        return bad;
    if (p->has_raw_data)
        f->raw(p->raw_data.data, (*t)->data, there, f->size);
    else if (!f->typed(p, (*t)->data, &there)) {
        tensor_free(*t);
        *t = NULL;
        return err_set(e, ERR_CORRUPT, "A value does not fit the element type");
    }
    return 0;
}
