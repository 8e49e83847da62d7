/* inspect.c - a model described in JSON. */
#include "worker/inspect.h"

#include "worker/graph/graph.h"
#include "worker/graph/net.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"

#include <stdlib.h>

enum { BATCH = 64 }; /* the default of training jobs */
enum {
    OPEN_AXIS = 32
}; /* size taken for an axis that the file leaves open: small, yet more than any kernel */

struct inspection {
    struct onnx_info info;
    struct graph *graph;
    bool assumed;
    struct err *e;
};

/* Does the file leave open more than the batch? Then some size is taken. */
static bool assume(const struct onnx_info *info, struct shape *sample)
{
    bool open = false;
    *sample = (struct shape){ .rank = info->rank - 1 };
    for (int a = 1; a < info->rank && a <= GRAPH_RANK; ++a) {
        open |= info->axis[a].size < 0;
        sample->dim[a - 1] = info->axis[a].size < 0 ? OPEN_AXIS : info->axis[a].size;
    }
    return open;
}

static json_t *axis_json(const struct onnx_axis *axis, const char *fallback)
{
    if (axis->size >= 0)
        return json_integer(axis->size);
    json_t *name = *axis->name ? json_string(axis->name) : NULL; /* NULL also when it is not UTF-8 */
    return name ? name : json_string(fallback);
}

static json_t *shape_json(const struct shape *s)
{
    json_t *list = json_array();
    for (int a = 0; a < s->rank; ++a)
        json_array_append_new(list, json_integer(s->dim[a]));
    return list;
}

static json_t *port_json(const char *name, json_t *shape)
{
    return json_pack("{s:s, s:o}", "name", name, "shape", shape);
}

static json_t *inputs_json(const struct inspection *in)
{
    json_t *shape = json_array();
    for (int a = 0; a < in->info.rank; ++a)
        json_array_append_new(shape, axis_json(&in->info.axis[a], a ? "?" : "N"));
    return json_pack("[o]", port_json(in->graph->value[in->graph->input].name, shape));
}

static json_t *outputs_json(const struct inspection *in)
{
    json_t *list = json_array();
    for (int i = 0; i < in->graph->outputs; ++i) {
        const struct value *v = &in->graph->value[in->graph->output[i]];
        json_t *shape = shape_json(&v->shape);
        json_array_insert_new(shape, 0, axis_json(&in->info.axis[0], "N"));
        json_array_append_new(list, port_json(v->name, shape));
    }
    return list;
}

static json_t *operators_json(const struct graph *g)
{
    json_t *counts = json_object();
    for (int i = 0; i < g->nodes; ++i) {
        const char *op = g->node[i].op->name;
        json_object_set_new(counts, op, json_integer(json_integer_value(json_object_get(counts, op)) + 1));
    }
    return counts;
}

static json_t *layers_json(struct inspection *in, int *bad)
{
    struct layer *layers = NULL;
    int count = 0;
    *bad = graph_layers(in->graph, &layers, &count, in->e);
    json_t *list = json_array();
    for (int i = 0; i < count; ++i) {
        const struct layer *l = &layers[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:I}", "name", l->name, "op",
                                              in->graph->node[l->node].op->name, "shape",
                                              shape_json(&in->graph->value[l->weight].shape), "parameters",
                                              (json_int_t)l->parameters, "macs", (json_int_t)l->macs));
    }
    free(layers);
    return list;
}

static json_int_t macs(const struct graph *g)
{
    uint64_t sum = 0;
    for (int i = 0; i < g->nodes; ++i)
        if (g->node[i].op->macs)
            sum += g->node[i].op->macs(g, &g->node[i]);
    return (json_int_t)sum;
}

static int describe(struct inspection *in, json_t **out)
{
    const struct net_options training = { .batch = BATCH, .train = true };
    size_t bytes;
    int bad = net_bytes(in->graph, &training, &bytes, in->e);
    if (bad)
        return bad;
    json_t *layers = layers_json(in, &bad);
    json_t *all = json_pack("{s:s, s:i, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:I}", "format", "onnx", "opset",
                            in->info.opset, "ir_version", (json_int_t)in->info.ir_version, "inputs",
                            inputs_json(in), "outputs", outputs_json(in), "parameters",
                            (json_int_t)graph_trainable(in->graph), "macs", macs(in->graph), "operators",
                            operators_json(in->graph), "layers", layers, "memory_bytes", (json_int_t)bytes);
    if (all && in->assumed)
        json_object_set_new(all, "assumed_shape", shape_json(&in->graph->value[in->graph->input].shape));
    if (!all)
        return bad ? bad : err_set(in->e, ERR_NOMEM, "Out of memory");
    if (bad)
        json_decref(all);
    else
        *out = all;
    return bad;
}

int inspect_model(const void *data, size_t length, json_t **out, struct err *e)
{
    struct inspection in = { .e = e };
    struct shape sample;
    struct onnx_options options = { .batch = ONNX_BATCH_FREE };
    *out = NULL;
    int bad = onnx_info(data, length, &in.info, e);
    if (bad)
        return bad;
    in.assumed = assume(&in.info, &sample);
    if (in.assumed)
        options.sample = &sample;
    bad = onnx_import_with(data, length, &options, &in.graph, e);
    if (!bad)
        bad = describe(&in, out);
    graph_free(in.graph);
    return bad;
}
