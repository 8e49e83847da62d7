/* export_quant.c - quantized tensors in the language of ONNX.
 *
 *   weight:      NAME_q, NAME_scale, NAME_zp ─► DequantizeLinear ─► NAME
 *   bias:        NAME_q (int32), NAME_scale  ─► DequantizeLinear ─► NAME
 *   activation:  x ─► QuantizeLinear ─► [Clip to fewer levels than the container has] ─► DequantizeLinear ─►
 * y
 */
#include "worker/onnx/export.h"

#include "base/mem.h"

#include <stdlib.h>

/* Containers from the narrowest: the first that holds all codes is taken. */
static const struct container {
    enum dtype dtype;
    int64_t low, high;
} containers[] = {
    { DTYPE_INT8, INT8_MIN, INT8_MAX },
    { DTYPE_UINT8, 0, UINT8_MAX },
    { DTYPE_INT32, INT32_MIN, INT32_MAX },
};

static enum dtype container_of(const struct value_codes *c, int64_t count)
{
    int64_t low = 0, high = 0;
    if (c->bits > 8)
        return DTYPE_INT32;
    for (int64_t i = 0; i < count; ++i) {
        low = c->code[i] < low ? c->code[i] : low;
        high = c->code[i] > high ? c->code[i] : high;
    }
    const struct container *fit = containers;
    while (low < fit->low || high > fit->high)
        ++fit;
    return fit->dtype;
}

static void put_integers(struct export *x, const char *name, const struct value *v, enum dtype dtype,
                         int8_t *bytes)
{
    const int64_t count = shape_count(&v->shape);
    for (int64_t i = 0; dtype != DTYPE_INT32 && i < count; ++i)
        bytes[i] = (int8_t)v->codes->code[i]; /* the same bits as uint8 */
    export_put_tensor(x, name, dtype, &v->shape, dtype == DTYPE_INT32 ? (void *)v->codes->code : bytes);
}

/* The three names a quantized tensor takes, and room for its bytes. */
struct stored {
    char *q, *scale, *zero;
    int8_t *bytes;
};

static void stored_deinit(struct stored *n)
{
    free(n->q);
    free(n->scale);
    free(n->zero);
    free(n->bytes);
}

int export_codes(struct export *x, const struct value *v)
{
    const struct value_codes *c = v->codes;
    const int64_t count = shape_count(&v->shape);
    const enum dtype dtype = container_of(c, count);
    const struct shape per = { .rank = c->axis < 0 ? 0 : 1, .dim = { c->channels } };
    struct stored n = { export_name(x, v->name, "_q"), export_name(x, v->name, "_scale"),
                        export_name(x, v->name, "_zp"),
                        mem_array((size_t)(count > c->channels ? count : c->channels), 1) };
    char *node = mem_printf("%s_dequantize", v->name);
    if (!n.q || !n.scale || !n.zero || !n.bytes || !node) {
        free(node);
        stored_deinit(&n);
        return err_set(x->e, ERR_NOMEM, "Out of memory");
    }
    put_integers(x, n.q, v, dtype, n.bytes);
    export_put_tensor(x, n.scale, DTYPE_FLOAT, &per, c->scale);
    if (dtype != DTYPE_INT32) { /* int32 has no zero point */
        memset(n.bytes, 0, (size_t)c->channels);
        export_put_tensor(x, n.zero, dtype, &per, n.bytes);
    }
    char axis_name[] = "axis";
    const struct attr axis = { .name = axis_name, .type = ATTR_INT, .i = c->axis };
    export_put_node(x, &(struct export_node){ .op = "DequantizeLinear",
                                              .name = node,
                                              .input = { n.q, n.scale, n.zero },
                                              .inputs = dtype == DTYPE_INT32 ? 2 : 3,
                                              .output = { v->name },
                                              .outputs = 1,
                                              .attr = &axis,
                                              .attrs = c->axis < 0 ? 0 : 1 });
    free(node);
    stored_deinit(&n);
    return 0;
}

