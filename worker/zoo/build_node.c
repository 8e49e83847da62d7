/* build_node.c - layers without parameters. */
#include "base/mem.h"
#include "worker/zoo/build.h"

#include <stdlib.h>
#include <string.h>

/* A constant NODE.WHAT, or one that several nodes share when `layer` is NULL: index, -1 after an error. */
static int add_tensor(struct zoo_build *b, const char *layer, const char *what, struct tensor *t)
{
    char *name = layer ? mem_printf("%s%s.%s", b->scope, layer, what) : mem_strdup(what);
    int v = -1;
    if (name && t) {
        v = graph_add_const(b->graph, name, t, b->e);
        if (v < 0)
            zoo_fail(b, v);
    } else {
        tensor_free(t);
        zoo_nomem(b);
    }
    free(name);
    return v < 0 ? -1 : v;
}

static int ints(struct zoo_build *b, const char *layer, const char *what, const int64_t *list, int count)
{
    if (b->bad)
        return -1;
    struct tensor *t = tensor_new(DTYPE_INT64, &(struct shape){ .rank = 1, .dim = { count } });
    if (t)
        memcpy(t->data, list, (size_t)count * sizeof *list);
    return add_tensor(b, layer, what, t);
}

static int number(struct zoo_build *b, const char *name, float x)
{
    const int v = b->bad ? -1 : graph_find_value(b->graph, name);
    if (b->bad || v >= 0)
        return v;
    struct tensor *t = tensor_new(DTYPE_FLOAT, &(struct shape){ .rank = 0 });
    if (t)
        *(float *)t->data = x;
    return add_tensor(b, NULL, name, t);
}

void zoo_act(struct zoo_build *b, const char *op, const char *name)
{
    struct node *n = zoo_node(b, op, name, NULL, 0);
    if (n && strcmp(op, "HardSigmoid") == 0 && node_set_float(n, "alpha", (double)(1.0F / 6)))
        zoo_nomem(b);
}

void zoo_relu6(struct zoo_build *b, const char *name)
{
    const int bounds[] = { number(b, "zero", 0), number(b, "six", 6) };
    zoo_node(b, "Clip", name, bounds, 2);
}

void zoo_add_pool(struct zoo_build *b, const char *op, const char *name, const struct zoo_pool *p)
{
    const int64_t end = p->pad + p->more;
    struct node *n = zoo_node(b, op, name, NULL, 0);
    if (n && (node_set_ints(n, "kernel_shape", (const int64_t[]){ p->kernel, p->kernel }, 2) ||
              node_set_ints(n, "pads", (const int64_t[]){ p->pad, p->pad, end, end }, 4) ||
              node_set_ints(n, "strides", (const int64_t[]){ p->stride, p->stride }, 2)))
        zoo_nomem(b);
    for (int a = 1; a <= 2; ++a)
        b->tip.shape.dim[a] = (b->tip.shape.dim[a] + p->pad + end - p->kernel) / p->stride + 1;
}

void zoo_average_all(struct zoo_build *b, const char *name)
{
    zoo_node(b, "GlobalAveragePool", name, NULL, 0);
    b->tip.shape.dim[1] = b->tip.shape.dim[2] = 1;
}

void zoo_add(struct zoo_build *b, const char *name, const struct zoo_tip *other)
{
    zoo_node(b, "Add", name, &other->value, 1);
}

void zoo_mul(struct zoo_build *b, const char *name, const struct zoo_tip *other)
{
    zoo_node(b, "Mul", name, &other->value, 1);
}

void zoo_concat(struct zoo_build *b, const char *name, const struct zoo_tip *parts, int count)
{
    int more[NODE_INPUTS];
    struct shape all = parts[0].shape;
    for (int i = 1; i < count; ++i) {
        more[i - 1] = parts[i].value;
        all.dim[0] += parts[i].shape.dim[0];
    }
    b->tip = parts[0];
    struct node *n = zoo_node(b, "Concat", name, more, count - 1);
    if (n && node_set_int(n, "axis", 1))
        zoo_nomem(b);
    b->tip.shape = all;
}

