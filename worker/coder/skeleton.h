/* skeleton.h - a graph without its parameters' contents, as bytes: names, operators, attributes, shapes,
 * constants. The order of values, nodes and attributes is kept: the ONNX file made from the copy must be the
 * same. */
#ifndef WORKER_CODER_SKELETON_H
#define WORKER_CODER_SKELETON_H

#include "base/buf.h"
#include "base/err.h"
#include "worker/coder/wire.h"
#include "worker/graph/graph.h"

enum { SKELETON_ATTRS = 256 }; /* most attributes of a node */

/* Append g's skeleton. ERR_INVALID for a name or string longer than WIRE_NAME or too many attributes; out's
 * failure is for the caller. */
int skeleton_write(const struct graph *g, struct buf *out, struct err *e);

/* A graph that is not finished yet: parameters are zeros. All of `data` must be used. No more than
 * `parameters` elements are allocated for parameters. ERR_CORRUPT, ERR_UNSUPPORTED (an operator that is not
 * known), ERR_NOMEM. */
int skeleton_read(const uint8_t *data, size_t length, uint64_t parameters, struct graph **g, struct err *e);

#endif
