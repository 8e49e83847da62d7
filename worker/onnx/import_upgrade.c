/* import_upgrade.c - what an operator's attributes and inputs meant at the file's opset, said as opset 13
 * says it. The operators then have one form to read and the exporter one to write. */
#include "worker/onnx/import.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

/* Attributes that became inputs. */
static const struct to_input {
    const char *op, *attr;
    int before; /* the first opset that has it as input */
    int input;
} to_inputs[] = {
    { "Clip", "min", 11, 1 },     { "Clip", "max", 11, 2 },       { "Dropout", "ratio", 12, 1 },
    { "Pad", "pads", 11, 1 },     { "Pad", "value", 11, 2 },      { "Slice", "starts", 10, 1 },
    { "Slice", "ends", 10, 2 },   { "Slice", "axes", 10, 3 },     { "Split", "split", 13, 1 },
    { "Squeeze", "axes", 13, 1 }, { "Unsqueeze", "axes", 13, 1 },
};

/* Inputs that were attributes at opset 13. */
static const struct to_attr {
    const char *op, *attr;
    int since;
    int input;
} to_attrs[] = {
    { "ReduceMean", "axes", 18, 1 },
};

/* Attributes that came later or went before, at the value that changes nothing. Other values stay, and the
 * operator says that it does not know them. */
static const struct neutral {
    const char *op, *attr;
    int64_t value;
} neutrals[] = {
    { "BatchNormalization", "spatial", 1 },  { "BatchNormalization", "training_mode", 0 },
    { "DequantizeLinear", "block_size", 0 }, { "DequantizeLinear", "output_dtype", 0 },
    { "MaxPool", "storage_order", 0 },       { "QuantizeLinear", "block_size", 0 },
    { "QuantizeLinear", "output_dtype", 0 }, { "QuantizeLinear", "precision", 0 },
    { "QuantizeLinear", "saturate", 1 },     { "ReduceMean", "noop_with_empty_axes", 0 },
    { "Reshape", "allowzero", 0 },           { "Resize", "antialias", 0 },
};

static void drop_attr(struct node *n, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->attrs; ++i) {
        struct attr *a = &n->attr[i];
        if (strcmp(a->name, name) != 0) {
            n->attr[kept++] = *a;
            continue;
        }
        free(a->name);
        free(a->s);
        free(a->ints);
        free(a->floats);
        tensor_free(a->tensor);
    }
    n->attrs = kept;
}

/* A constant of the graph with a name that is in nobody's way: index or negative error. */
static int add_const(struct import *im, const struct node *n, const char *what, struct tensor *t)
{
    char *name = mem_printf("%s.%s", n->name, what);
    while (name && (graph_find_value(im->graph, name) >= 0 || symbol_find(&im->symbols, name))) {
        char *longer = mem_printf("%s_", name);
        free(name);
        name = longer;
    }
    if (!name) {
        tensor_free(t);
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    }
    const int v = graph_add_const(im->graph, name, t, im->e);
    free(name);
    return v;
}

static int attr_to_input(struct import *im, struct node *n, const struct to_input *u)
{
    const struct attr *a = node_attr(n, u->attr);
    if (!a)
        return 0;
    struct tensor *t = NULL;
    int bad;
    if (a->type == ATTR_FLOAT)
        bad = constant_float((float)a->f, &t, im->e);
    else if (a->type == ATTR_INTS)
        bad = constant_ints(a->ints, a->count, &t, im->e);
    else
        bad = err_set(im->e, ERR_INVALID, "Its attribute '%s' has the wrong type", u->attr);
    if (bad)
        return bad;
    const int v = add_const(im, n, u->attr, t);
    if (v < 0)
        return v;
    while (n->inputs <= u->input)
        n->input[n->inputs++] = -1;
    n->input[u->input] = v;
    drop_attr(n, u->attr);
    return 0;
}

static int input_to_attr(struct import *im, struct node *n, const struct to_attr *u)
{
    if (n->inputs <= u->input || n->input[u->input] < 0)
        return 0;
    const struct tensor *t = im->graph->value[n->input[u->input]].constant;
    if (!t || t->dtype != DTYPE_INT64)
        return err_set(im->e, ERR_UNSUPPORTED, "Its '%s' are not known from the file", u->attr);
    n->inputs = u->input;
    return node_set_ints(n, u->attr, t->data, (size_t)constant_count(t))
               ? err_set(im->e, ERR_NOMEM, "Out of memory")
               : 0;
}

/* Before opset 13 Softmax ran over the given axis and all behind it. At most one of them may be longer
 * than 1. */
