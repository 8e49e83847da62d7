/* Any bytes: an error or a network; and a network's own file must read back and be written the same again. */
#include "worker/onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int sound)
{
    if (!sound)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct graph *g = NULL, *back = NULL;
    struct err e = { 0 };
    char *first = NULL, *second = NULL;
    size_t first_length, second_length;
    const struct onnx_options options = { .fold_limit = 1 << 20 };
    const int bad = onnx_import_with(data, size, &options, &g, &e);
    check(!bad == !!g && bad == e.code);
    if (g && onnx_export(g, NULL, 0, &first, &first_length, &e) == 0) {
        check(onnx_import(first, first_length, &back, &e) == 0);
        check(onnx_export(back, NULL, 0, &second, &second_length, &e) == 0);
        check(first_length == second_length && memcmp(first, second, first_length) == 0);
    }
    free(first);
    free(second);
    graph_free(g);
    graph_free(back);
    return 0;
}