/* The step of an activation: one number. */
static int step_of(struct export *x, const struct node *n, float *step)
{
    const struct value *v = n->inputs > 1 && n->input[1] >= 0 ? &x->graph->value[n->input[1]] : NULL;
    if (!v || shape_count(&v->shape) != 1)
        return err_set(x->e, ERR_INTERNAL, "An activation quantizer has no step");
    *step = v->kind == VALUE_PARAM ? (float)x->graph->param[v->offset] : (float)tensor_number(v->constant, 0);
    return *step > 0 && isfinite(*step) ? 0 : err_set(x->e, ERR_INVALID, "Its step is not a positive number");
}

struct fake {
    char *q, *clipped, *zero, *low, *high; /* names of values */
    char *node_q, *node_clip, *node_dq;
};

static bool fake_names(struct fake *f, const struct export *x, const struct node *n, const char *y)
{
    f->q = export_name(x, y, "_q");
    f->clipped = export_name(x, y, "_clipped");
    f->zero = export_name(x, y, "_zp");
    f->low = export_name(x, y, "_low");
    f->high = export_name(x, y, "_high");
    f->node_q = mem_printf("%s_quantize", n->name);
    f->node_clip = mem_printf("%s_clip", n->name);
    f->node_dq = mem_printf("%s_dequantize", n->name);
    return f->q && f->clipped && f->zero && f->low && f->high && f->node_q && f->node_clip && f->node_dq;
}

static void fake_deinit(struct fake *f)
{
    char *const all[] = { f->q, f->clipped, f->zero, f->low, f->high, f->node_q, f->node_clip, f->node_dq };
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        free(all[i]);
}

static void put_scalar(struct export *x, const char *name, enum dtype dtype, int64_t value)
{
    const struct shape scalar = { 0 };
    const uint8_t byte = (uint8_t)value;
    export_put_tensor(x, name, dtype, &scalar, &byte);
}

static void put_fake(struct export *x, const struct node *n, const struct fake *f, int64_t low, int64_t high)
{
    const struct container *c = low < 0 ? &containers[0] : &containers[1];
    const char *in = x->graph->value[n->input[0]].name, *out = x->graph->value[n->output[0]].name;
    const char *scale = x->graph->value[n->input[1]].name;
    const bool clip = low > c->low || high < c->high;
    put_scalar(x, f->zero, c->dtype, 0);
    export_put_node(x, &(struct export_node){
                           "QuantizeLinear", f->node_q, { in, scale, f->zero }, 3, { f->q }, 1, NULL, 0 });
    if (clip) {
        put_scalar(x, f->low, c->dtype, low);
        put_scalar(x, f->high, c->dtype, high);
        export_put_node(x,
                        &(struct export_node){
                            "Clip", f->node_clip, { f->q, f->low, f->high }, 3, { f->clipped }, 1, NULL, 0 });
    }
    export_put_node(x, &(struct export_node){ "DequantizeLinear",
                                              f->node_dq,
                                              { clip ? f->clipped : f->q, scale, f->zero },
                                              3,
                                              { out },
                                              1,
                                              NULL,
                                              0 });
}

int export_fake_quant(struct export *x, const struct node *n)
{
    const struct shape scalar = { 0 };
    const int64_t low = node_int(n, "low", 0), high = node_int(n, "high", UINT8_MAX);
    float step;
    int bad = step_of(x, n, &step);
    if (bad)
        return bad;
    if (low < INT8_MIN || high > (low < 0 ? INT8_MAX : UINT8_MAX) || low >= high)
        return err_set(x->e, ERR_UNSUPPORTED, "Levels %lld to %lld don't fit 8 bits", (long long)low,
                       (long long)high);
    struct fake f = { 0 };
    if (!fake_names(&f, x, n, x->graph->value[n->output[0]].name)) {
        bad = err_set(x->e, ERR_NOMEM, "Out of memory");
    } else {
        if (!x->written[n->input[1]]) /* a scalar, whatever shape the parameter has */
            export_put_tensor(x, x->graph->value[n->input[1]].name, DTYPE_FLOAT, &scalar, &step);
        x->written[n->input[1]] = true;
        put_fake(x, n, &f, low, high);
    }
    fake_deinit(&f);
    return bad;
}
