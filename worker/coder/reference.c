#include "worker/coder/reference.h"

#include "base/mem.h"
#include "worker/coder/wire.h"
#include "worker/graph/units.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file names an architecture by its place here: append only. */
static const char *const rows[] = {
    "lenet5",
    "resnet20",
    "resnet32",
    "resnet56",
    "resnet18",
    "vgg-small",
    "vgg16",
    "alexnet",
    "googlenet",
    "densenet121",
    "densenet-bc-100",
    "mobilenet-v1",
    "mobilenet-v1-x0.5",
    "mobilenet-v2",
    "mobilenet-v2-x0.5",
    "mobilenet-v3-small",
    "mobilenet-v3-small-x0.5",
    "shufflenet-v1",
    "shufflenet-v2",
    "shufflenet-v2-x0.5",
    "srcnn-9-5-5",
    "ct-srcnn-5",
    "vdsr",
    "srresnet",
    "srresnet-x2",
    "srresnet-x3",
    "edsr-baseline",
    "edsr-baseline-x3",
    "edsr-baseline-x4",
};
#define ROWS ((int)(sizeof rows / sizeof *rows))

static bool is_quantizer(const struct node *n)
{
    return strcmp(n->op->name, "QuantdFakeQuant") == 0;
}

/* The value in front of an activation quantizer, if v is behind one. */
static int in_front(const struct graph *g, int v)
{
    const int from = v >= 0 && g->value[v].kind == VALUE_ACT ? g->value[v].producer : -1;

    return from >= 0 && is_quantizer(&g->node[from]) ? g->node[from].input[0] : v;
}

void reference_deinit(struct reference *r)
{
    graph_free(r->g);
    free(r->value);
    r->g = NULL;
    r->value = NULL;
}

/* --- is it the zoo's? ------------------------------------------------------------------------------------
 */

/* Attributes that say what is so without them. */
static bool says_nothing(const struct node *n, const struct attr *a)
{
    static const struct {
        const char *name;
        int64_t value;
    } usual[] = { { "dilations", 1 },     { "group", 1 },  { "pads", 0 },   { "strides", 1 },
                  { "ceil_mode", 0 },     { "transA", 0 }, { "transB", 0 }, { "count_include_pad", 0 },
                  { "storage_order", 0 }, { "axis", 1 } };

    if (strcmp(a->name, "auto_pad") == 0)
        return strcmp(a->s, "NOTSET") == 0;
    if (strcmp(a->name, "kernel_shape") == 0)
        return strcmp(n->op->name, "Conv") == 0;
    if (strcmp(a->name, "alpha") == 0 || strcmp(a->name, "beta") == 0)
        return strcmp(n->op->name, "Gemm") == 0 && a->type == ATTR_FLOAT && a->f == 1;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(usual[i].name, a->name) != 0 ||
            (strcmp(a->name, "axis") == 0 && strcmp(n->op->name, "Flatten") != 0))
            continue;
        if (a->type == ATTR_INT)
            return a->i == usual[i].value;
        bool all = a->type == ATTR_INTS;
        for (size_t k = 0; all && k < a->count; k++)
            all = a->ints[k] == usual[i].value;
        return all;
    }
    return false;
}

static bool same_attr(const struct attr *a, const struct attr *b)
{
    if (a->type != b->type || a->count != b->count)
        return false;
    switch (a->type) {
    case ATTR_INT:
        return a->i == b->i;
    case ATTR_FLOAT:
        return a->f == b->f;
    case ATTR_STRING:
        return strcmp(a->s, b->s) == 0;
    case ATTR_INTS:
        return memcmp(a->ints, b->ints, a->count * sizeof *a->ints) == 0;
    case ATTR_FLOATS:
        return memcmp(a->floats, b->floats, a->count * sizeof *a->floats) == 0;
    case ATTR_TENSOR:
        break;
    }
    return false;
}

/* Every attribute of a is in b, or need not be. */
static bool attrs_within(const struct node *a, const struct node *b)
{
    for (size_t i = 0; i < a->attrs; i++) {
        const struct attr *other = node_attr(b, a->attr[i].name);
        if (other ? !same_attr(&a->attr[i], other) : !says_nothing(a, &a->attr[i]))
            return false;
    }
    return true;
}

static bool same_constant(const struct tensor *a, const struct tensor *b)
{
    return a->dtype == b->dtype && shape_equal(&a->shape, &b->shape) &&
           memcmp(a->data, b->data, (size_t)shape_count(&a->shape) * dtype_size(a->dtype)) == 0;
}

/* Value v of the zoo's graph is value w of g: known, or noted now. */
static bool match_value(struct reference *r, const struct graph *g, int v, int w)
{
    if (v < 0 || w < 0)
        return v < 0 && w < 0;
    const struct value *a = &r->g->value[v], *b = &g->value[w];
    if (r->value[v] >= 0)
        return r->value[v] == w;
    if (a->kind != b->kind || a->kind == VALUE_ACT ||
        (a->kind == VALUE_PARAM && a->trainable != b->trainable))
        return false;
    if (a->kind == VALUE_CONST && !same_constant(a->constant, b->constant))
        return false;
    r->value[v] = w;
    return true;
}

