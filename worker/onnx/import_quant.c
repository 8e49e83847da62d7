/* import_quant.c - weights stored as integers behind a DequantizeLinear. The node disappears; the graph gets
 * a parameter with the same name that knows its integers, so that exporting it again writes the same file. */
#include "worker/onnx/import.h"

struct dequantize {
    const struct tensor *x, *scale, *zero; /* zero NULL: 0 */
    int axis;                              /* -1: one scale for all */
    int64_t channels, inner;               /* length of scale; elements below one index of the axis */
};

static int check_axis(struct import *im, const Onnx__NodeProto *p, struct dequantize *d)
{
    d->axis = -1;
    d->channels = d->inner = 1;
    if (constant_count(d->scale) < 1 || d->scale->shape.rank > 1)
        return err_set(im->e, ERR_UNSUPPORTED, "A scale must be one number or one per channel");
    if (d->zero && constant_count(d->zero) != constant_count(d->scale))
        return err_set(im->e, ERR_INVALID, "Scale and zero point have different shapes");
    if (d->scale->shape.rank == 0)
        return 0;
    int64_t axis = import_attr_int(p, "axis", 1);
    axis = axis < 0 ? axis + d->x->shape.rank : axis;
    if (axis < 0 || axis >= d->x->shape.rank || d->x->shape.dim[axis] != d->scale->shape.dim[0])
        return constant_count(d->scale) == 1 ? 0
                                             : err_set(im->e, ERR_INVALID, "Its scale does not fit the axis");
    int64_t stride[GRAPH_RANK];
    constant_strides(&d->x->shape, stride);
    d->axis = (int)axis;
    d->channels = d->scale->shape.dim[0];
    d->inner = stride[axis];
    return 0;
}

/* Every operand known, integers in, floats as scale? *yes = false leaves the node to run as one. */
static int operands(struct import *im, const Onnx__NodeProto *p, struct dequantize *d, bool *yes)
{
    const struct tensor **at[] = { &d->x, &d->scale, &d->zero };
    for (size_t i = 0; i < p->n_input && i < 3; ++i) {
        struct symbol *s = *p->input[i] ? symbol_find(&im->symbols, p->input[i]) : NULL;
        const int bad = s ? symbol_tensor(s, at[i], im->e) : 0;
        if (bad)
            return bad;
        if (s && !*at[i])
            return 0;
    }
    *yes = d->x && d->scale;
    if (!*yes)
        return 0;
    if (d->x->dtype != DTYPE_INT8 && d->x->dtype != DTYPE_UINT8 && d->x->dtype != DTYPE_INT32)
        return err_set(im->e, ERR_UNSUPPORTED, "Stored integers of type %s are not supported",
                       constant_type(d->x->dtype));
    if (d->scale->dtype != DTYPE_FLOAT || (d->zero && d->zero->dtype != d->x->dtype))
        return err_set(im->e, ERR_INVALID, "Scale or zero point have the wrong type");
    if (import_attr_int(p, "block_size", 0) != 0)
        return err_set(im->e, ERR_UNSUPPORTED, "Scales per block are not supported");
    return check_axis(im, p, d);
}

static int fill(struct import *im, const struct dequantize *d, struct value_codes *c, struct tensor *out)
{
    for (int64_t k = 0; k < d->channels; ++k) {
        c->scale[k] = ((const float *)d->scale->data)[k];
        if (!isfinite(c->scale[k]) || c->scale[k] < 0) /* 0: a layer of nothing but zeros */
            return err_set(im->e, ERR_INVALID, "A scale is negative or no number");
    }
    const int64_t count = constant_count(d->x);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t channel = i / d->inner % d->channels;
        const int64_t zero = d->zero ? tensor_integer(d->zero, channel) : 0;
        const int64_t code = tensor_integer(d->x, i) - zero;
        if (!constant_fits(DTYPE_INT32, code))
            return err_set(im->e, ERR_INVALID, "An integer less its zero point is out of range");
        c->code[i] = (int32_t)code;
        ((float *)out->data)[i] = (float)code * c->scale[channel];
    }
    return 0;
}

int import_dequantize(struct import *im, const Onnx__NodeProto *p, bool *done)
{
    struct dequantize d = { 0 };
    bool yes = false;
    *done = false;
    int bad = operands(im, p, &d, &yes);
    if (bad || !yes)
        return bad;
    if (p->n_output != 1)
        return err_set(im->e, ERR_INVALID, "It must have one output");
    struct symbol *out = symbol_find(&im->symbols, p->output[0]);
    struct tensor *real_numbers = NULL;
    const struct value_codes like = { .bits = d.x->dtype == DTYPE_INT32 ? 32 : 8,
                                      .axis = d.axis,
                                      .channels = d.channels };
    struct value_codes *codes = value_codes_new(&like, (size_t)constant_count(d.x));
    bad = codes ? constant_new(DTYPE_FLOAT, &d.x->shape, &real_numbers, im->e)
                : err_set(im->e, ERR_NOMEM, "Out of memory for weights");
    if (!bad)
        bad = fill(im, &d, codes, real_numbers);
    if (bad) {
        tensor_free(real_numbers);
        value_codes_free(codes);
        return bad;
    }
    out->tensor = real_numbers;
    out->codes = codes;
    *done = true;
    return 0;
}
