#include "worker/graph/units.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

/* What works on each channel by itself and has no parameters. */
static const char *const channelwise[] = { "Relu",          "LeakyRelu",         "Sigmoid",
                                           "Tanh",          "HardSigmoid",       "HardSwish",
                                           "Clip",          "MaxPool",           "AveragePool",
                                           "GlobalMaxPool", "GlobalAveragePool", "Identity",
                                           "Dropout",       "QuantdFakeQuant",   NULL };

static bool listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool is_layer(const struct graph *g, const struct node *n)
{
    const int w = n->op->weight;

    return w >= 0 && w < n->inputs && n->input[w] >= 0 && g->value[n->input[w]].kind == VALUE_PARAM;
}

/* Is a Gemm's or MatMul's weight stored [inputs][outputs]? */
static bool turned(const struct node *n)
{
    return is(n, "MatMul") || !node_int(n, "transB", 0);
}

static bool add_slice(struct units *u, int value, int axis, int64_t span, int node)
{
    if (u->slices == UNIT_SLICES)
        return false;
    u->slice[u->slices++] = (struct unit_slice){ value, axis, span, node };
    return true;
}

/* A layer that reads the units: its weight's input axis. */
static bool add_reader(struct units *u, const struct graph *g, int at, int value, int64_t span)
{
    const struct node *n = &g->node[at];
    const int weight = n->input[n->op->weight];
    const bool dense = !is(n, "Conv");

    if (n->input[0] != value || (!dense && node_int(n, "group", 1) != 1))
        return false;
    for (int i = 1; i < n->inputs; i++)
        if (n->input[i] == value)
            return false;
    if (dense && g->value[value].shape.rank != 1)
        return false;
    return add_slice(u, weight, dense && turned(n) ? 0 : 1, span, at);
}

static bool add_normalization(struct units *u, const struct graph *g, int at, int64_t span)
{
    const struct node *n = &g->node[at];

    if (span != 1 || n->inputs != 5)
        return false;
    for (int i = 1; i < 5; i++)
        if (n->input[i] < 0 || g->value[n->input[i]].kind != VALUE_PARAM ||
            !add_slice(u, n->input[i], 0, 1, at))
            return false;
    return true;
}

/* Follow a value to the layers that read it; readers are kept apart until the path is known. */
static bool follow(struct units *u, struct units *readers, const struct graph *g, int value, int64_t span)
{
    int passing = 0, read = 0;

    for (int i = 0; i < g->outputs; i++)
        if (g->output[i] == value)
            return false;
    for (int at = 0; at < g->nodes; at++) {
        const struct node *n = &g->node[at];
        bool reads = false;
        for (int i = 0; i < n->inputs; i++)
            reads |= n->input[i] == value;
        if (!reads)
            continue;
        passing += !is_layer(g, n);
        read++;
        if (is_layer(g, n)) {
            if (!add_reader(readers, g, at, value, span))
                return false;
            continue;
        }
        int64_t wider = span;
        if (n->input[0] != value || u->path_length == UNIT_PATH)
            return false;
        if (is(n, "BatchNormalization")) {
            if (!add_normalization(u, g, at, span))
                return false;
        } else if (is(n, "Flatten")) {
            const struct shape *s = &g->value[value].shape;
            if (node_int(n, "axis", 1) != 1)
                return false;
            for (int i = 1; i < s->rank; i++)
                wider *= s->dim[i];
        } else if (!listed(channelwise, n->op->name)) {
            return false;
        }
        u->path[u->path_length++] = at;
        if (!follow(u, readers, g, n->output[0], wider))
            return false;
    }
    u->forked |= passing && read > 1;
    return true;
}

