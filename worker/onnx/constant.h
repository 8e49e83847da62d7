/* constant.h - arrays known while a file is read: initializers, Constant nodes and what is computed from
 * them. Private to onnx/. Beside what graph.h offers for tensors. */
#ifndef WORKER_ONNX_CONSTANT_H
#define WORKER_ONNX_CONSTANT_H

#include "worker/graph/graph.h"

/* Zeroed. ERR_TOO_LARGE above 2^31 elements, ERR_NOMEM. */
int constant_new(enum dtype dtype, const struct shape *shape, struct tensor **t, struct err *e);

int64_t constant_count(const struct tensor *t);
bool constant_integer(const struct tensor *t); /* anything but float */
void constant_set_int(struct tensor *t, int64_t i, int64_t value);
bool constant_fits(enum dtype dtype, int64_t value); /* can an integer of that type hold it? */
const char *constant_type(enum dtype dtype);         /* "int64" */

/* Elements from one to the next along each axis of a row-major array. */
void constant_strides(const struct shape *s, int64_t stride[GRAPH_RANK]);

/* out[i0][i1]... = in[start + i0 * stride[0] + i1 * stride[1] ...]: transposed, sliced or broadcast copies.
 * Same dtype; out has its shape already. */
void constant_view(const struct tensor *in, int64_t start, const int64_t *stride, struct tensor *out);

/* Every element of t, which is all zero still, as the first of `one`. */
void constant_fill(struct tensor *t, const struct tensor *one);

/* A 1-d int64 array, a float scalar. */
int constant_ints(const int64_t *values, size_t count, struct tensor **t, struct err *e);
int constant_float(float value, struct tensor **t, struct err *e);

#endif
