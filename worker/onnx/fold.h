/* fold.h - operators computed while a file is read. Each takes known tensors and makes c->out (by fold_new);
 * errors need no place, the caller adds the node. Private to onnx/. */
#ifndef WORKER_ONNX_FOLD_H
#define WORKER_ONNX_FOLD_H

#include "worker/onnx/import.h"

enum { FOLD_INPUTS = 64 };

struct fold_call {
    struct import *im;
    const Onnx__NodeProto *p;
    const struct tensor *in[FOLD_INPUTS]; /* NULL: left out */
    int inputs;
    struct tensor *out;
};

int fold_new(struct fold_call *c, enum dtype dtype,
             const struct shape *shape);                       /* zeroed, within the file's budget */
int fold_shape_of(struct fold_call *c, const struct shape *s); /* out = s as 1-d int64 */

/* fold_make.c */
int fold_constant(struct fold_call *c);
int fold_constant_of_shape(struct fold_call *c);
int fold_identity(struct fold_call *c);
int fold_cast(struct fold_call *c);
int fold_shape(struct fold_call *c);
int fold_binary(struct fold_call *c); /* Add, Sub, Mul, Div with broadcasting */

/* fold_move.c: the same elements elsewhere */
int fold_gather(struct fold_call *c);
int fold_concat(struct fold_call *c);
int fold_slice(struct fold_call *c);
int fold_squeeze(struct fold_call *c);
int fold_unsqueeze(struct fold_call *c);
int fold_reshape(struct fold_call *c);
int fold_transpose(struct fold_call *c);

/* A list of integers given as attribute (old opsets) or as input i (new ones); count -1 when neither is
 * there. Borrowed from the call. ERR_INVALID unless it is a 1-d int64 or int32 tensor of at most GRAPH_RANK
 * numbers. */
int fold_list(const struct fold_call *c, const char *attribute, int i, int64_t list[GRAPH_RANK], int *count);

#endif
