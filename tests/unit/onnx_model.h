/* onnx_model.h - writes small ONNX files for tests, field by field, right or wrong as wanted. */
#ifndef TESTS_UNIT_ONNX_MODEL_H
#define TESTS_UNIT_ONNX_MODEL_H

#include "worker/onnx/onnx.h"
#include "worker/onnx/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_BYTES ((size_t)64 << 20)

enum { ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_INT32 = 6, ONNX_INT64 = 7 };

struct model {
    struct buf graph;
    int opset; /* 0: 13 */
};

static inline void model_start(struct model *m)
{
    *m = (struct model){ .opset = 13 };
    buf_init(&m->graph, MODEL_BYTES);
}

/* A value: "input" 11 or "output" 12 of the graph. dims ends with 0; -1 is an open axis called "N". */
static inline void model_port(struct model *m, unsigned field, const char *name, int type, const int *dims)
{
    struct buf shape, tensor, wrap, port;
    buf_init(&shape, 0), buf_init(&tensor, 0), buf_init(&wrap, 0), buf_init(&port, 0);
    for (; *dims; ++dims) {
        struct buf dim;
        buf_init(&dim, 0);
        if (*dims < 0)
            pb_put_text(&dim, 2, "N");
        else
            pb_put_int(&dim, 1, *dims);
        pb_put_message(&shape, 1, &dim);
    }
    pb_put_int(&tensor, 1, type);
    pb_put_message(&tensor, 2, &shape);
    pb_put_message(&wrap, 1, &tensor);
    pb_put_text(&port, 1, name);
    pb_put_message(&port, 2, &wrap);
    pb_put_message(&m->graph, field, &port);
}

#define model_input(m, name, ...)  model_port(m, 11, name, ONNX_FLOAT, (const int[]){ __VA_ARGS__, 0 })
#define model_output(m, name, ...) model_port(m, 12, name, ONNX_FLOAT, (const int[]){ __VA_ARGS__, 0 })

/* A TensorProto with raw_data; dims ends with a negative number. */
static inline void model_tensor(struct buf *t, const char *name, int type, const int *dims, const void *data,
                                size_t bytes)
{
    buf_init(t, MODEL_BYTES);
    for (; *dims >= 0; ++dims)
        pb_put_int(t, 1, *dims);
    pb_put_int(t, 2, type);
    pb_put_text(t, 8, name);
    pb_put_bytes(t, 9, data, bytes);
}

static inline void model_init(struct model *m, const char *name, int type, const int *dims, const void *data,
                              size_t bytes)
{
    struct buf t;
    model_tensor(&t, name, type, dims, data, bytes);
    pb_put_message(&m->graph, 5, &t);
}

/* 1-d lists. */
#define model_floats(m, name, ...)                                                                           \
    model_init(m, name, ONNX_FLOAT, (const int[]){ sizeof((float[]){ __VA_ARGS__ }) / 4, -1 },               \
               (const float[]){ __VA_ARGS__ }, sizeof((float[]){ __VA_ARGS__ }))
#define model_longs(m, name, ...)                                                                            \
    model_init(m, name, ONNX_INT64, (const int[]){ sizeof((int64_t[]){ __VA_ARGS__ }) / 8, -1 },             \
               (const int64_t[]){ __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }))

/* Attributes for model_node: their messages one behind the other. */
static inline void attr_ints(struct buf *attrs, const char *name, const int64_t *ints, size_t count)
{
    struct buf a;
    buf_init(&a, 0);
    pb_put_text(&a, 1, name);
    for (size_t i = 0; i < count; ++i)
        pb_put_int(&a, 8, ints[i]);
    pb_put_int(&a, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    pb_put_message(attrs, 5, &a);
}

static inline void attr_int(struct buf *attrs, const char *name, int64_t i)
{
    struct buf a;
    buf_init(&a, 0);
    pb_put_text(&a, 1, name);
    pb_put_int(&a, 3, i);
    pb_put_int(&a, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    pb_put_message(attrs, 5, &a);
}

static inline void attr_float(struct buf *attrs, const char *name, float f)
{
    struct buf a;
    buf_init(&a, 0);
    pb_put_text(&a, 1, name);
    pb_put_float(&a, 2, f);
    pb_put_int(&a, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    pb_put_message(attrs, 5, &a);
}

/* wires: "input input -> output output"; "-" is an input left out. attrs may be NULL, else it is freed. */
static inline void model_node(struct model *m, const char *op, const char *name, const char *wires,
                              struct buf *attrs)
{
    struct buf n;
    char copy[256], *rest = copy;
    unsigned field = 1;
    buf_init(&n, MODEL_BYTES);
    snprintf(copy, sizeof copy, "%s", wires);
    for (char *word; (word = strsep(&rest, " "));)
        if (strcmp(word, "->") == 0)
            field = 2;
        else
            pb_put_text(&n, field, strcmp(word, "-") == 0 ? "" : word);
    if (name)
        pb_put_text(&n, 3, name);
    pb_put_text(&n, 4, op);
    if (attrs) {
        buf_append(&n, attrs->data, attrs->length);
        buf_free(attrs);
    }
    pb_put_message(&m->graph, 1, &n);
}

/* The file's bytes in *file (buf_free it). */
static inline void model_done(struct model *m, struct buf *file)
{
    struct buf opset;
    buf_init(file, MODEL_BYTES);
    buf_init(&opset, 0);
    pb_put_int(file, 1, 7);
    pb_put_message(file, 7, &m->graph);
    pb_put_int(&opset, 2, m->opset);
    pb_put_message(file, 8, &opset);
}

/* The graph of the file (graph_free it). The test fails where the file is refused. */
static inline struct graph *model_graph(struct model *m)
{
    struct buf file;
    struct graph *g = NULL;
    struct err e = { 0 };
    model_done(m, &file);
    if (onnx_import(file.data, file.length, &g, &e))
        fail_msg("%s (%s)", e.text, e.place);
    buf_free(&file);
    return g;
}

#endif
