/* The .qdz container: a graph comes back with the same structure, floats and integers, and makes the same
 * ONNX file; anything damaged is refused. And its parts: the text model, the wire forms. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/qdz.h"
#include "worker/coder/text.h"
#include "worker/coder/wire.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/zoo/zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/coded_graph.h"

/* --- a small network --- */

#define SHAPE(...)                                                                                           \
    &(struct shape)                                                                                          \
    {                                                                                                        \
        sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),                                                \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }

static int add_param(struct graph *g, const char *name, const struct shape *shape, uint64_t seed)
{
    struct err e = { 0 };
    int64_t count = shape_count(shape);
    float *init = mem_array((size_t)count, sizeof *init);
    struct rng r = rng_at(seed, 1, 0);
    for (int64_t i = 0; i < count; i++)
        init[i] = (float)rng_normal(&r);
    int v = ok(graph_add_param(g, name, shape, true, init, &e), &e);
    free(init);
    return v;
}

static int add_node(struct graph *g, const char *op, const char *name, const int *input, int inputs)
{
    struct err e = { 0 };
    char *made = mem_printf("%s.output", name);
    int output = ok(graph_add_value(g, made, &e), &e);
    ok(graph_add_node(g, op, name, input, inputs, &output, 1, &e), &e);
    free(made);
    return output;
}

static int add_limit(struct graph *g, const char *name, float x)
{
    struct err e = { 0 };
    struct tensor *t = tensor_new(DTYPE_FLOAT, &(struct shape){ .rank = 0 });
    *(float *)t->data = x;
    return ok(graph_add_const(g, name, t, &e), &e);
}

static struct graph *small_graph(void)
{
    struct err e = { 0 };
    struct graph *g = graph_new("a \"small\" n\xc3\xa9twork");
    int x = ok(graph_add_input(g, "image", SHAPE(2, 8, 8), &e), &e);
    int w1 = add_param(g, "first.weight", SHAPE(6, 2, 3, 3), 1), b1 = add_param(g, "first.bias", SHAPE(6), 2);
    x = add_node(g, "Conv", "first", (int[]){ x, w1, b1 }, 3);
    assert_int_equal(node_set_ints(&g->node[0], "kernel_shape", (int64_t[]){ 3, 3 }, 2), 0);
    assert_int_equal(node_set_ints(&g->node[0], "pads", (int64_t[]){ 1, 1, 1, 1 }, 4), 0);
    x = add_node(g, "Clip", "clip", (int[]){ x, add_limit(g, "low", -1.5f), add_limit(g, "high", 6) }, 3);
    x = add_node(g, "MaxPool", "pool", (int[]){ x }, 1);
    assert_int_equal(node_set_ints(&g->node[2], "kernel_shape", (int64_t[]){ 2, 2 }, 2), 0);
    assert_int_equal(node_set_ints(&g->node[2], "strides", (int64_t[]){ 2, 2 }, 2), 0);
    x = add_node(g, "Flatten", "flatten", (int[]){ x }, 1);
    int w2 = add_param(g, "second.weight", SHAPE(5, 96), 3), b2 = add_param(g, "second.bias", SHAPE(5), 4);
    x = add_node(g, "Gemm", "second", (int[]){ x, w2, b2 }, 3);
    assert_int_equal(node_set_int(&g->node[4], "transB", 1), 0);
    assert_int_equal(node_set_float(&g->node[4], "alpha", 1.0), 0);
    g->output[g->outputs++] = x;
    ok(graph_finish(g, &e), &e);
    add_codes(g, graph_find_value(g, "first.weight"), 4, 0, 5);
    add_codes(g, graph_find_value(g, "first.bias"), 32, 0, 6);
    add_codes(g, graph_find_value(g, "second.weight"), 2, -1, 7);
    return g;
}

/* --- comparing --- */

static void assert_same_tensor(const struct tensor *a, const struct tensor *b)
{
    assert_int_equal(a->dtype, b->dtype);
    assert_true(shape_equal(&a->shape, &b->shape));
    assert_memory_equal(a->data, b->data, (size_t)shape_count(&a->shape) * dtype_size(a->dtype));
}

