/* coded_graph.h - what the tests of .qdz files share: graphs with integers in place of weights, and whether
 * two graphs make the same ONNX file. */
#ifndef TESTS_UNIT_CODED_GRAPH_H
#define TESTS_UNIT_CODED_GRAPH_H

#include "base/mem.h"
#include "base/rng.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"

#include <stdlib.h>

static inline int ok(int rc, const struct err *e)
{
    if (rc < 0)
        fail_msg("%s at %s", e->text, e->place);
    return rc;
}

/* Integers of `bits` bits along `axis`, and the floats that they stand for. */
static inline void add_codes(struct graph *g, int v, int bits, int axis, uint64_t seed)
{
    struct value *value = &g->value[v];
    int64_t count = shape_count(&value->shape), channels = axis < 0 ? 1 : value->shape.dim[axis], inner = 1;
    for (int i = axis + 1; axis >= 0 && i < value->shape.rank; i++)
        inner *= value->shape.dim[i];
    struct value_codes *q = mem_alloc(sizeof *q);
    *q = (struct value_codes){ .bits = bits, .axis = axis, .channels = channels };
    q->scale = mem_array((size_t)channels, sizeof *q->scale);
    q->code = mem_array((size_t)count, sizeof *q->code);
    struct rng r = rng_at(seed, 2, 0);
    for (int64_t i = 0; i < channels; i++)
        q->scale[i] = 0.01f + (float)rng_uniform(&r);
    uint32_t most = bits == 32 ? 100000 : (1u << (bits - 1)) - 1;
    for (int64_t i = 0; i < count; i++) {
        q->code[i] = (int32_t)rng_below(&r, 2 * most + 1) - (int32_t)most;
        g->param[value->offset + (size_t)i] =
            (real)q->code[i] * q->scale[axis < 0 ? 0 : i / inner % channels];
    }
    value->codes = q;
}

/* The same on bases of `planes` numbers. */
static inline void add_planes(struct graph *g, int v, int planes, int axis, uint64_t seed)
{
    struct value *value = &g->value[v];
    const int64_t count = shape_count(&value->shape);
    const struct value_codes like = {
        .bits = planes, .planes = planes, .axis = axis, .channels = axis < 0 ? 1 : value->shape.dim[axis]
    };
    struct rng r = rng_at(seed, 3, 0);
    value_codes_free(value->codes);
    value->codes = value_codes_new(&like, (size_t)count);
    for (size_t i = 0; i < value_codes_scales(value->codes); i++)
        value->codes->scale[i] = 0.01f + (float)rng_uniform(&r);
    for (int64_t i = 0; i < count; i++)
        value->codes->code[i] = 2 * (int32_t)rng_below(&r, 1u << planes) - (1 << planes) + 1;
    value_codes_numbers(value->codes, &value->shape, g->param + value->offset);
}

static inline void assert_same_onnx(const struct graph *g, const struct graph *h)
{
    struct err e = { 0 };
    char *a = NULL, *b = NULL;
    size_t a_length, b_length;
    ok(onnx_export(g, NULL, 0, &a, &a_length, &e), &e);
    ok(onnx_export(h, NULL, 0, &b, &b_length, &e), &e);
    assert_int_equal(a_length, b_length);
    assert_memory_equal(a, b, a_length);
    free(a);
    free(b);
}

#endif
