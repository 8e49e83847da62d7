/* import_node.c - a node that stays: its inputs enter the graph as parameters or constants, its attributes
 * are copied. */
#include "worker/onnx/import.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

enum role { ROLE_WEIGHT, ROLE_FROZEN, ROLE_CONST };

/* Floats that are not weights. Everything else of type float is one; what is not float is a constant. */
static const struct {
    const char *op;
    unsigned inputs; /* bit i: input i */
    enum role role;
} roles[] = {
    { "BatchNormalization", 1u << 3 | 1u << 4, ROLE_FROZEN }, /* running mean and variance */
    { "Clip", 1u << 1 | 1u << 2, ROLE_CONST },
    { "DequantizeLinear", 1u << 1 | 1u << 2, ROLE_CONST },
    { "Dropout", 1u << 1 | 1u << 2, ROLE_CONST },
    { "Pad", 1u << 2, ROLE_CONST },
    { "QuantizeLinear", 1u << 1 | 1u << 2, ROLE_CONST },
    { "Resize", 1u << 1 | 1u << 2, ROLE_CONST },
    { "Upsample", 1u << 1, ROLE_CONST },
};

/* A single number in these is part of a formula (x / 255, x + 3), nothing to train. */
static const char *const formulas[] = { "Add", "Sub", "Mul", "Div", "Pow" };

static enum role role_of(const char *op, int input, const struct tensor *t)
{
    if (t->dtype != DTYPE_FLOAT)
        return ROLE_CONST;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; ++i)
        if (strcmp(roles[i].op, op) == 0 && (roles[i].inputs >> input & 1))
            return roles[i].role;
    for (size_t i = 0; i < sizeof formulas / sizeof *formulas; ++i)
        if (strcmp(formulas[i], op) == 0 && constant_count(t) == 1)
            return ROLE_FROZEN;
    return ROLE_WEIGHT;
}

/* The size of the batch may be handed to Reshape only, and only as the first axis: there 0 says "as it is".
 */
static int check_batch(struct import *im, const char *op, int input, const struct tensor *t)
{
    const bool fine = strcmp(op, "Reshape") == 0 && input == 1;
    const int64_t count = t->dtype == DTYPE_INT64 ? constant_count(t) : 0;
    for (int64_t i = fine ? 1 : 0; i < count; ++i)
        if (tensor_integer(t, i) == BATCH_SIZE)
            return err_set(im->e, ERR_UNSUPPORTED, "It uses the size of the batch as a number");
    return 0;
}

static int enter_const(struct import *im, struct symbol *s, const char *name)
{
    struct tensor *copy = tensor_copy(s->tensor);
    if (!copy)
        return err_set(im->e, ERR_NOMEM, "Out of memory for constant '%s'", s->name);
    if (copy->dtype == DTYPE_INT64 && constant_count(copy) > 0 && tensor_integer(copy, 0) == BATCH_SIZE)
        constant_set_int(copy, 0, 0);
    return graph_add_const(im->graph, name, copy, im->e);
}

static int enter_param(struct import *im, struct symbol *s, bool trainable, const char *name)
{
    const int v = graph_add_param(im->graph, name, &s->tensor->shape, trainable, s->tensor->data, im->e);
    if (v >= 0) {
        im->graph->value[v].codes = s->codes;
        s->codes = NULL;
    }
    return v;
}

/* A known tensor as a value of the graph: index or negative error. The same name cannot serve as parameter
 * and as constant: the second to come gets an ending. */
static int enter(struct import *im, struct symbol *s, const char *op, int input)
{
    const int bad = check_batch(im, op, input, s->tensor);
    if (bad)
        return bad;
    const enum role role = role_of(op, input, s->tensor);
    int *entered = role == ROLE_CONST ? &s->constant : &s->param;
    if (*entered >= 0) {
        if (role == ROLE_WEIGHT)
            im->graph->value[*entered].trainable = true;
        return *entered;
    }
    const bool second = s->constant >= 0 || s->param >= 0;
    char *name = mem_printf("%s%s", s->name, !second ? "" : role == ROLE_CONST ? "_const" : "_param");
    if (!name)
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    *entered = role == ROLE_CONST ? enter_const(im, s, name) : enter_param(im, s, role == ROLE_WEIGHT, name);
    free(name);
    return *entered;
}

