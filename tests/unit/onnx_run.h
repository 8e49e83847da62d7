/* onnx_run.h - what tests with real ONNX files share: finding them, reading TensorProto files, running a
 * network. */
#ifndef TESTS_UNIT_ONNX_RUN_H
#define TESTS_UNIT_ONNX_RUN_H

#include "base/file.h"
#include "worker/graph/net.h"
#include "worker/onnx/import.h"
#include "worker/onnx/pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The path of a file of the shared data in `path`; false, loudly, when it is not there. */
static inline bool data_path(char *path, size_t size, const char *name)
{
    const char *root = getenv("QUANTD_DATA");
    snprintf(path, size, "%s/%s", root ? root : "../shared/data", name);
    if (file_exists(path))
        return true;
    printf("*** SKIP: %s is not there (set QUANTD_DATA) ***\n", path);
    return false;
}

/* A serialised TensorProto; the caller frees it with onnx__tensor_proto__free_unpacked. */
static inline Onnx__TensorProto *load_proto(const char *path)
{
    char *data;
    size_t length;
    struct err e = { 0 };
    if (file_load(path, (size_t)1 << 30, &data, &length, &e))
        return NULL;
    Onnx__TensorProto *p = pb_check_as(&onnx__tensor_proto__descriptor, data, length, &e)
                               ? NULL
                               : onnx__tensor_proto__unpack(NULL, length, (const uint8_t *)data);
    free(data);
    return p;
}

static inline struct tensor *load_tensor(const char *path)
{
    struct err e = { 0 };
    struct tensor *t = NULL;
    Onnx__TensorProto *p = load_proto(path);
    if (p)
        import_tensor(p, &t, &e);
    onnx__tensor_proto__free_unpacked(p, NULL);
    return t;
}

/* Run samples of x (one behind the other, as in a file) through the graph; the first output likewise in *y
 * (free it). Returns the number of elements, negative on error. */
static inline int64_t run_graph(struct graph *g, const struct tensor *x, int samples, float **y,
                                struct err *e)
{
    struct net *n;
    const struct net_options options = { .batch = samples };
    const int64_t features = shape_count(&g->value[g->input].shape);
    const int64_t out = shape_count(&g->value[g->output[0]].shape);
    const int bad = net_new(g, &options, &n, e);
    if (bad)
        return bad;
    real *in = net_input(n);
    for (int64_t i = 0; i < features * samples; ++i) {
        const int64_t s = i / features, f = i % features;
        in[(s / LANES * features + f) * LANES + s % LANES] = (real)tensor_number(x, i);
    }
    net_forward(n, samples, false, 0);
    *y = malloc((size_t)(out * samples + 1) * sizeof **y);
    const real *result = net_output(n, 0);
    for (int64_t i = 0; *y && i < out * samples; ++i) {
        const int64_t s = i / out, f = i % out;
        (*y)[i] = (float)result[(s / LANES * out + f) * LANES + s % LANES];
    }
    net_free(n);
    return *y ? out * samples : ERR_NOMEM;
}

/* Largest |a - b| beyond `relative` of |b|, and where; NaN counts as infinite. */
static inline double worst(const float *a, const struct tensor *b, double relative, int64_t *where)
{
    double most = 0;
    *where = -1;
    for (int64_t i = 0; i < shape_count(&b->shape); ++i) {
        const double want = tensor_number(b, i), off = fabs((double)a[i] - want) - relative * fabs(want);
        if (off > most || off != off) {
            most = off == off ? off : INFINITY;
            *where = i;
        }
    }
    return most;
}

#endif
