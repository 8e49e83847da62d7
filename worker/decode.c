#include "worker/decode.h"

#include "base/file.h"
#include "base/log.h"
#include "worker/coder/qdz.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/quant/exact.h"
#include "worker/quant/fold.h"
#include "worker/sandbox.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX ((size_t)2 << 30)

static void tell(const void *of, const struct node *n, const char *why)
{
    log_warn("%s: node %s (%s) is not exact: %s", (const char *)of, n->name, n->op->name, why);
}

int decode_file(const char *input, const char *output, bool fold, bool exact)
{
    struct exact_report r = { .tell = tell, .of = input };
    struct err e = { 0 };
    struct graph *g = NULL;
    char *data = NULL, *onnx = NULL, where[4096], summary[160];
    size_t length, onnx_length;
    int folded;

    snprintf(where, sizeof where, "%s", output);
    struct sandbox s = { .write_dir = dirname(where), .memory_bytes = (size_t)8 << 30 };
    int status = file_load(input, INPUT_MAX, &data, &length, &e);
    if (!status)
        status = sandbox_enter(&s, summary, sizeof summary, &e);
    if (!status)
        status = qdz_decode(data, length, &g, &e);
    if (!status && (fold || exact))
        status = fold_normalizations(g, &folded, &e);
    if (!status && exact)
        status = exact_scales(g, &r, &e);
    if (!status)
        status = onnx_export(g, NULL, 0, &onnx, &onnx_length, &e);
    if (!status)
        status = file_publish(output, onnx, onnx_length, 0644, &e);
    if (status)
        log_error("%s: %s%s%s", input, e.text, e.place[0] ? " at " : "", e.place);
    graph_free(g);
    free(data);
    free(onnx);
    return status ? EXIT_FAILURE : 0;
}
