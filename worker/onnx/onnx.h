/* onnx.h - ONNX files to graphs and back. protobuf-c unpacks; before it, pb_check() walks the wire format and
 * bounds nesting, since protobuf-c recurses without a limit. */
#ifndef WORKER_ONNX_ONNX_H
#define WORKER_ONNX_ONNX_H

#include "worker/graph/graph.h"

/* Verify the wire format without unpacking: nesting <= 16, lengths inside their message, at most 2^22 fields.
 * ERR_CORRUPT with place "offset N". */
int pb_check(const void *data, size_t length, struct err *e);

/* File content to a finished graph. Reads opset 7..21 and brings every node to the form of opset 13
 * (graph->opset is 13; HardSwish keeps that of 14). Quantized files (our own export) come back with
 * value->codes set and parameters dequantized; activation QuantizeLinear -> [Clip] -> DequantizeLinear stay
 * as nodes. Errors: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_INVALID, ERR_TOO_LARGE; place "node NAME (Op)",
 * "initializer NAME" or "offset N". */
int onnx_import(const void *data, size_t length, struct graph **g, struct err *e);

/* What a file may leave to its reader. */
struct onnx_options {
    enum {
        ONNX_BATCH_FREE, /* the first axis is the batch: open or 1, anything else is an error */
        ONNX_BATCH_ANY,  /* the first axis is the batch whatever its size */
        ONNX_BATCH_NONE  /* no batch: the whole input is one sample (graph->batched false) */
    } batch;
    const struct shape *sample; /* of one sample, for inputs with open axes (super-resolution); may be NULL */
    int64_t fold_limit;         /* elements that constants computed while reading may have in all; 0: 2^28 */
};
int onnx_import_with(const void *data, size_t length, const struct onnx_options *options, struct graph **g,
                     struct err *e);

/* What only the file knows, for `inspect`. */
struct onnx_info {
    int opset;
    int64_t ir_version;
    int rank; /* of the data input, batch included */
    struct onnx_axis {
        int64_t size;  /* -1: open */
        char name[32]; /* of an open axis; "" when it has none */
    } axis[GRAPH_RANK + 1];
};
int onnx_info(const void *data, size_t length, struct onnx_info *info, struct err *e);

struct onnx_meta {
    const char *key, *value;
};

/* Graph to file content (free(*data)). PARAMs with ->codes become stored integers behind DequantizeLinear,
 * bias codes (bits 32) int32 behind DequantizeLinear; QuantdFakeQuant nodes become QuantizeLinear -> [Clip]
 * -> DequantizeLinear; codes with planes and QuantdLevels nodes see export_levels.c; the batch axis is free
 * (named N) unless the source fixed it. Deterministic: same graph, same bytes. opset 13 (14 where HardSwish
 * demands it), IR 7. */
int onnx_export(const struct graph *g, const struct onnx_meta *meta, size_t metas, char **data,
                size_t *length, struct err *e);

#endif