void zoo_flatten(struct zoo_build *b, const char *name)
{
    struct node *n = zoo_node(b, "Flatten", name, NULL, 0);
    if (n && node_set_int(n, "axis", 1))
        zoo_nomem(b);
    b->tip.shape = (struct shape){ .rank = 1, .dim = { shape_count(&b->tip.shape) } };
}

void zoo_dropout(struct zoo_build *b, const char *name, double ratio)
{
    const int more = number(b, "ratio", (float)ratio);
    zoo_node(b, "Dropout", name, &more, 1);
}

void zoo_lrn(struct zoo_build *b, const char *name)
{
    struct node *n = zoo_node(b, "LRN", name, NULL, 0);
    if (n && (node_set_int(n, "size", 5) || node_set_float(n, "alpha", 1e-4) ||
              node_set_float(n, "beta", 0.75) || node_set_float(n, "bias", 1)))
        zoo_nomem(b);
}

static void reshape(struct zoo_build *b, const char *name, const struct shape *to)
{
    int64_t list[GRAPH_RANK + 1] = { 0 }; /* 0: the batch as it is */
    memcpy(list + 1, to->dim, (size_t)to->rank * sizeof *list);
    const int shape = ints(b, name, "shape", list, to->rank + 1);
    zoo_node(b, "Reshape", name, &shape, 1);
    b->tip.shape = *to;
}

void zoo_shuffle(struct zoo_build *b, int groups)
{
    const struct shape flat = b->tip.shape;
    const struct shape split = { .rank = 4,
                                 .dim = { groups, flat.dim[0] / groups, flat.dim[1], flat.dim[2] } };
    reshape(b, "split", &split);
    struct node *n = zoo_node(b, "Transpose", "shuffle", NULL, 0);
    if (n && node_set_ints(n, "perm", (const int64_t[]){ 0, 2, 1, 3, 4 }, 5))
        zoo_nomem(b);
    reshape(b, "join", &flat);
}

static void slice(struct zoo_build *b, const char *name, const int64_t *starts, const int64_t *ends,
                  const int64_t *axes, const int64_t *steps, int count)
{
    const int more[] = {
        ints(b, name, "starts", starts, count),
        ints(b, name, "ends", ends, count),
        ints(b, name, "axes", axes, count),
        ints(b, name, "steps", steps, count),
    };
    zoo_node(b, "Slice", name, more, 4);
}

void zoo_channels(struct zoo_build *b, const char *name, int first, int count)
{
    slice(b, name, (const int64_t[]){ first }, (const int64_t[]){ first + count }, (const int64_t[]){ 1 },
          (const int64_t[]){ 1 }, 1);
    b->tip.shape.dim[0] = count;
}

void zoo_subsample(struct zoo_build *b, const char *name)
{
    slice(b, name, (const int64_t[]){ 0, 0 }, (const int64_t[]){ INT64_MAX, INT64_MAX },
          (const int64_t[]){ 2, 3 }, (const int64_t[]){ 2, 2 }, 2);
    for (int a = 1; a <= 2; ++a)
        b->tip.shape.dim[a] = (b->tip.shape.dim[a] + 1) / 2;
}

void zoo_zero_channels(struct zoo_build *b, const char *name, int before, int after)
{
    const int pads = ints(b, name, "pads", (const int64_t[]){ 0, before, 0, 0, 0, after, 0, 0 }, 8);
    zoo_node(b, "Pad", name, &pads, 1);
    b->tip.shape.dim[0] += before + after;
}

void zoo_pixel_shuffle(struct zoo_build *b, const char *name, int factor)
{
    struct node *n = zoo_node(b, "DepthToSpace", name, NULL, 0);
    if (n && (node_set_int(n, "blocksize", factor) || node_set_string(n, "mode", "CRD")))
        zoo_nomem(b);
    b->tip.shape.dim[0] /= factor * factor;
    b->tip.shape.dim[1] *= factor;
    b->tip.shape.dim[2] *= factor;
}
