/* inspect.h - what an uploaded model is, as the JSON of `quantd-worker inspect model`. */
#ifndef WORKER_INSPECT_H
#define WORKER_INSPECT_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Reads an ONNX file's content. *out is a new reference:
 *   {"format":"onnx", "opset", "ir_version", "inputs":[{"name","shape"}], "outputs", "parameters", "macs"
 * (one sample), "operators":{"Conv":2}, "layers":[{"name","op","shape","parameters","macs"}], "memory_bytes"
 * (training, batch 64)} An open axis is a string, its name in the file ("N"). Where an input leaves more than
 * the batch open, sizes are those of "assumed_shape". Errors are those of onnx_import. */
int inspect_model(const void *data, size_t length, json_t **out, struct err *e);

#endif
