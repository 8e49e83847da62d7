#include "worker/graph/graph.h"

#include "base/mem.h"
#include "worker/graph/node.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>

#define SHAPE_LIMIT ((int64_t)1 << 40)

/* Parameters start at multiples of this many elements: whole vectors, no false sharing between gradients. */
enum { PARAM_ALIGN = 16, PARAM_LARGE = 1 << 20 };

int64_t shape_count(const struct shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0 || (s->dim[i] && count > SHAPE_LIMIT / s->dim[i]))
            return -1;
        count *= s->dim[i];
    }
    return count;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

void shape_text(const struct shape *s, char *out, size_t size)
{
    size_t used = 0;
    if (size)
        snprintf(out, size, "%s", s->rank ? "" : "scalar");
    for (int i = 0; i < s->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, i ? "x%lld" : "%lld", (long long)s->dim[i]);
}

struct graph *graph_new(const char *name)
{
    struct graph *g = mem_alloc(sizeof *g);
    if (!g)
        return NULL;
    *g = (struct graph){ .opset = 13, .batched = true, .input = -1 };
    g->name = mem_strdup(name ? name : "");
    if (!g->name) {
        free(g);
        return NULL;
    }
    return g;
}

void value_free(struct value *v)
{
    free(v->name);
    tensor_free(v->constant);
    value_codes_free(v->codes);
    *v = (struct value){ 0 };
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->nodes; i++)
        node_free(&g->node[i]);
    for (int i = 0; i < g->values; i++)
        value_free(&g->value[i]);
    names_free(&g->value_names);
    names_free(&g->node_names);
    free(g->node);
    free(g->value);
    free(g->param);
    free(g->name);
    free(g);
}

int graph_find_value(const struct graph *g, const char *name)
{
    return names_find(&g->value_names, name);
}

int graph_find_node(const struct graph *g, const char *name)
{
    return names_find(&g->node_names, name);
}

/* The list with room for one more element (capacities double), NULL on failure. */
static void *reserve(void *list, int *capacity, int count, int limit, size_t size, struct err *e)
{
    if (count < *capacity)
        return list;
    int more = *capacity ? 2 * *capacity : 32;
    void *grown = count < limit ? mem_grow(list, (size_t)more, size) : NULL;
    if (grown)
        *capacity = more;
    else if (count >= limit)
        err_set(e, ERR_TOO_LARGE, "The network has more than %d parts", limit);
    else
        err_set(e, ERR_NOMEM, "Out of memory for the network");
    return grown;
}

/* A new value without content; its index or an error. */
static int add_value(struct graph *g, const char *name, enum value_kind kind, struct err *e)
{
    if (!name || !*name)
        return err_set(e, ERR_INVALID, "A value has no name");
    if (graph_find_value(g, name) >= 0)
        return err_set(e, ERR_INVALID, "The value '%s' is defined twice", name);
    struct value *list = reserve(g->value, &g->values_capacity, g->values, GRAPH_MAX_VALUES, sizeof *list, e);
    if (!list)
        return g->values >= GRAPH_MAX_VALUES ? ERR_TOO_LARGE : ERR_NOMEM;
    g->value = list;
    char *copy = mem_strdup(name);
    if (!copy || names_put(&g->value_names, copy, g->values) < 0) {
        free(copy);
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    }
    g->value[g->values] = (struct value){ .name = copy, .kind = kind, .producer = -1 };
    g->finished = false;
    return g->values++;
}

int graph_add_value(struct graph *g, const char *name, struct err *e)
{
    return add_value(g, name, VALUE_ACT, e);
}

int graph_add_input(struct graph *g, const char *name, const struct shape *sample, struct err *e)
{
    if (g->input >= 0)
        return err_set(e, ERR_UNSUPPORTED, "The network has a second input '%s'; one is supported", name);
    int v = add_value(g, name, VALUE_INPUT, e);
    if (v < 0)
        return v;
    g->value[v].shape = *sample;
    g->input = v;
    return v;
}

int graph_reserve_params(struct graph *g, size_t elements, struct err *e)
{
    size_t bytes;
    if (g->hollow || (g->param && elements <= g->param_capacity))
        return 0;
    real *grown = size_mul(elements, sizeof *grown, &bytes) ? mem_aligned(64, bytes) : NULL;
    if (!grown)
        return err_set(e, ERR_NOMEM, "Out of memory for %zu parameters", elements);
    if (g->param_count)
        memcpy(grown, g->param, g->param_count * sizeof *grown);
    free(g->param);
    g->param = grown;
    g->param_capacity = elements;
    return 0;
}

static int grow_params(struct graph *g, size_t count, struct err *e)
{
    size_t capacity = g->param_capacity ? g->param_capacity : 1024;
    if (g->param && count <= g->param_capacity)
        return 0;
    while (capacity < count) /* what is large grows less: a model gets some steps of quantizers, no twin */
        capacity += capacity < PARAM_LARGE ? capacity : capacity / 16;
    return graph_reserve_params(g, capacity, e);
}

