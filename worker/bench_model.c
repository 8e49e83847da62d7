#include "worker/bench_model.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/variant.h"
#include "worker/onnx/onnx.h"
#include "worker/quant/method.h"
#include "worker/zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>

#define MODEL_MAX ((size_t)2 << 30)

int bench_model_load(const struct bench_options *o, struct graph **g, struct err *e)
{
    const char *model = o->model;
    char *data;
    size_t length;

    if (strncmp(model, "zoo:", 4) == 0) {
        char reference[160];
        snprintf(reference, sizeof reference, "%s%s%s", model + 4, o->shape ? "@" : "",
                 o->shape ? o->shape : "");
        return zoo_graph(reference, 1, g, e);
    }
    char named[160];
    struct variant v;
    snprintf(named, sizeof named, "net@%s", o->shape ? o->shape : "1x1x1");
    if (!variant_parse(named, &v))
        return err_set(e, ERR_SYNTAX, "--shape is CxHxW, like 1x41x41");
    struct shape shape = { 3, { v.channels, v.height, v.width } };
    int status = file_load(model, MODEL_MAX, &data, &length, e);
    if (!status) {
        struct onnx_options options = { .sample = o->shape ? &shape : NULL };
        status = onnx_import_with(data, length, &options, g, e);
        free(data);
    }
    return status;
}

int bench_model_quantize(const struct bench_options *o, struct graph *g, struct quant **q, struct err *e)
{
    struct layer *layers = NULL;
    const struct quant_options options = { .method = method_find("msqe"), .grid = grid_find("sym") };
    int count, status = graph_layers(g, &layers, &count, e);
    struct quant_layer_plan *plan = status ? NULL : mem_array((size_t)count + 1, sizeof *plan);
    const int levels = 1 << (o->activation_bits - 1);

    for (int i = 0; plan && i < count; i++) {
        plan[i].weight_bits = o->weight_bits;
        plan[i].activation.bits = o->activation_bits;
        plan[i].activation.low = -levels;
        plan[i].activation.high = levels - 1;
        plan[i].activation.step = (real)6.4 / (real)levels;
    }
    free(layers);
    if (!status)
        status = plan ? quant_new(g, plan, count, &options, q, e) : err_set(e, ERR_NOMEM, "out of memory");
    free(plan);
    if (!status)
        quant_start(*q, g);
    return status;
}

int bench_model_stored(struct graph **g, struct quant *q, struct err *e)
{
    struct pool *pool = pool_new(1);
    char *data = NULL;
    size_t length;
    int status = pool ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    if (!status) {
        quant_snap(q, *g, pool);
        status = quant_codes(q, *g, e);
    }
    if (!status)
        status = onnx_export(*g, NULL, 0, &data, &length, e);
    if (!status) {
        graph_free(*g);
        *g = NULL;
        status = onnx_import(data, length, g, e);
    }
    free(data);
    pool_free(pool);
    return status;
}