static void assert_same_codes(const struct value_codes *a, const struct value_codes *b, int64_t count)
{
    assert_int_equal(!a, !b);
    if (!a)
        return;
    assert_int_equal(a->bits, b->bits);
    assert_int_equal(a->axis, b->axis);
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->planes, b->planes);
    assert_memory_equal(a->scale, b->scale, value_codes_scales(a) * sizeof *a->scale);
    assert_memory_equal(a->code, b->code, (size_t)count * sizeof *a->code);
}

static void assert_same_value(const struct graph *g, const struct graph *h, int i)
{
    const struct value *a = &g->value[i], *b = &h->value[i];
    int64_t count = shape_count(&a->shape);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_true(shape_equal(&a->shape, &b->shape));
    assert_int_equal(a->producer, b->producer);
    if (a->kind == VALUE_CONST)
        assert_same_tensor(a->constant, b->constant);
    if (a->kind != VALUE_PARAM)
        return;
    assert_int_equal(a->trainable, b->trainable);
    assert_memory_equal(g->param + a->offset, h->param + b->offset, (size_t)count * sizeof(real));
    assert_same_codes(a->codes, b->codes, count);
}

static void assert_same_attr(const struct attr *a, const struct attr *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->i, b->i);
    assert_true(a->f == b->f);
    assert_int_equal(!a->s, !b->s);
    if (a->s)
        assert_string_equal(a->s, b->s);
    assert_int_equal(a->count, b->count);
    if (a->type == ATTR_INTS && a->count)
        assert_memory_equal(a->ints, b->ints, a->count * sizeof *a->ints);
    if (a->type == ATTR_FLOATS && a->count)
        assert_memory_equal(a->floats, b->floats, a->count * sizeof *a->floats);
    if (a->type == ATTR_TENSOR)
        assert_same_tensor(a->tensor, b->tensor);
}

static void assert_same_graph(const struct graph *g, const struct graph *h)
{
    assert_string_equal(g->name, h->name);
    assert_int_equal(g->opset, h->opset);
    assert_int_equal(g->batched, h->batched);
    assert_int_equal(g->batch_fixed_one, h->batch_fixed_one);
    assert_int_equal(g->input_nhwc, h->input_nhwc);
    assert_int_equal(g->values, h->values);
    for (int i = 0; i < g->values; i++)
        assert_same_value(g, h, i);
    assert_int_equal(g->nodes, h->nodes);
    for (int i = 0; i < g->nodes; i++) {
        const struct node *a = &g->node[i], *b = &h->node[i];
        assert_string_equal(a->name, b->name);
        assert_ptr_equal(a->op, b->op);
        assert_int_equal(a->inputs, b->inputs);
        assert_int_equal(a->outputs, b->outputs);
        assert_memory_equal(a->input, b->input, (size_t)a->inputs * sizeof *a->input);
        assert_memory_equal(a->output, b->output, (size_t)a->outputs * sizeof *a->output);
        assert_int_equal(a->attrs, b->attrs);
        for (size_t k = 0; k < a->attrs; k++)
            assert_same_attr(&a->attr[k], &b->attr[k]);
    }
    assert_int_equal(g->input, h->input);
    assert_int_equal(g->outputs, h->outputs);
    assert_memory_equal(g->output, h->output, (size_t)g->outputs * sizeof *g->output);
}

/* --- tests --- */

static struct buf encode(const struct graph *g, const char *coder)
{
    struct err e = { 0 };
    struct buf out;
    buf_init(&out, 0);
    ok(qdz_encode(g, coder_find(coder), &out, NULL, NULL, NULL, &e), &e);
    return out;
}

static void round_trip(const struct graph *g, const char *coder)
{
    struct err e = { 0 };
    struct buf out = encode(g, coder), again = encode(g, coder);
    assert_int_equal(out.length, again.length);
    assert_memory_equal(out.data, again.data, out.length);
    struct graph *h;
    ok(qdz_decode(out.data, out.length, &h, &e), &e);
    assert_same_graph(g, h);
    assert_same_onnx(g, h);
    print_message("%-14.14s %-8s %zu bytes\n", g->name, coder, out.length);
    graph_free(h);
    buf_free(&out);
    buf_free(&again);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct graph *g = small_graph();
    for (const struct coder *const *c = coder_list; *c; c++)
        round_trip(g, (*c)->name);
    graph_free(g);
}

