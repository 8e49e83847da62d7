/* reference_code.c - what stands behind a reference's byte, written and read by the same order of questions.
 */
#include "worker/coder/reference.h"

#include "base/mem.h"
#include "worker/coder/wire.h"
#include "worker/graph/units.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_quantizer(const struct node *n)
{
    return strcmp(n->op->name, "QuantdFakeQuant") == 0;
}

static int code_size(struct stream *s, struct reference *r, struct err *e)
{
    struct zoo_request *q = &r->request;
    uint32_t size[4] = { (uint32_t)q->channels, (uint32_t)q->height, (uint32_t)q->width,
                         (uint32_t)q->classes };
    char text[160];

    if (r->own_size)
        return 0;
    for (int i = 0; i < 4; i++)
        size[i] = stream_count(s, size[i]);
    if (!s->m.decoding)
        return 0;
    snprintf(text, sizeof text, "%s@%ux%ux%u", q->zoo->name, size[0], size[1], size[2]);
    if (size[3])
        snprintf(text + strlen(text), sizeof text - strlen(text), "/%u", size[3]);
    if (zoo_parse(text, q, NULL))
        return err_set(e, ERR_CORRUPT, "the network's size is damaged");
    return 0;
}

/* How many units each layer of the zoo's graph `whole` has left. from: the graph that has them; NULL: read.
 */
static int code_units(struct stream *s, const struct reference *r, struct graph *whole, struct err *e)
{
    struct units *list = NULL;
    int count = 0, status = units_find(whole, &list, &count, e);

    for (int i = 0; !status && i < count; i++) {
        const struct unit_slice *own = &list[i].slice[0];
        const int64_t left = s->m.decoding ? 0 : r->g->value[own->value].shape.dim[own->axis];
        const uint32_t gone = stream_count(s, (uint32_t)(list[i].count - left));
        if (gone && !units_keep_first(whole, &list[i], list[i].count - (int64_t)gone))
            status = err_set(e, ERR_CORRUPT, "the number of units is damaged");
    }
    free(list);
    return status;
}

/* The hollow graph gets its parameters: zeros, without gaps. */
static int fill(struct graph *g, uint64_t most, struct err *e)
{
    size_t count = 0;

    if ((uint64_t)graph_parameters(g) > most)
        return err_set(e, ERR_CORRUPT, "the file is too short for its network");
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM) {
            g->value[v].offset = count;
            count += ((size_t)shape_count(&g->value[v].shape) + 15) / 16 * 16;
        }
    g->hollow = false;
    g->param_count = 0;
    const int status = graph_reserve_params(g, count ? count : 16, e);
    if (!status)
        memset(g->param, 0, (count ? count : 16) * sizeof *g->param);
    g->param_count = count;
    return status ? status : graph_finish(g, e);
}

/* --- quantizers of activations ---------------------------------------------------------------------------
 */

/* The quantizer node in front of input i of g's node, -1: none. */
static int quantizer_at(const struct graph *g, const struct node *n, int i)
{
    const int v = n->input[i], from = v >= 0 && g->value[v].kind == VALUE_ACT ? g->value[v].producer : -1;

    return from >= 0 && is_quantizer(&g->node[from]) ? from : -1;
}

static int64_t attr_or(const struct graph *g, int node, const char *name)
{
    return node < 0 ? 0 : node_int(&g->node[node], name, 0);
}

struct quantizer {
    int source; /* value */
    int32_t low, high;
    bool learns;
    int consumer[256], consumers;
};

/* Which inputs of which nodes read value v through a quantizer, and what it is like. */
static int code_quantizer(struct stream *s, const struct graph *g, int v, const struct graph *from,
                          const int *node_of, struct quantizer *q, struct err *e)
{
    int found = -1;

    *q = (struct quantizer){ .source = v };
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        bool reads = false, through = false;
        for (int k = 0; k < n->inputs; k++) {
            const int at = n->input[k] == v && from ? quantizer_at(from, &from->node[node_of[i]], k) : -1;
            reads |= n->input[k] == v;
            through |= at >= 0;
            found = at >= 0 ? at : found;
        }
        if (!reads || !stream_flag(s, &s->text, through))
            continue;
        if (q->consumers == 256)
            return err_set(e, s->m.decoding ? ERR_CORRUPT : ERR_INVALID, "too many readers of an activation");
        q->consumer[q->consumers++] = i;
    }
    if (!q->consumers)
        return 0;
    q->low = stream_signed(s, &s->number, (int32_t)attr_or(from ? from : g, found, "low"));
    q->high = stream_signed(s, &s->number, (int32_t)attr_or(from ? from : g, found, "high"));
    q->learns = stream_flag(s, &s->text, found >= 0 && from->value[from->node[found].input[1]].trainable);
    return 0;
}

