/* export.c - graph to ONNX file. */
#include "worker/onnx/export.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 7, OPSET = 13 };
#define FILE_LIMIT ((size_t)INT32_MAX) /* protobuf's own */

/* Field numbers of the schema. */
enum {
    MODEL_IR = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_META = 14
};
enum { GRAPH_NAME = 2, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { OPSET_VERSION = 2, META_KEY = 1, META_VALUE = 2 };
enum {
    PORT_NAME = 1,
    PORT_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_ELEMENT = 1,
    TENSOR_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};

/* Operators that are younger than opset 13. */
static const struct {
    const char *op;
    int opset;
} young[] = {
    { "HardSwish", 14 },
};

static int opset_of(const struct graph *g)
{
    int opset = OPSET;
    for (int i = 0; i < g->nodes; ++i)
        for (size_t k = 0; k < sizeof young / sizeof *young; ++k)
            if (strcmp(young[k].op, g->node[i].op->name) == 0 && young[k].opset > opset)
                opset = young[k].opset;
    return opset;
}

char *export_name(const struct export *x, const char *name, const char *ending)
{
    char *made = mem_printf("%s%s", name, ending);
    while (made && graph_find_value(x->graph, made) >= 0) {
        char *longer = mem_printf("%s_", made);
        free(made);
        made = longer;
    }
    return made;
}

/* --- nodes ------------------------------------------------------------------------------------------------
 */

/* Everything the node reads that is no activation, unless it is in the file already. */
static int put_inputs(struct export *x, const struct node *n)
{
    for (int i = 0; i < n->inputs; ++i) {
        const int v = n->input[i];
        const struct value *value = v < 0 ? NULL : &x->graph->value[v];
        if (!value || value->kind == VALUE_ACT || value->kind == VALUE_INPUT || x->written[v])
            continue;
        x->written[v] = true;
        if (value->kind == VALUE_CONST || !value->codes) {
            export_put_value(x, value);
            continue;
        }
        const int bad = value->codes->planes ? export_planes(x, value) : export_codes(x, value);
        if (bad)
            return bad;
    }
    return 0;
}

static int put_node(struct export *x, const struct node *n)
{
    if (strcmp(n->op->name, "QuantdFakeQuant") == 0)
        return export_fake_quant(x, n);
    if (strcmp(n->op->name, "QuantdLevels") == 0)
        return export_levels(x, n);
    if (strncmp(n->op->name, "Quantd", 6) == 0)
        return err_set(x->e, ERR_UNSUPPORTED, "ONNX has no operator for it");
    for (size_t i = 0; i < n->attrs; ++i)
        if (n->attr[i].type == ATTR_TENSOR)
            return err_set(x->e, ERR_UNSUPPORTED, "Its attribute '%s' is a tensor", n->attr[i].name);
    const int bad = put_inputs(x, n);
    if (bad)
        return bad;
    struct export_node out = { .op = n->op->name,
                               .name = n->name,
                               .inputs = n->inputs,
                               .outputs = n->outputs,
                               .attr = n->attr,
                               .attrs = n->attrs };
    for (int i = 0; i < n->inputs; ++i)
        out.input[i] = n->input[i] < 0 ? NULL : x->graph->value[n->input[i]].name;
    for (int i = 0; i < n->outputs; ++i)
        out.output[i] = x->graph->value[n->output[i]].name;
    export_put_node(x, &out);
    return 0;
}

static int put_nodes(struct export *x)
{
    for (int i = 0; i < x->graph->nodes; ++i) {
        const struct node *n = &x->graph->node[i];
        const int bad = put_node(x, n);
        if (bad) {
            err_at(x->e, "node %s (%s)", n->name, n->op->name);
            return bad;
        }
    }
    return 0;
}

/* --- inputs, outputs, the frame ---------------------------------------------------------------------------
 */

/* An axis of that size, or an open one with that name. */
static void put_dim(struct buf *shape, int64_t size, const char *name)
{
    struct buf dim;
    buf_init(&dim, shape->limit);
    if (name)
        pb_put_text(&dim, DIM_PARAM, name);
    else
        pb_put_int(&dim, DIM_VALUE, size);
    pb_put_message(shape, SHAPE_DIM, &dim);
}

/* Height and width of an image, where they are free; NULL for any other axis. */
static const char *open_axis(const struct graph *g, const struct value *v, int axis)
{
    static const char *const names[2][2] = { { "H", "W" }, { "out_H", "out_W" } };
    const struct shape *in = &g->value[g->input].shape;
    if (!g->size_open || v->shape.rank != 3 || axis == 0)
        return NULL;
    return names[v->shape.dim[axis] != in->dim[axis]][axis - 1];
}

/* A ValueInfoProto: name, float, shape with the batch axis in front. */
static void put_port(struct buf *graph, unsigned number, const struct graph *g, const struct value *v)
{
    struct buf shape, tensor, type, port;
    buf_init(&shape, graph->limit);
    buf_init(&tensor, graph->limit);
    buf_init(&type, graph->limit);
    buf_init(&port, graph->limit);
    if (g->batched)
        put_dim(&shape, 1, g->batch_fixed_one ? NULL : "N");
    for (int a = 0; a < v->shape.rank; ++a)
        put_dim(&shape, v->shape.dim[a], open_axis(g, v, a));
    pb_put_int(&tensor, TENSOR_ELEMENT, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    pb_put_message(&tensor, TENSOR_SHAPE, &shape);
    pb_put_message(&type, TYPE_TENSOR, &tensor);
    pb_put_text(&port, PORT_NAME, v->name);
    pb_put_message(&port, PORT_TYPE, &type);
    pb_put_message(graph, number, &port);
}

/* The GraphProto: nodes, name, initializers, ports. */
static void put_graph(struct buf *graph, struct export *x)
{
    const struct graph *g = x->graph;
    buf_append(graph, x->nodes.data, x->nodes.length);
    pb_put_text(graph, GRAPH_NAME, g->name && *g->name ? g->name : "network");
    buf_append(graph, x->initializers.data, x->initializers.length);
    graph->failed |= x->nodes.failed || x->initializers.failed;
    buf_free(&x->initializers); /* the weights: not three times in memory */
    put_port(graph, GRAPH_INPUT, g, &g->value[g->input]);
    for (int i = 0; i < g->outputs; ++i)
        put_port(graph, GRAPH_OUTPUT, g, &g->value[g->output[i]]);
}

static void put_model(struct buf *model, struct export *x, const struct onnx_meta *meta, size_t metas)
{
    struct buf graph, opset, entry;
    buf_init(&graph, FILE_LIMIT);
    put_graph(&graph, x);
    pb_put_int(model, MODEL_IR, IR_VERSION);
    pb_put_text(model, MODEL_PRODUCER, "quantd");
    pb_put_text(model, MODEL_PRODUCER_VERSION, QUANTD_VERSION);
    pb_put_message(model, MODEL_GRAPH, &graph);
    buf_init(&opset, FILE_LIMIT);
    pb_put_int(&opset, OPSET_VERSION, opset_of(x->graph));
    pb_put_message(model, MODEL_OPSET, &opset);
    for (size_t i = 0; i < metas; ++i) {
        buf_init(&entry, FILE_LIMIT);
        pb_put_text(&entry, META_KEY, meta[i].key);
        pb_put_text(&entry, META_VALUE, meta[i].value);
        pb_put_message(model, MODEL_META, &entry);
    }
}

int onnx_export(const struct graph *g, const struct onnx_meta *meta, size_t metas, char **data,
                size_t *length, struct err *e)
{
    struct export x = { .graph = g, .e = e };
    struct buf model;
    buf_init(&x.nodes, FILE_LIMIT);
    buf_init(&x.initializers, FILE_LIMIT);
    buf_init(&model, FILE_LIMIT);
    *data = NULL;
    x.written = mem_array((size_t)g->values, sizeof *x.written);
    int bad = x.written ? put_nodes(&x) : err_set(e, ERR_NOMEM, "Out of memory");
    if (!bad) {
        put_model(&model, &x, meta, metas);
        if (model.failed)
            bad = err_set(e, ERR_NOMEM, "Out of memory for the file, or it would pass 2 GiB");
    }
    if (!bad) {
        *length = model.length;
        *data = buf_take(&model);
    }
    free(x.written);
    buf_free(&x.nodes);
    buf_free(&x.initializers);
    buf_free(&model);
    return bad;
}
