/* graph_finish.c - from a bag of nodes to an ordered, checked network with shapes.
 *
 * mark what the outputs need -> order topologically -> drop the rest -> op->setup in order. */
#include "base/mem.h"
#include "worker/graph/graph.h"
#include "worker/graph/node.h"
#include "worker/op/op.h"

#include <stdlib.h>

/* Offsets inside a block of 16 samples must fit into an int. */
#define FEATURE_LIMIT ((int64_t)1 << 27)

struct finish {
    struct graph *g;
    bool *node_needed, *value_needed;
    char *colour;       /* of the search: 0 new, 1 open, 2 done */
    int *order, *stack; /* nodes */
    int *cursor;        /* per node: next input to look at */
    int *moved;         /* per value: its new index */
    int ordered;
};

static int node_error(struct err *e, const struct node *n)
{
    return err_at(e, "node %s (%s)", n->name, n->op->name);
}

static int finish_init(struct finish *f, struct graph *g, struct err *e)
{
    size_t nodes = (size_t)g->nodes + 1, values = (size_t)g->values + 1;
    *f = (struct finish){ .g = g };
    f->node_needed = mem_array(nodes, sizeof *f->node_needed);
    f->value_needed = mem_array(values, sizeof *f->value_needed);
    f->colour = mem_array(nodes, 1);
    f->order = mem_array(nodes, sizeof *f->order);
    f->stack = mem_array(nodes, sizeof *f->stack);
    f->cursor = mem_array(nodes, sizeof *f->cursor);
    f->moved = mem_array(values, sizeof *f->moved);
    if (!f->node_needed || !f->value_needed || !f->colour || !f->order || !f->stack || !f->cursor ||
        !f->moved)
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    return 0;
}

static void finish_deinit(struct finish *f)
{
    free(f->node_needed);
    free(f->value_needed);
    free(f->colour);
    free(f->order);
    free(f->stack);
    free(f->cursor);
    free(f->moved);
}

/* Input and outputs are there, no output twice. */
static int check_ends(const struct graph *g, struct err *e)
{
    if (g->input < 0)
        return err_set(e, ERR_INVALID, "The network has no input");
    if (g->outputs < 1)
        return err_set(e, ERR_INVALID, "The network has no output");
    for (int i = 0; i < g->outputs; i++) {
        const struct value *v = &g->value[g->output[i]];
        if (v->kind != VALUE_ACT)
            return err_set(e, ERR_UNSUPPORTED, "The output '%s' is made by no node", v->name);
        for (int k = 0; k < i; k++)
            if (g->output[k] == g->output[i])
                return err_set(e, ERR_INVALID, "The output '%s' is listed twice", v->name);
    }
    return 0;
}

static int need_value(struct finish *f, int v, int *depth)
{
    const struct value *value = &f->g->value[v];
    f->value_needed[v] = true;
    if (value->kind != VALUE_ACT)
        return 0;
    if (value->producer < 0)
        return ERR_INVALID;
    if (!f->node_needed[value->producer]) {
        f->node_needed[value->producer] = true;
        f->stack[(*depth)++] = value->producer;
    }
    return 0;
}

/* Backward from the outputs: every node and value on the way is needed. */
static int mark_needed(struct finish *f, struct err *e)
{
    struct graph *g = f->g;
    int depth = 0;
    f->value_needed[g->input] = true;
    for (int i = 0; i < g->outputs; i++)
        if (need_value(f, g->output[i], &depth) < 0)
            return err_set(e, ERR_INVALID, "The output '%s' is made by no node", g->value[g->output[i]].name);
    while (depth) {
        const struct node *n = &g->node[f->stack[--depth]];
        for (int i = 0; i < n->inputs; i++) {
            if (n->input[i] < 0 || need_value(f, n->input[i], &depth) == 0)
                continue;
            err_set(e, ERR_INVALID, "The input '%s' is made by no node", g->value[n->input[i]].name);
            return node_error(e, n);
        }
    }
    return 0;
}

/* The next producer that node i waits for, -1 when all are done. */
static int next_wait(struct finish *f, int i)
{
    const struct node *n = &f->g->node[i];
    while (f->cursor[i] < n->inputs) {
        int v = n->input[f->cursor[i]++];
        int producer = v >= 0 ? f->g->value[v].producer : -1;
        if (producer >= 0 && f->colour[producer] != 2)
            return producer;
    }
    return -1;
}

/* Depth-first with our own stack: a file decides how deep it goes. */
static int visit(struct finish *f, int root, struct err *e)
{
    int depth = 0;
    f->stack[depth++] = root;
    f->colour[root] = 1;
    while (depth) {
        int i = f->stack[depth - 1], wait = next_wait(f, i);
        if (wait < 0) {
            f->colour[i] = 2;
            f->order[f->ordered++] = i;
            depth--;
        } else if (f->colour[wait] == 1) {
            err_set(e, ERR_INVALID, "The node is part of a cycle");
            return node_error(e, &f->g->node[wait]);
        } else {
            f->colour[wait] = 1;
            f->stack[depth++] = wait;
        }
    }
    return 0;
}