static int insert(struct graph *g, const struct quantizer *q, struct err *e)
{
    const char *name = g->value[q->source].name;
    char *step = mem_printf("%s.step", name), *text = mem_printf("%s/Quantize", name);
    int status = step && text ? 0 : err_set(e, ERR_NOMEM, "out of memory for the network");

    if (!status)
        status = graph_add_param(g, step, &(struct shape){ .rank = 1, .dim = { 1 } }, q->learns, NULL, e);
    if (status >= 0) {
        const int param = status;
        status = graph_insert(g, q->source, "QuantdFakeQuant", text, &param, 1, q->consumer, q->consumers, e);
    }
    if (status >= 0 &&
        (node_set_int(&g->node[status], "low", q->low) || node_set_int(&g->node[status], "high", q->high)))
        status = err_set(e, ERR_NOMEM, "out of memory for the network");
    free(step);
    free(text);
    return status < 0 ? status : 0;
}

/* For each value that the network computes, in the zoo's order. */
static int code_quantizers(struct stream *s, struct graph *g, const struct graph *from, struct err *e)
{
    const int values = g->values, nodes = g->nodes;
    int *node_of = mem_array((size_t)nodes + 1, sizeof *node_of), status = 0, at = 0;
    struct quantizer *list = mem_array((size_t)values + 1, sizeof *list);
    bool any = false;

    if (!node_of || !list)
        status = err_set(e, ERR_NOMEM, "out of memory for the network");
    for (int i = 0; !status && from && i < from->nodes; i++) {
        any |= is_quantizer(&from->node[i]);
        if (!is_quantizer(&from->node[i]))
            node_of[at++] = i;
    }
    if (!status && stream_flag(s, &s->text, any))
        for (int v = 0; !status && v < values; v++)
            if (g->value[v].kind == VALUE_ACT || g->value[v].kind == VALUE_INPUT)
                status = code_quantizer(s, g, v, from, node_of, &list[v], e);
    for (int v = 0; !status && !from && v < values; v++)
        if (list[v].consumers)
            status = insert(g, &list[v], e);
    free(node_of);
    free(list);
    return status;
}

/* --- names of the ends -----------------------------------------------------------------------------------
 */

/* Set a name; the list of names is wrong then until the graph is cloned. */
static int rename_value(struct graph *g, int v, const char *name, struct err *e)
{
    char *copy = mem_strdup(name);

    if (!copy)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    free(g->value[v].name);
    g->value[v].name = copy;
    return 0;
}

static int code_names(struct stream *s, struct graph *g, const struct graph *from, bool *renamed,
                      struct err *e)
{
    char name[WIRE_NAME + 1];
    int status = 0;

    for (int i = 0; !status && i < 2; i++) {
        const int v = i ? g->output[0] : g->input;
        const char *given = from ? from->value[i ? from->output[0] : from->input].name : NULL;
        if (!stream_flag(s, &s->text, given && strcmp(given, g->value[v].name) != 0))
            continue;
        status = stream_text(s, given, name, e);
        if (!status && !from && !name[0])
            status = err_set(e, ERR_CORRUPT, "a name is empty");
        if (!status && !from)
            status = rename_value(g, v, name, e);
        *renamed = true;
    }
    return status;
}

int reference_write(struct stream *s, const struct reference *r, const struct graph *from, struct err *e)
{
    struct reference same = *r;
    struct graph *whole = NULL;
    bool renamed = false;
    int status = code_size(s, &same, e);

    if (!status)
        status = zoo_make(&r->request, &whole, e);
    if (!status)
        status = code_units(s, r, whole, e);
    if (!status)
        status = code_quantizers(s, r->g, from, e);
    if (!status)
        status = code_names(s, r->g, from, &renamed, e);
    graph_free(whole);
    return status;
}

int reference_read(struct stream *s, struct reference *r, uint64_t most, struct err *e)
{
    bool renamed = false;
    int status = code_size(s, r, e);

    r->request.hollow = true;
    if (!status)
        status = zoo_make(&r->request, &r->g, e);
    if (!status)
        status = code_units(s, r, r->g, e);
    if (!status)
        status = fill(r->g, most, e);
    if (!status && !(r->value = mem_array((size_t)r->g->values + 1, sizeof *r->value)))
        status = err_set(e, ERR_NOMEM, "out of memory for the network");
    for (r->values = 0; !status && r->values < r->g->values; r->values++)
        r->value[r->values] = r->values;
    if (!status)
        status = code_quantizers(s, r->g, NULL, e);
    if (!status)
        status = code_names(s, r->g, NULL, &renamed, e);
    if (!status && renamed) {
        struct graph *clone;
        status = graph_clone(r->g, &clone, e);
        if (!status) {
            graph_free(r->g);
            r->g = clone;
        }
    }
    return status ? status : graph_finish(r->g, e);
}