static int node_inputs(struct import *im, const Onnx__NodeProto *p, int input[NODE_INPUTS], int *inputs)
{
    *inputs = 0;
    for (size_t i = 0; i < p->n_input; ++i) {
        input[i] = -1;
        if (!*p->input[i])
            continue;
        struct symbol *s = symbol_find(&im->symbols, p->input[i]);
        const struct tensor *known;
        const int bad = symbol_tensor(s, &known, im->e);
        if (bad)
            return bad;
        input[i] = known ? enter(im, s, p->op_type, (int)i) : import_value(im, s);
        if (input[i] < 0)
            return input[i];
        *inputs = (int)i + 1;
    }
    return 0;
}

/* Outputs at the end that nobody reads (a mask, indices, statistics) are not made. */
static int node_outputs(struct import *im, const Onnx__NodeProto *p, const struct op *op, const char *name,
                        int output[NODE_OUTPUTS], int *outputs)
{
    *outputs = op->all_outputs ? (int)p->n_output : 0;
    for (size_t i = 0; i < p->n_output; ++i) {
        const struct symbol *s = *p->output[i] ? symbol_find(&im->symbols, p->output[i]) : NULL;
        if (s && s->readers > 0 && !op->all_outputs)
            *outputs = (int)i + 1;
    }
    for (int i = 0; i < *outputs; ++i) {
        struct symbol *s = *p->output[i] ? symbol_find(&im->symbols, p->output[i]) : NULL;
        char *made = s ? NULL : mem_printf("%s.output_%d", name, i);
        output[i] = graph_add_value(im->graph, s ? s->name : made, im->e);
        free(made);
        if (output[i] < 0)
            return output[i];
        if (s)
            s->value = output[i];
    }
    return 0;
}

/* Until opset 9 there was an operator for the simplest case of Resize. */
static const char *operator_of(const struct import *im, const Onnx__NodeProto *p)
{
    return im->opset < 10 && strcmp(p->op_type, "Upsample") == 0 ? "Resize" : p->op_type;
}

static int known_operator(struct import *im, const Onnx__NodeProto *p, const struct op **op)
{
    *op = op_find(operator_of(im, p));
    if (p->domain && *p->domain && strcmp(p->domain, "ai.onnx") != 0)
        return err_set(im->e, ERR_UNSUPPORTED, "Operators of the domain '%s' are not supported", p->domain);
    /* the training core's own operators are nothing that a file may ask for */
    if (strncmp(p->op_type, "Quantd", 6) == 0 || !*op)
        return err_set(im->e, ERR_UNSUPPORTED, "The operator %s is not supported", p->op_type);
    if (p->n_input > NODE_INPUTS || p->n_output > NODE_OUTPUTS)
        return err_set(im->e, ERR_UNSUPPORTED, "%zu inputs and %zu outputs; at most %d and %d are supported",
                       p->n_input, p->n_output, NODE_INPUTS, NODE_OUTPUTS);
    return 0;
}

int import_node(struct import *im, const Onnx__NodeProto *p, int index)
{
    int input[NODE_INPUTS], output[NODE_OUTPUTS], inputs, outputs;
    const struct op *op;
    int bad = known_operator(im, p, &op);
    if (bad)
        return bad;
    char *name = p->name && *p->name ? mem_strdup(p->name) : mem_printf("%s_%d", p->op_type, index);
    if (!name)
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    bad = node_inputs(im, p, input, &inputs);
    if (!bad)
        bad = node_outputs(im, p, op, name, output, &outputs);
    const int made =
        bad ? bad : graph_add_node(im->graph, op->name, name, input, inputs, output, outputs, im->e);
    free(name);
    if (made < 0)
        return made;
    for (size_t i = 0; i < p->n_attribute && !bad; ++i)
        bad = import_attr_copy(p->attribute[i], &im->graph->node[made], im->e);
    return bad ? bad : import_upgrade(im, made);
}

int import_infer(struct import *im, int nodes)
{
    struct graph *g = im->graph;
    for (; im->inferred < nodes; ++im->inferred) {
        struct node *n = &g->node[im->inferred];
        const int bad = n->op->setup(g, n, im->e);
        if (bad) {
            err_at(im->e, "node %s (%s)", n->name, n->op->name);
            return bad;
        }
    }
    return 0;
}
