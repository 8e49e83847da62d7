/* graph_edit.c - changes to a finished graph: put a node behind a value, give a layer a bias, copy the whole.
 */
#include "base/mem.h"
#include "worker/graph/graph.h"
#include "worker/graph/node.h"
#include "worker/op/op.h"

#include <stdlib.h>

/* Let node i read `to` where it read `from`. */
static void redirect(struct graph *g, int i, int from, int to)
{
    struct node *n = &g->node[i];
    for (int k = 0; k < n->inputs; k++)
        if (n->input[k] == from)
            n->input[k] = to;
}

/* The value that the new node makes: NODE.output, with a number when that is taken. */
static int add_output(struct graph *g, const char *name, struct err *e)
{
    char *text = mem_printf("%s.output", name);
    for (int i = 1; text && graph_find_value(g, text) >= 0; i++) {
        free(text);
        text = mem_printf("%s.output_%d", name, i);
    }
    int v = text ? graph_add_value(g, text, e) : err_set(e, ERR_NOMEM, "Out of memory for the network");
    free(text);
    return v;
}

int graph_insert(struct graph *g, int v, const char *op, const char *name, const int *extra, int extras,
                 const int *consumers, int consumer_count, struct err *e)
{
    int input[NODE_INPUTS] = { v };
    if (extras >= NODE_INPUTS)
        return err_set(e, ERR_INTERNAL, "%d inputs are more than a node can have", extras + 1);
    for (int i = 0; i < extras; i++)
        input[i + 1] = extra[i];
    int output = add_output(g, name, e);
    if (output < 0)
        return output;
    int made = graph_add_node(g, op, name, input, extras + 1, &output, 1, e);
    if (made < 0)
        return made;
    if (consumer_count >= 0) {
        for (int i = 0; i < consumer_count; i++)
            redirect(g, consumers[i], v, output);
        return made;
    }
    for (int i = 0; i < made; i++)
        redirect(g, i, v, output);
    for (int i = 0; i < g->outputs; i++)
        if (g->output[i] == v)
            g->output[i] = output;
    return made;
}

int graph_make_bias(struct graph *g, int node, int64_t channels, struct err *e)
{
    struct node *n = &g->node[node];
    const int at = n->op->bias;
    if (at < n->inputs && n->input[at] >= 0)
        return n->input[at];
    char *name = mem_printf("%s.bias", n->name);
    for (int i = 1; name && graph_find_value(g, name) >= 0; i++) {
        free(name);
        name = mem_printf("%s.bias%d", n->name, i);
    }
    const struct shape shape = { 1, { channels } };
    int bias = name ? graph_add_param(g, name, &shape, true, NULL, e)
                    : err_set(e, ERR_NOMEM, "Out of memory for the network");
    free(name);
    if (bias < 0)
        return bias;
    for (; n->inputs <= at; n->inputs++)
        n->input[n->inputs] = -1;
    n->input[at] = bias;
    return bias;
}

/* What the builder functions don't copy: the constant and the codes. */
static int copy_value(struct graph *to, const struct value *v, struct err *e)
{
    int i;
    if (v->kind == VALUE_INPUT) {
        i = graph_add_input(to, v->name, &v->shape, e);
    } else if (v->kind == VALUE_PARAM) {
        i = graph_add_param(to, v->name, &v->shape, v->trainable, NULL, e);
    } else if (v->kind == VALUE_CONST) {
        struct tensor *t = tensor_copy(v->constant);
        i = t ? graph_add_const(to, v->name, t, e) : err_set(e, ERR_NOMEM, "Out of memory for the network");
    } else {
        i = graph_add_value(to, v->name, e);
    }
    if (i < 0 || !v->codes)
        return i < 0 ? i : 0;
    to->value[i].codes = value_codes_copy(v->codes, (size_t)shape_count(&v->shape));
    return to->value[i].codes ? 0 : err_set(e, ERR_NOMEM, "Out of memory for the network");
}

static int copy_node(struct graph *to, const struct node *n, struct err *e)
{
    int i = graph_add_node(to, n->op->name, n->name, n->input, n->inputs, n->output, n->outputs, e);
    if (i < 0)
        return i;
    return node_copy_attrs(&to->node[i], n) < 0 ? err_set(e, ERR_NOMEM, "Out of memory for the network") : 0;
}

int graph_clone(const struct graph *g, struct graph **copy, struct err *e)
{
    int r = 0;
    struct graph *to = graph_new(g->name);
    if (!to)
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    to->opset = g->opset;
    to->batched = g->batched;
    to->batch_fixed_one = g->batch_fixed_one;
    to->input_nhwc = g->input_nhwc;
    to->size_open = g->size_open;
    for (int i = 0; i < g->values && r == 0; i++)
        r = copy_value(to, &g->value[i], e);
    for (int i = 0; i < g->nodes && r == 0; i++)
        r = copy_node(to, &g->node[i], e);
    if (r == 0) {
        if (g->param_count)
            memcpy(to->param, g->param, g->param_count * sizeof *g->param);
        to->outputs = g->outputs;
        memcpy(to->output, g->output, sizeof to->output);
    }
    if (r == 0 && g->finished)
        r = graph_finish(to, e);
    if (r < 0) {
        graph_free(to);
        return r;
    }
    *copy = to;
    return 0;
}
