/* onnx.h - ONNX files to graphs and back. protobuf-c unpacks; before it, pb_check() walks the wire format and
 * bounds nesting, since protobuf-c recurses without a limit. */
#ifndef WORKER_ONNX_ONNX_H
#define WORKER_ONNX_ONNX_H

#include "worker/graph/graph.h"

/* Verify the wire format without unpacking: nesting <= 16, lengths inside their message, at most 2^22 fields.
 * ERR_CORRUPT with place "offset N". */
int pb_check(const void *data, size_t length, struct err *e);

/* File content to a finished graph. Reads opset 7..21 (13, 21 and 25 when written by us). Quantized files (our own
 * export) come back with value->codes set and parameters dequantized; activation QuantizeLinear -> [Clip] ->
 * DequantizeLinear stay as nodes. Errors: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_INVALID; place "node NAME (Op)",
 * "initializer NAME" or "offset N". */
int onnx_import(const void *data, size_t length, struct graph **g, struct err *e);

struct onnx_meta {
    const char *key, *value;
};

/* Graph to file content (free(*data)). PARAMs with ->codes become stored integers behind DequantizeLinear, bias
 * codes (bits 32) int32 behind DequantizeLinear; QuantdFakeQuant nodes become QuantizeLinear -> [Clip] ->
 * DequantizeLinear; the batch axis is free (named N) unless the source fixed it. Deterministic: same graph, same
 * bytes. opset: 13. */
int onnx_export(const struct graph *g, const struct onnx_meta *meta, size_t metas, char **data, size_t *length,
                struct err *e);

#endif
