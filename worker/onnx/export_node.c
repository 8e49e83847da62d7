/* export_node.c - NodeProto and its attributes. */
#include "worker/onnx/export.h"

enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, GRAPH_NODE = 1 };
enum {
    ATTR_NAME = 1,
    ATTR_F = 2,
    ATTR_I = 3,
    ATTR_S = 4,
    ATTR_FLOAT_LIST = 7,
    ATTR_INT_LIST = 8,
    ATTR_KIND = 20
};

static void put_attr(struct buf *node, const struct attr *a)
{
    static const int kinds[] = {
        [ATTR_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [ATTR_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
        [ATTR_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [ATTR_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [ATTR_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
    };
    struct buf b;
    buf_init(&b, node->limit);
    pb_put_text(&b, ATTR_NAME, a->name);
    if (a->type == ATTR_FLOAT)
        pb_put_float(&b, ATTR_F, (float)a->f);
    else if (a->type == ATTR_INT)
        pb_put_int(&b, ATTR_I, a->i);
    else if (a->type == ATTR_STRING)
        pb_put_text(&b, ATTR_S, a->s);
    for (size_t i = 0; a->type == ATTR_FLOATS && i < a->count; ++i)
        pb_put_float(&b, ATTR_FLOAT_LIST, (float)a->floats[i]);
    for (size_t i = 0; a->type == ATTR_INTS && i < a->count; ++i)
        pb_put_int(&b, ATTR_INT_LIST, a->ints[i]);
    pb_put_int(&b, ATTR_KIND, kinds[a->type]);
    pb_put_message(node, NODE_ATTRIBUTE, &b);
}

void export_put_node(struct export *x, const struct export_node *n)
{
    struct buf b;
    buf_init(&b, x->nodes.limit);
    for (int i = 0; i < n->inputs; ++i)
        pb_put_text(&b, NODE_INPUT, n->input[i] ? n->input[i] : "");
    for (int i = 0; i < n->outputs; ++i)
        pb_put_text(&b, NODE_OUTPUT, n->output[i]);
    pb_put_text(&b, NODE_NAME, n->name);
    pb_put_text(&b, NODE_OP, n->op);
    for (size_t i = 0; i < n->attrs; ++i)
        put_attr(&b, &n->attr[i]);
    pb_put_message(&x->nodes, GRAPH_NODE, &b);
}
