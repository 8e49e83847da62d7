/* param.h - one parameter of a graph in a .qdz file: its floats, or its integers by a coder. */
#ifndef WORKER_CODER_PARAM_H
#define WORKER_CODER_PARAM_H

#include "base/buf.h"
#include "base/err.h"
#include "worker/coder/coder.h"
#include "worker/coder/qdz.h"
#include "worker/coder/wire.h"
#include "worker/graph/graph.h"

/* Append the record of PARAM value v. Integers go through c, or through "raw" where that is shorter. *layer
 * gets codes, payload_bytes and entropy_bits (not the name) when v has codes. */
int param_write(const struct graph *g, int v, const struct coder *c, struct buf *out, struct qdz_layer *layer,
                struct err *e);

/* The record into value v of a graph whose parameters are still zeros: floats, or codes and code * scale. */
int param_read(struct graph *g, int v, struct wire *w, struct err *e);

#endif