static int sort_nodes(struct finish *f, struct err *e)
{
    for (int i = 0; i < f->g->nodes; i++) {
        if (!f->node_needed[i] || f->colour[i])
            continue;
        int r = visit(f, i, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Outputs at the end of a node's list that nobody reads are not made at all (Dropout's mask); one before a
 * needed output stays. */
static void trim_outputs(struct finish *f)
{
    for (int i = 0; i < f->ordered; i++) {
        struct node *n = &f->g->node[f->order[i]];
        while (n->outputs > 1 && !n->op->all_outputs && !f->value_needed[n->output[n->outputs - 1]])
            n->outputs--;
        for (int k = 0; k < n->outputs; k++)
            f->value_needed[n->output[k]] = true;
    }
}

static int compact_nodes(struct finish *f, struct err *e)
{
    struct graph *g = f->g;
    struct node *kept = mem_array((size_t)f->ordered, sizeof *kept);
    if (!kept)
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    names_clear(&g->node_names);
    for (int i = 0; i < f->ordered; i++)
        kept[i] = g->node[f->order[i]];
    for (int i = 0; i < g->nodes; i++)
        if (!f->node_needed[i])
            node_free(&g->node[i]);
    free(g->node);
    g->node = kept;
    g->nodes = g->nodes_capacity = f->ordered;
    for (int i = 0; i < g->nodes; i++)
        if (names_put(&g->node_names, kept[i].name, i) < 0)
            return err_set(e, ERR_NOMEM, "Out of memory for the network");
    return 0;
}

/* Close the gaps that dropped parameters left; values are in the order of their offsets. */
static void compact_params(struct graph *g)
{
    size_t end = 0;
    for (int i = 0; i < g->values; i++) {
        struct value *v = &g->value[i];
        if (v->kind != VALUE_PARAM)
            continue;
        size_t length = ((size_t)shape_count(&v->shape) + 15) / 16 * 16;
        if (v->offset != end && !g->hollow)
            memmove(g->param + end, g->param + v->offset, length * sizeof *g->param);
        v->offset = end;
        end += length;
    }
    g->param_count = end;
}

static int compact_values(struct finish *f, struct err *e)
{
    struct graph *g = f->g;
    int kept = 0;
    names_clear(&g->value_names);
    for (int i = 0; i < g->values; i++) {
        f->moved[i] = kept;
        if (!f->value_needed[i]) {
            value_free(&g->value[i]);
            continue;
        }
        g->value[kept] = g->value[i];
        g->value[kept].producer = -1;
        if (names_put(&g->value_names, g->value[kept].name, kept) < 0)
            return err_set(e, ERR_NOMEM, "Out of memory for the network");
        kept++;
    }
    g->values = kept;
    g->input = f->moved[g->input];
    for (int i = 0; i < g->outputs; i++)
        g->output[i] = f->moved[g->output[i]];
    for (int i = 0; i < g->nodes; i++) {
        struct node *n = &g->node[i];
        for (int k = 0; k < n->inputs; k++)
            n->input[k] = n->input[k] < 0 ? -1 : f->moved[n->input[k]];
        for (int k = 0; k < n->outputs; k++) {
            n->output[k] = f->moved[n->output[k]];
            g->value[n->output[k]].producer = i;
        }
    }
    compact_params(g);
    return 0;
}

/* Only operators that compute nothing read an empty value. */
static int check_inputs(const struct graph *g, const struct node *n, struct err *e)
{
    for (int i = 0; i < n->inputs && !n->op->pass_shape_only; i++) {
        const struct value *v = n->input[i] >= 0 ? &g->value[n->input[i]] : NULL;
        if (v && v->kind != VALUE_CONST && shape_count(&v->shape) == 0)
            return err_set(e, ERR_UNSUPPORTED, "The input '%s' is empty", v->name);
    }
    return 0;
}

static int setup_node(struct graph *g, struct node *n, struct err *e)
{
    char text[128];
    node_reset(n);
    int r = check_inputs(g, n, e);
    if (r == 0)
        r = n->op->setup(g, n, e);
    if (r < 0)
        return e && e->code ? e->code : r;
    for (int i = 0; i < n->outputs; i++) {
        const struct value *v = &g->value[n->output[i]];
        int64_t count = shape_count(&v->shape);
        shape_text(&v->shape, text, sizeof text);
        if (count == 0 && g->batched)
            return err_set(e, ERR_INVALID, "The output '%s' would be empty (%s)", v->name, text);
        if (count < 0 || count > FEATURE_LIMIT)
            return err_set(e, ERR_TOO_LARGE, "The output '%s' would be too large (%s)", v->name, text);
    }
    return 0;
}

static int setup_nodes(struct graph *g, struct err *e)
{
    const struct value *input = &g->value[g->input];
    int64_t count = shape_count(&input->shape);
    if (count < (g->batched ? 1 : 0) || count > FEATURE_LIMIT)
        return err_set(e, ERR_UNSUPPORTED, "The input '%s' is empty or too large", input->name);
    for (int i = 0; i < g->nodes; i++) {
        int r = setup_node(g, &g->node[i], e);
        if (r < 0) {
            node_error(e, &g->node[i]);
            return r;
        }
    }
    return 0;
}

int graph_finish(struct graph *g, struct err *e)
{
    struct finish f = { 0 };
    g->finished = false;
    int r = check_ends(g, e);
    if (r == 0)
        r = finish_init(&f, g, e);
    if (r == 0)
        r = mark_needed(&f, e);
    if (r == 0)
        r = sort_nodes(&f, e);
    if (r == 0) {
        trim_outputs(&f);
        r = compact_nodes(&f, e);
    }
    if (r == 0)
        r = compact_values(&f, e);
    if (r == 0)
        r = setup_nodes(g, e);
    g->finished = r == 0;
    finish_deinit(&f);
    return r;
}
