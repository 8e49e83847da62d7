/* The decoder for devices against the library: the same integers and floats, and damage that stays inside. */
#include "worker/coder/standalone/qdz_decode.c"

#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/qdz.h"
#include "worker/coder/wire.h"
#include "worker/prune/dead.h"
#include "worker/quant/method.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void add_codes(struct graph *g, int v, int high, double density, int axis)
{
    struct value *value = &g->value[v];
    const size_t count = (size_t)shape_count(&value->shape);
    struct value_codes *c = mem_alloc(sizeof *c);
    struct rng r = rng_at(4, (uint64_t)v, 0);
    assert_non_null(c);
    *c = (struct value_codes){ .bits = 8, .axis = axis, .channels = axis < 0 ? 1 : value->shape.dim[axis] };
    c->scale = mem_array((size_t)c->channels, sizeof *c->scale);
    c->code = mem_array(count, sizeof *c->code);
    assert_true(c->scale && c->code);
    for (int64_t i = 0; i < c->channels; i++)
        c->scale[i] = axis < 0 ? 0.0625f : (float)(0.01 + 0.001 * (double)i);
    for (size_t i = 0; i < count; i++)
        if (rng_uniform(&r) < density)
            c->code[i] = (int32_t)rng_below(&r, (uint32_t)(2 * high + 1)) - high;
    value->codes = c;
}

/* Instead, bases of three numbers, one for each output. */
static void add_bases(struct graph *g, int v)
{
    struct value *value = &g->value[v];
    const size_t count = (size_t)shape_count(&value->shape);
    const struct value_codes like = { .bits = 3, .planes = 3, .axis = 0, .channels = value->shape.dim[0] };
    value_codes_free(value->codes);
    value->codes = value_codes_new(&like, count);
    assert_non_null(value->codes);
    for (size_t i = 0; i < value_codes_scales(&like); i++)
        value->codes->scale[i] = (float)(0.02 + 0.003 * (double)(i % 5));
    for (size_t i = 0; i < count; i++)
        value->codes->code[i] = 2 * (int32_t)(i * i % 11 % 8) - 7;
}

static int value_of(const struct graph *g, const char *name)
{
    const int v = graph_find_value(g, name);
    assert_true(v >= 0);
    return v;
}

/* LeNet-5 that has lost units; quantized activations if asked; codes of every kind, one tensor of floats. */
static struct graph *make(bool activations, bool named)
{
    struct graph *g;
    struct quant *q;
    int64_t removed;
    struct quant_layer_plan plan[4] = {
        { 4, { .bits = 8, .low = 0, .high = 255, .step = (real)0.00390625, .fixed = true } },
        { 2, { .bits = 8, .low = -128, .high = 127, .step = (real)0.03, .fixed = false } },
        { 2, { .bits = 32, .low = 0, .high = 0, .step = 0, .fixed = false } },
        { 4, { .bits = 4, .low = 0, .high = 15, .step = (real)0.1, .fixed = false } }
    };
    const struct quant_options options = { .method = &method_msqe, .grid = grid_find("sym") };
    assert_int_equal(zoo_graph("lenet5", 1, &g, NULL), 0);
    const struct value *w = &g->value[value_of(g, "fc1.weight")];
    memset(g->param + w->offset, 0, 400 * 800 * sizeof(real));
    assert_int_equal(dead_remove(g, &removed, NULL), 0);
    assert_int_equal(removed, 400);
    if (activations) {
        assert_int_equal(quant_new(g, plan, 4, &options, &q, NULL), 0);
        quant_free(q);
    }
    add_codes(g, value_of(g, "conv1.weight"), 3, 0.3, 0);
    add_codes(g, value_of(g, "conv2.weight"), 1, 0.02, -1);
    add_codes(g, value_of(g, "conv2.bias"), 0, 1, -1);
    add_codes(g, value_of(g, "fc1.weight"), 3, 0.5, -1);
    if (activations) /* one input of three: mixing pays */
        for (int i = 0; i < 100 * 800; i++)
            g->value[value_of(g, "fc1.weight")].codes->code[i] = i % 3 ? 0 : i / 7 % 3 - 1;
    add_codes(g, value_of(g, "fc1.bias"), 127, 0.8, -1);
    add_codes(g, value_of(g, "fc2.weight"), 40, 0.5, -1);
    if (!named)
        add_bases(g, value_of(g, "conv2.weight"));
    if (!named)
        assert_int_equal(node_set_int(&g->node[graph_find_node(g, "pool1")], "ceil_mode", 1), 0);
    assert_int_equal(graph_finish(g, NULL), 0);
    return g;
}

struct room {
    int32_t *code;
    float *scale;
    void *work;
};

/* Read a tensor into memory of exactly its size. */
static int read_tensor(struct qdz *q, struct qdz_tensor *t, const struct shape *s, struct room *r)
{
    const size_t count = (size_t)shape_count(s);
    size_t scales = 3; /* a basis of three numbers for a tensor */
    *t = (struct qdz_tensor){ .rank = (uint32_t)s->rank };
    for (int i = 0; i < s->rank; i++) {
        t->dim[i] = (uint32_t)s->dim[i];
        scales = 3 * t->dim[i] > scales ? 3 * t->dim[i] : scales;
    }
    const size_t bytes = qdz_work(t);
    *r = (struct room){ malloc(count * sizeof(int32_t)), malloc(scales * sizeof(float)), malloc(bytes) };
    assert_true(r->code && r->scale && r->work);
    t->code = r->code;
    t->scale = r->scale;
    t->scales = scales;
    return qdz_tensor(q, t, r->work, bytes);
}