static bool match_node(struct reference *r, const struct graph *g, const struct node *a, const struct node *b)
{
    if (a->op != b->op || a->inputs != b->inputs || a->outputs != b->outputs || !attrs_within(a, b) ||
        !attrs_within(b, a))
        return false;
    for (int i = 0; i < a->inputs; i++)
        if (!match_value(r, g, a->input[i], in_front(g, b->input[i])))
            return false;
    for (int i = 0; i < a->outputs; i++)
        r->value[a->output[i]] = b->output[i];
    return true;
}

/* Node by node, the quantizers of g left out. */
static bool match_nodes(struct reference *r, const struct graph *g)
{
    int at = 0;

    for (int i = 0; i < g->nodes; i++) {
        if (is_quantizer(&g->node[i]))
            continue;
        if (at == r->g->nodes || !match_node(r, g, &r->g->node[at++], &g->node[i]))
            return false;
    }
    if (at != r->g->nodes || g->outputs != r->g->outputs)
        return false;
    for (int i = 0; i < g->outputs; i++)
        if (r->value[r->g->output[i]] != g->output[i])
            return false;
    return true;
}

/* As many units as the other graph has. */
static int64_t width_of(const struct reference *r, const struct graph *g, const struct units *u)
{
    return g->value[r->value[u->slice[0].value]].shape.dim[u->slice[0].axis];
}

static bool match_shapes(struct reference *r, const struct graph *g)
{
    struct units *list = NULL;
    int count = 0;
    bool same = units_find(r->g, &list, &count, NULL) == 0;

    for (int i = 0; same && i < count; i++) {
        const int64_t width = width_of(r, g, &list[i]);
        same = width == list[i].count || units_keep_first(r->g, &list[i], width);
    }
    for (int v = 0; same && v < r->g->values; v++)
        if (r->g->value[v].kind == VALUE_PARAM)
            same = r->value[v] >= 0 && shape_equal(&r->g->value[v].shape, &g->value[r->value[v]].shape);
    free(list);
    return same && (r->g->finished || graph_finish(r->g, NULL) == 0);
}

/* Quantizers must be such as a reader can put back: one for a value, its step one number of its own. */
static bool plain_quantizers(const struct graph *g)
{
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        if (!is_quantizer(n))
            continue;
        const struct value *step = n->inputs == 2 && n->input[1] >= 0 ? &g->value[n->input[1]] : NULL;
        if (!step || step->kind != VALUE_PARAM || step->shape.rank != 1 || step->shape.dim[0] != 1 ||
            n->attrs != 2)
            return false;
        for (int k = 0; k < i; k++)
            if (is_quantizer(&g->node[k]) &&
                (g->node[k].input[0] == n->input[0] || g->node[k].input[1] == n->input[1]))
                return false;
    }
    return true;
}

static bool try_row(const struct graph *g, int row, struct reference *r)
{
    const struct shape *in = &g->value[g->input].shape, *out = &g->value[g->output[0]].shape;
    const struct zoo *z = zoo_find(rows[row]);
    char text[160];

    *r = (struct reference){ .row = row };
    if (!z || in->rank != 3 || g->outputs != 1)
        return false;
    if (z->classes && out->rank == 1)
        snprintf(text, sizeof text, "%s@%lldx%lldx%lld/%lld", z->name, (long long)in->dim[0],
                 (long long)in->dim[1], (long long)in->dim[2], (long long)out->dim[0]);
    else
        snprintf(text, sizeof text, "%s@%lldx%lldx%lld", z->name, (long long)in->dim[0],
                 (long long)in->dim[1], (long long)in->dim[2]);
    if (zoo_parse(text, &r->request, NULL))
        return false;
    r->own_size = r->request.channels == z->channels && r->request.height == z->height &&
                  r->request.width == z->width && r->request.classes == z->classes;
    r->request.hollow = true;
    if (zoo_make(&r->request, &r->g, NULL))
        return false;
    const struct graph *h = r->g;
    r->value = mem_array((size_t)h->values + 1, sizeof *r->value);
    if (!r->value || h->opset != g->opset || h->batched != g->batched ||
        h->batch_fixed_one != g->batch_fixed_one || h->input_nhwc != g->input_nhwc ||
        h->size_open != g->size_open)
        return false;
    r->values = h->values;
    for (int v = 0; v < h->values; v++)
        r->value[v] = -1;
    r->value[h->input] = g->input;
    return match_nodes(r, g) && match_shapes(r, g);
}

bool reference_find(const struct graph *g, struct reference *r)
{
    *r = (struct reference){ 0 };
    if (!plain_quantizers(g))
        return false;
    for (int row = 0; row < ROWS; row++) {
        if (try_row(g, row, r))
            return true;
        reference_deinit(r);
    }
    return false;
}

uint8_t reference_byte(const struct reference *r)
{
    return (uint8_t)(1 + 2 * r->row + !r->own_size);
}

int reference_of(uint8_t byte, struct reference *r, struct err *e)
{
    *r = (struct reference){ .row = (byte - 1) / 2, .own_size = byte % 2 };
    const struct zoo *z = r->row < ROWS ? zoo_find(rows[r->row]) : NULL;

    if (!z)
        return err_set(e, ERR_UNSUPPORTED, "the file names an architecture (%u) that is not known", byte);
    return zoo_parse(rows[r->row], &r->request, e);
}