static int softmax(struct import *im, struct node *n)
{
    const int bad = import_infer(im, (int)(n - im->graph->node));
    if (bad)
        return bad;
    const struct shape *s = &im->graph->value[n->input[0]].shape;
    const int batch = im->graph->batched, rank = s->rank + batch;
    int64_t axis = node_int(n, "axis", 1);
    axis = axis < 0 ? axis + rank : axis;
    if (axis < batch || axis >= rank)
        return err_set(im->e, ERR_INVALID, "Its axis is out of range");
    int64_t chosen = -1;
    for (int64_t a = axis; a < rank; ++a) {
        if (s->dim[a - batch] == 1)
            continue;
        if (chosen >= 0)
            return err_set(im->e, ERR_UNSUPPORTED, "Softmax over several axes is not supported");
        chosen = a;
    }
    return node_set_int(n, "axis", chosen < 0 ? axis : chosen) ? err_set(im->e, ERR_NOMEM, "Out of memory")
                                                               : 0;
}

/* Before opset 11: no region of interest in between, and pixels are counted from the corner. Before 10 the
 * scales may be an attribute. */
static int resize(struct import *im, struct node *n)
{
    const struct attr *a = node_attr(n, "scales"), *policy = node_attr(n, "keep_aspect_ratio_policy");
    if (policy && policy->type == ATTR_STRING && strcmp(policy->s, "stretch") == 0)
        drop_attr(n, "keep_aspect_ratio_policy");
    if (im->opset >= 11)
        return 0;
    int scales = n->inputs > 1 ? n->input[1] : -1;
    if (a && a->type == ATTR_FLOATS) {
        struct tensor *t;
        const struct shape shape = { .rank = 1, .dim = { (int64_t)a->count } };
        const int bad = constant_new(DTYPE_FLOAT, &shape, &t, im->e);
        if (bad)
            return bad;
        for (size_t i = 0; i < a->count; ++i)
            ((float *)t->data)[i] = (float)a->floats[i];
        scales = add_const(im, n, "scales", t);
        drop_attr(n, "scales");
    }
    if (scales < 0)
        return err_set(im->e, ERR_INVALID, "Its scales are missing");
    n->input[1] = -1;
    n->input[2] = scales;
    n->inputs = 3;
    if (node_set_string(n, "coordinate_transformation_mode", "asymmetric") ||
        node_set_string(n, "nearest_mode", "floor"))
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    return 0;
}

/* A shape without zeros means the same with and without allowzero. */
static int reshape(struct import *im, struct node *n)
{
    const struct tensor *t =
        n->inputs > 1 && n->input[1] >= 0 ? im->graph->value[n->input[1]].constant : NULL;
    if (node_int(n, "allowzero", 0) == 0 || !t || !im->graph->batched)
        return 0;
    const int64_t count = constant_count(t);
    for (int64_t i = 0; i < count; ++i)
        if (tensor_integer(t, i) == 0)
            return err_set(im->e, ERR_UNSUPPORTED, "A shape with an axis of length 0");
    drop_attr(n, "allowzero");
    return 0;
}

static int special(struct import *im, struct node *n)
{
    if (strcmp(n->op->name, "Softmax") == 0 && im->opset < 13 && n->inputs > 0 && n->input[0] >= 0)
        return softmax(im, n);
    if (strcmp(n->op->name, "Reshape") == 0)
        return reshape(im, n);
    if (strcmp(n->op->name, "Resize") == 0)
        return resize(im, n);
    if (strcmp(n->op->name, "Pad") == 0 && n->inputs > 3)
        return err_set(im->e, ERR_UNSUPPORTED, "Its input 'axes' is not supported");
    if (strcmp(n->op->name, "Split") == 0 && node_int(n, "num_outputs", 0) == n->outputs)
        drop_attr(n, "num_outputs");
    return 0;
}

int import_upgrade(struct import *im, int node)
{
    struct node *n = &im->graph->node[node];
    int bad = 0;
    for (size_t i = 0; i < sizeof to_inputs / sizeof *to_inputs && !bad; ++i)
        if (im->opset < to_inputs[i].before && strcmp(to_inputs[i].op, n->op->name) == 0)
            bad = attr_to_input(im, n, &to_inputs[i]);
    for (size_t i = 0; i < sizeof to_attrs / sizeof *to_attrs && !bad; ++i)
        if (im->opset >= to_attrs[i].since && strcmp(to_attrs[i].op, n->op->name) == 0)
            bad = input_to_attr(im, n, &to_attrs[i]);
    for (size_t i = 0; i < sizeof neutrals / sizeof *neutrals; ++i)
        if (strcmp(neutrals[i].op, n->op->name) == 0 &&
            node_int(n, neutrals[i].attr, ~neutrals[i].value) == neutrals[i].value)
            drop_attr(n, neutrals[i].attr);
    return bad ? bad : special(im, n);
}