int graph_add_param(struct graph *g, const char *name, const struct shape *shape, bool trainable,
                    const float *init, struct err *e)
{
    int64_t count = shape_count(shape);
    if (count < 0)
        return err_set(e, ERR_TOO_LARGE, "The parameter '%s' is too large", name);
    size_t length = ((size_t)count + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    int r = grow_params(g, g->param_count + length, e);
    if (r < 0)
        return r;
    int v = add_value(g, name, VALUE_PARAM, e);
    if (v < 0)
        return v;
    g->value[v].shape = *shape;
    g->value[v].trainable = trainable;
    g->value[v].offset = g->param_count;
    for (int64_t i = 0; i < count && !g->hollow; i++)
        g->param[g->param_count + i] = init ? (real)init[i] : 0;
    if (!g->hollow)
        memset(g->param + g->param_count + count, 0, (length - (size_t)count) * sizeof *g->param);
    g->param_count += length;
    return v;
}

int graph_add_const(struct graph *g, const char *name, struct tensor *t, struct err *e)
{
    int v = add_value(g, name, VALUE_CONST, e);
    if (v < 0) {
        tensor_free(t);
        return v;
    }
    g->value[v].shape = t->shape;
    g->value[v].constant = t;
    return v;
}

/* The name wanted if it is free, else one made from it; owned by the caller. NULL when out of memory. */
static char *node_name(const struct graph *g, const char *op, const char *name)
{
    const char *stem = name && *name ? name : op;
    if (stem == name && graph_find_node(g, name) < 0)
        return mem_strdup(name);
    for (int i = g->nodes;; i++) {
        char *made = mem_printf("%s_%d", stem, i);
        if (!made || graph_find_node(g, made) < 0)
            return made;
        free(made);
    }
}

/* Are all of these values of the graph, and the outputs free to be produced? */
static int check_ends(const struct graph *g, const int *input, int inputs, const int *output, int outputs,
                      struct err *e)
{
    if (inputs > NODE_INPUTS || outputs > NODE_OUTPUTS || outputs < 1)
        return err_set(e, ERR_UNSUPPORTED, "%d inputs and %d outputs: at most %d and %d are supported",
                       inputs, outputs, NODE_INPUTS, NODE_OUTPUTS);
    for (int i = 0; i < inputs; i++)
        if (input[i] < -1 || input[i] >= g->values)
            return err_set(e, ERR_INTERNAL, "Input %d is no value of the graph", i);
    for (int i = 0; i < outputs; i++) {
        if (output[i] < 0 || output[i] >= g->values)
            return err_set(e, ERR_INTERNAL, "Output %d is no value of the graph", i);
        const struct value *v = &g->value[output[i]];
        if (v->kind != VALUE_ACT || v->producer >= 0)
            return err_set(e, ERR_INVALID, "The value '%s' is made twice", v->name);
    }
    return 0;
}

int graph_add_node(struct graph *g, const char *op, const char *name, const int *input, int inputs,
                   const int *output, int outputs, struct err *e)
{
    const struct op *o = op_find(op);
    int r = check_ends(g, input, inputs, output, outputs, e);
    if (r == 0 && !o)
        r = err_set(e, ERR_UNSUPPORTED, "The operator %s is not supported", op);
    if (r < 0) {
        err_at(e, "node %s (%s)", name ? name : "", op);
        return r;
    }
    struct node *list = reserve(g->node, &g->nodes_capacity, g->nodes, GRAPH_MAX_NODES, sizeof *list, e);
    if (!list)
        return g->nodes >= GRAPH_MAX_NODES ? ERR_TOO_LARGE : ERR_NOMEM;
    g->node = list;
    char *copy = node_name(g, op, name);
    if (!copy || names_put(&g->node_names, copy, g->nodes) < 0) {
        free(copy);
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    }
    struct node *n = &g->node[g->nodes];
    *n = (struct node){ .name = copy, .op = o, .inputs = inputs, .outputs = outputs };
    for (int i = 0; i < inputs; i++)
        n->input[i] = input[i];
    for (int i = 0; i < outputs; i++) {
        n->output[i] = output[i];
        g->value[output[i]].producer = g->nodes;
    }
    g->finished = false;
    return g->nodes++;
}

int64_t graph_parameters(const struct graph *g)
{
    int64_t count = 0;
    for (int i = 0; i < g->values; i++)
        if (g->value[i].kind == VALUE_PARAM)
            count += shape_count(&g->value[i].shape);
    return count;
}

int64_t graph_trainable(const struct graph *g)
{
    int64_t count = 0;
    for (int i = 0; i < g->values; i++)
        if (g->value[i].kind == VALUE_PARAM && g->value[i].trainable)
            count += shape_count(&g->value[i].shape);
    return count;
}