static void test_zoo(void **state)
{
    (void)state;
    struct err e = { 0 };
    for (int i = 0; zoo_list[i]; i++) {
        struct graph *g;
        if (zoo_list[i]->parameters > 500000)
            continue; /* more of the same, and slow */
        ok(zoo_graph(zoo_list[i]->name, 1, &g, &e), &e);
        round_trip(g, "cabac"); /* still float */
        for (int v = 0; v < g->values; v++)
            if (g->value[v].kind == VALUE_PARAM && g->value[v].shape.rank > 1)
                add_codes(g, v, 2, -1, (uint64_t)v);
        round_trip(g, "cabac");
        graph_free(g);
    }
}

static void test_layers(void **state)
{
    (void)state;
    struct err e = { 0 };
    struct graph *g = small_graph();
    struct buf out;
    buf_init(&out, 0);
    struct qdz_layer *layer;
    int count;
    ok(qdz_encode(g, coder_find("cabac"), &out, &layer, &count, NULL, &e), &e);
    assert_int_equal(count, 2); /* the bias is no layer */
    assert_string_equal(layer[0].name, "first.weight");
    assert_int_equal(layer[0].codes, 108);
    assert_string_equal(layer[1].name, "second.weight");
    assert_int_equal(layer[1].codes, 480);
    assert_true(layer[1].entropy_bits > 1.5 && layer[1].entropy_bits < 1.6);
    assert_in_range(layer[0].payload_bytes, 1, 54 + 64);
    free(layer);
    buf_free(&out);
    graph_free(g);
}

/* A copy on the heap of exactly that size, so that ASan sees an overread. */
static int decode_exactly(const void *data, size_t length)
{
    struct err e = { 0 };
    struct graph *h;
    char *copy = malloc(length ? length : 1);
    memcpy(copy, data, length);
    int rc = qdz_decode(copy, length, &h, &e);
    assert_int_equal(!rc, h != NULL);
    assert_int_equal(rc, e.code);
    graph_free(h);
    free(copy);
    return rc;
}

static void test_damage(void **state)
{
    (void)state;
    struct graph *g = small_graph();
    struct buf out = encode(g, "cabac");
    for (size_t i = 0; i < out.length; i++)
        for (int bit = 0; bit < 8; bit++) {
            out.data[i] = (char)(out.data[i] ^ 1 << bit);
            assert_int_equal(decode_exactly(out.data, out.length), ERR_CORRUPT);
            out.data[i] = (char)(out.data[i] ^ 1 << bit);
        }
    for (size_t length = 0; length < out.length; length++)
        assert_int_equal(decode_exactly(out.data, length), ERR_CORRUPT);
    assert_int_equal(decode_exactly(out.data, out.length), 0);
    buf_free(&out);
    graph_free(g);
}

static void seal(char *data, size_t length)
{
    uint32_t crc = wire_crc16((const uint8_t *)data, length - 2);
    for (int i = 0; i < 2; i++)
        data[length - 2 + (size_t)i] = (char)(crc >> (8 * i));
}

/* The same with a check sum that fits: what lies behind it must hold by itself. */
static void test_forgery(void **state)
{
    (void)state;
    struct graph *g = small_graph();
    struct rng r = rng_at(1, 9, 0);
    for (int c = 0; coder_list[c]; c++) {
        struct buf out = encode(g, coder_list[c]->name);
        char *data = malloc(out.length);
        for (size_t i = 1; i + 2 < out.length; i++) {
            memcpy(data, out.data, out.length);
            data[i] = (char)rng_u32(&r);
            seal(data, out.length);
            int rc = decode_exactly(data, out.length);
            assert_true(rc == 0 || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED || rc == ERR_INVALID ||
                        rc == ERR_TOO_LARGE);
        }
        free(data);
        buf_free(&out);
    }
    graph_free(g);
}

static void test_versions(void **state)
{
    struct graph *g = small_graph();
    struct buf out = encode(g, "raw");
    const char first = out.data[0];
    (void)state;
    for (int i = 0; i < 256; i++) { /* version and coder */
        out.data[0] = (char)i;
        seal(out.data, out.length);
        assert_int_equal(!decode_exactly(out.data, out.length), i >= 0xe1 && i <= 0xe3);
    }
    out.data[0] = first;            /* each record names its coder */
    for (int i = 1; i < 256; i++) { /* a reference wants the stream */
        out.data[1] = (char)i;
        seal(out.data, out.length);
        assert_int_equal(decode_exactly(out.data, out.length), ERR_UNSUPPORTED);
    }
    buf_free(&out);
    graph_free(g);
}