static void room_free(struct room *r)
{
    free(r->code);
    free(r->scale);
    free(r->work);
}

static void compare(const struct graph *g, int v, const struct qdz_tensor *t)
{
    const struct value *value = &g->value[v];
    const size_t count = (size_t)shape_count(&value->shape);
    assert_int_equal(t->is_float, !value->codes);
    for (size_t i = 0; t->is_float && i < count; i++) {
        float f;
        memcpy(&f, &t->code[i], sizeof f);
        assert_true(f == (float)g->param[value->offset + i]);
    }
    if (t->is_float)
        return;
    assert_int_equal(t->bits, value->codes->bits);
    assert_int_equal(t->axis, value->codes->axis);
    assert_memory_equal(t->code, value->codes->code, count * sizeof(int32_t));
    assert_int_equal(t->basis, value->codes->planes != 0);
    assert_memory_equal(t->scale, value->codes->scale, value_codes_scales(value->codes) * sizeof(float));
}

static struct buf encode(const struct graph *g, bool named)
{
    struct buf out;
    struct qdz_sizes sizes;
    buf_init(&out, SIZE_MAX);
    assert_int_equal(qdz_encode(g, coder_find("cabac"), &out, NULL, NULL, &sizes, NULL), 0);
    assert_int_equal(sizes.named, named);
    return out;
}

static void test_the_same_numbers_as_the_library(void **state)
{
    static const char *const order[] = { "conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                         "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias" };
    static struct qdz q;
    (void)state;

    for (int way = 0; way < 3; way++) { /* plain, with quantized activations, with a description */
        struct graph *g = make(way == 1, way < 2), *h;
        struct buf file = encode(g, way < 2);
        struct qdz_network n = { .readers = qdz_lenet5_readers, .values = 8, .unit_layers = 3 };
        struct qdz_tensor t;
        struct room r;
        assert_int_equal(qdz_decode(file.data, file.length, &h, NULL), 0);
        assert_int_equal(qdz_open(&q, (const uint8_t *)file.data, file.length), 0);
        assert_int_equal(q.reference, way < 2);
        assert_int_equal(qdz_network(&q, &n), 0);
        if (way < 2)
            assert_true(n.gone[0] == 0 && n.gone[1] == 0 && n.gone[2] == 400);
        assert_int_equal(n.quantizers, way == 1 ? 3 : 0);
        if (way == 1)
            assert_true(n.low[1] == -128 && n.high[1] == 127 && n.high[2] == 15);
        for (int i = 0; i < 8; i++) {
            const int v = value_of(h, order[i]);
            assert_int_equal(read_tensor(&q, &t, &h->value[v].shape, &r), 0);
            if (i == 4) /* the one that is large enough to say */
                assert_int_equal(q.by_first, way != 1);
            compare(h, v, &t);
            compare(g, value_of(g, order[i]), &t);
            room_free(&r);
        }
        for (unsigned i = 0; i < n.quantizers; i++) {
            assert_int_equal(read_tensor(&q, &t, &(struct shape){ .rank = 1, .dim = { 1 } }, &r), 0);
            float step;
            memcpy(&step, r.code, sizeof step);
            assert_true(t.is_float && step > 0 && step < 1);
            room_free(&r);
        }
        assert_int_equal(qdz_end(&q), 0);
        buf_free(&file);
        graph_free(g);
        graph_free(h);
    }
}

/* Any byte wrong behind a check sum that fits: an answer or a refusal, nothing outside. */
static void test_damage_stays_inside(void **state)
{
    static struct qdz q;
    struct graph *g = make(true, true);
    struct buf file = encode(g, true);
    struct rng r = rng_at(8, 8, 8);
    int refused = 0;
    (void)state;

    for (int round = 0; round < 60; round++) {
        const size_t length = file.length - (round % 3 ? 0 : rng_below(&r, (uint32_t)file.length - 4));
        uint8_t *copy = malloc(length);
        assert_non_null(copy);
        memcpy(copy, file.data, length);
        copy[1 + rng_below(&r, (uint32_t)length - 3)] ^= (uint8_t)(1 + rng_below(&r, 255));
        assert_true(qdz_open(&q, copy, length) == QDZ_DAMAGED || round % 3 == 0);
        const uint16_t sum = wire_crc16(copy, length - 2);
        copy[length - 2] = (uint8_t)sum;
        copy[length - 1] = (uint8_t)(sum >> 8);
        struct qdz_network n = { .readers = qdz_lenet5_readers, .values = 8, .unit_layers = 3 };
        int bad = qdz_open(&q, copy, length);
        bad = bad ? bad : qdz_network(&q, &n);
        for (int v = 0; v < g->values && !bad; v++) {
            struct qdz_tensor t;
            struct room room;
            if (g->value[v].kind != VALUE_PARAM)
                continue;
            bad = read_tensor(&q, &t, &g->value[v].shape, &room);
            room_free(&room);
        }
        bad = bad ? bad : qdz_end(&q);
        refused += bad != 0;
        free(copy);
    }
    assert_true(refused > 50);
    buf_free(&file);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_numbers_as_the_library),
        cmocka_unit_test(test_damage_stays_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
