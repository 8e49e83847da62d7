/* onnx_trip.h - what tests of the exporter share: LeNet-5, written and read, and whether two networks are the
 * same. */
#ifndef TESTS_UNIT_ONNX_TRIP_H
#define TESTS_UNIT_ONNX_TRIP_H

#include "base/mem.h"
#include "onnx_model.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/zoo/zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct onnx_meta meta[] = { { "job", "7" }, { "method", "msqe" } };

static inline struct graph *lenet(void)
{
    struct graph *g = NULL;
    struct err e = { 0 };
    if (zoo_graph("lenet5", 3, &g, &e))
        fail_msg("%s (%s)", e.text, e.place);
    return g;
}

static inline void write_file(const struct graph *g, char **data, size_t *length)
{
    struct err e = { 0 };
    if (onnx_export(g, meta, 2, data, length, &e))
        fail_msg("%s (%s)", e.text, e.place);
}

static inline struct graph *read_file(const char *data, size_t length)
{
    struct graph *g = NULL;
    struct err e = { 0 };
    if (onnx_import(data, length, &g, &e))
        fail_msg("%s (%s)", e.text, e.place);
    return g;
}

static inline void same_codes(const struct value_codes *a, const struct value_codes *b, int64_t count)
{
    assert_int_equal(!a, !b);
    if (!a)
        return;
    assert_int_equal(a->axis, b->axis);
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->planes, b->planes);
    assert_memory_equal(a->scale, b->scale, value_codes_scales(a) * sizeof *a->scale);
    assert_memory_equal(a->code, b->code, (size_t)count * sizeof *a->code);
}

static inline void same_value(const struct graph *a, const struct value *va, const struct graph *b,
                              const char *name)
{
    const int index = graph_find_value(b, name);
    if (index < 0)
        fail_msg("'%s' is lost", name);
    const struct value *vb = &b->value[index];
    assert_int_equal(va->kind, vb->kind);
    assert_true(shape_equal(&va->shape, &vb->shape));
    const int64_t count = shape_count(&va->shape);
    if (va->kind == VALUE_PARAM) {
        assert_int_equal(va->trainable, vb->trainable);
        assert_memory_equal(a->param + va->offset, b->param + vb->offset, (size_t)count * sizeof *a->param);
        same_codes(va->codes, vb->codes, count);
    }
    if (va->kind == VALUE_CONST) {
        assert_int_equal(va->constant->dtype, vb->constant->dtype);
        assert_memory_equal(va->constant->data, vb->constant->data,
                            (size_t)count * dtype_size(va->constant->dtype));
    }
}

static inline void same_attr(const struct attr *a, const struct attr *b)
{
    assert_non_null(b);
    assert_int_equal(a->type, b->type);
    assert_true(a->i == b->i && a->f == b->f && a->count == b->count);
    if (a->type == ATTR_STRING)
        assert_string_equal(a->s, b->s);
    if (a->type == ATTR_INTS)
        assert_memory_equal(a->ints, b->ints, a->count * sizeof *a->ints);
}

static inline void same_graph(const struct graph *a, const struct graph *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->nodes, b->nodes);
    assert_int_equal(a->values, b->values);
    assert_int_equal(a->batched, b->batched);
    assert_int_equal(a->batch_fixed_one, b->batch_fixed_one);
    assert_string_equal(a->value[a->input].name, b->value[b->input].name);
    for (int i = 0; i < a->values; ++i)
        same_value(a, &a->value[i], b, a->value[i].name);
    for (int i = 0; i < a->nodes; ++i) {
        const struct node *na = &a->node[i], *nb = &b->node[i];
        assert_string_equal(na->name, nb->name);
        assert_ptr_equal(na->op, nb->op);
        assert_int_equal(na->inputs, nb->inputs);
        assert_int_equal(na->attrs, nb->attrs);
        for (int k = 0; k < na->inputs; ++k)
            assert_string_equal(a->value[na->input[k]].name, b->value[nb->input[k]].name);
        for (size_t k = 0; k < na->attrs; ++k)
            same_attr(&na->attr[k], node_attr(nb, na->attr[k].name));
    }
}

/* Whatever allocation fails, writing it says so and leaves nothing behind. */
static inline void write_without_memory(const struct graph *g)
{
    int failures = 0;
    for (int n = 0;; ++n) {
        char *data;
        size_t length;
        struct err e = { 0 };
        mem_fail_after(n);
        const int got = onnx_export(g, meta, 2, &data, &length, &e);
        mem_fail_after(-1);
        free(data);
        if (got == 0)
            break;
        assert_int_equal(got, ERR_NOMEM);
        ++failures;
    }
    assert_true(failures > 20);
}

/* Export, import, compare, export: the same bytes. Returns the network read. */
static inline struct graph *round_trip(const struct graph *g)
{
    char *first, *second;
    size_t first_length, second_length;
    write_file(g, &first, &first_length);
    struct graph *back = read_file(first, first_length);
    write_file(back, &second, &second_length);
    assert_int_equal(first_length, second_length);
    assert_memory_equal(first, second, first_length);
    free(first);
    free(second);
    return back;
}

#endif