/* An empty network of many parameters: the file is padded so that its size bounds what a reader allocates. */
static void test_padding(void **state)
{
    (void)state;
    struct err e = { 0 };
    struct graph *g = graph_new("wide");
    int x = ok(graph_add_input(g, "x", SHAPE(1, 1, 1000), &e), &e);
    x = add_node(g, "Flatten", "flatten", (int[]){ x }, 1);
    int w = ok(graph_add_param(g, "fc.weight", SHAPE(1000, 1000), true, NULL, &e), &e);
    x = add_node(g, "Gemm", "fc", (int[]){ x, w }, 2);
    assert_int_equal(node_set_int(&g->node[1], "transB", 1), 0);
    g->output[g->outputs++] = x;
    ok(graph_finish(g, &e), &e);
    struct value *v = &g->value[graph_find_value(g, "fc.weight")];
    v->codes = mem_alloc(sizeof *v->codes);
    *v->codes = (struct value_codes){ .bits = 1, .axis = -1, .channels = 1 };
    v->codes->scale = mem_array(1, sizeof(float));
    v->codes->code = mem_array(1000000, sizeof(int32_t));
    struct buf out = encode(g, "raw");
    assert_int_equal(out.length, 1000000 / 4096 + 1);
    assert_int_equal(decode_exactly(out.data, out.length), 0);
    buf_free(&out);
    graph_free(g);
}

/* Bases for each output and one for a tensor, whichever coder; an even code means nothing there. */
static void test_planes(void **state)
{
    (void)state;
    struct graph *g = small_graph();
    add_planes(g, graph_find_value(g, "first.weight"), 2, 0, 8);
    add_planes(g, graph_find_value(g, "second.weight"), 4, -1, 9);
    for (const struct coder *const *c = coder_list; *c; c++)
        round_trip(g, (*c)->name);
    for (const struct coder *const *c = coder_list; *c; c++) {
        struct buf out;
        buf_init(&out, 0);
        g->value[graph_find_value(g, "first.weight")].codes->code[3] = 2;
        assert_int_equal(qdz_encode(g, *c, &out, NULL, NULL, NULL, NULL), ERR_INVALID);
        buf_free(&out);
    }
    graph_free(g);
}

static void test_bad_codes(void **state)
{
    (void)state;
    struct err e = { 0 };
    struct graph *g = small_graph();
    struct value_codes *q = g->value[graph_find_value(g, "first.weight")].codes;
    struct buf out;
    buf_init(&out, 0);
    q->channels = 3;
    assert_int_equal(qdz_encode(g, coder_find("raw"), &out, NULL, NULL, NULL, &e), ERR_INVALID);
    assert_string_equal(e.place, "initializer first.weight");
    q->channels = 6;
    q->bits = 33;
    assert_int_equal(qdz_encode(g, coder_find("raw"), &out, NULL, NULL, NULL, NULL), ERR_INVALID);
    buf_free(&out);
    graph_free(g);
}

static void test_without_memory(void **state)
{
    (void)state;
    struct graph *g = small_graph();
    int rc = ERR_NOMEM;
    for (int n = 0; rc && n < 2000; n++) {
        struct buf out;
        struct graph *h = NULL;
        buf_init(&out, 0);
        mem_fail_after(n);
        rc = qdz_encode(g, coder_find("cabac"), &out, NULL, NULL, NULL, NULL);
        if (!rc)
            rc = qdz_decode(out.data, out.length, &h, NULL);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        graph_free(h);
        buf_free(&out);
    }
    assert_int_equal(rc, 0);
    graph_free(g);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "a", "conv1.weight conv1.bias conv2.weight conv2.bias",
                                         "\xff\xfe\xfd random \x01\x02", text_typical };
    uint8_t back[4096];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = texts[i] == text_typical ? text_typical_length : strlen(texts[i]);
        struct buf out;
        buf_init(&out, 0);
        assert_int_equal(text_encode((const uint8_t *)texts[i], length, &out, NULL), 0);
        assert_true(out.length <= length + 1);
        assert_true(length <= text_most(out.length));
        assert_int_equal(text_decode((const uint8_t *)out.data, out.length, back, length, NULL), 0);
        assert_memory_equal(back, texts[i], length);
        assert_int_equal(text_decode((const uint8_t *)out.data, 0, back, length, NULL), ERR_CORRUPT);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_zoo),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_forgery),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_bad_codes),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