static bool units_of(const struct graph *g, int at, struct units *u)
{
    const struct node *n = &g->node[at];
    struct units readers = { 0 };
    const bool conv = is(n, "Conv");

    *u = (struct units){ .node = at };
    if (!is_layer(g, n) || (conv ? node_int(n, "group", 1) != 1 : !is(n, "Gemm") && !is(n, "MatMul")))
        return false;
    if (!conv && g->value[n->output[0]].shape.rank != 1)
        return false;
    const int weight = n->input[n->op->weight], axis = !conv && turned(n);
    if (g->value[weight].shape.rank < 2)
        return false;
    u->count = g->value[weight].shape.dim[axis];
    add_slice(u, weight, axis, 1, at);
    const int bias = n->op->bias >= 0 && n->op->bias < n->inputs ? n->input[n->op->bias] : -1;
    if (bias >= 0 && (g->value[bias].kind != VALUE_PARAM || shape_count(&g->value[bias].shape) != u->count))
        return false;
    if (bias >= 0)
        add_slice(u, bias, g->value[bias].shape.rank - 1, 1, at);
    if (!follow(u, &readers, g, n->output[0], 1) || !readers.slices)
        return false;
    u->own = u->slices;
    for (int i = 0; i < readers.slices; i++)
        if (!add_slice(u, readers.slice[i].value, readers.slice[i].axis, readers.slice[i].span,
                       readers.slice[i].node))
            return false;
    return true;
}

/* A parameter that two layers share can't be cut for one of them alone. */
static bool shared(const struct graph *g, const struct units *u)
{
    for (int i = 0; i < u->slices; i++)
        for (int at = 0; at < g->nodes; at++)
            for (int k = 0; k < g->node[at].inputs; k++)
                if (g->node[at].input[k] == u->slice[i].value && at != u->slice[i].node)
                    return true;
    return false;
}

int units_find(const struct graph *g, struct units **list, int *count, struct err *e)
{
    struct units *found = mem_array((size_t)g->nodes + 1, sizeof *found);
    int n = 0;

    if (!found)
        return err_set(e, ERR_NOMEM, "Out of memory for the list of units");
    for (int at = 0; at < g->nodes; at++)
        if (units_of(g, at, &found[n]) && !shared(g, &found[n]))
            n++;
    *list = found;
    *count = n;
    return 0;
}

struct unit_extent unit_extent(const struct graph *g, const struct unit_slice *s, int64_t unit)
{
    const struct value *v = &g->value[s->value];
    struct unit_extent x = { .outer = 1, .inner = s->span };

    for (int i = 0; i < s->axis; i++)
        x.outer *= v->shape.dim[i];
    for (int i = s->axis + 1; i < v->shape.rank; i++)
        x.inner *= v->shape.dim[i];
    x.step = x.inner / s->span * v->shape.dim[s->axis];
    x.first = v->offset + (size_t)(unit * x.inner);
    return x;
}

static void cut(struct graph *g, const struct unit_slice *s, int64_t count, const bool *keep, int64_t kept)
{
    const struct unit_extent e = unit_extent(g, s, 0);
    real *x = g->hollow ? NULL : g->param + e.first;
    int64_t to = 0;

    for (int64_t o = 0; x && o < e.outer; o++)
        for (int64_t u = 0; u < count; u++)
            if (keep[u]) {
                memmove(x + to, x + (o * count + u) * e.inner, (size_t)e.inner * sizeof *x);
                to += e.inner;
            }
    g->value[s->value].shape.dim[s->axis] = kept * s->span;
}

void units_keep(struct graph *g, const struct units *u, const bool *keep)
{
    int64_t kept = 0;

    for (int64_t i = 0; i < u->count; i++)
        kept += keep[i];
    for (int i = 0; i < u->slices; i++)
        cut(g, &u->slice[i], u->count, keep, kept);
    g->finished = false;
}

bool units_keep_first(struct graph *g, const struct units *u, int64_t count)
{
    bool *keep = count >= 1 && count <= u->count ? mem_array((size_t)u->count, sizeof *keep) : NULL;

    if (!keep)
        return false;
    for (int64_t i = 0; i < count; i++)
        keep[i] = true;
    units_keep(g, u, keep);
    free(keep);
    return true;
}
