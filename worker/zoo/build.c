/* build.c - see build.h. */
#include "worker/zoo/build.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

/* Streams of the generator that belong to the zoo: one per parameter. */
#define RNG_ZOO ((uint64_t)0x7a6f6f << 32)

void zoo_start(struct zoo_build *b, const struct zoo *z, enum zoo_init init, uint64_t seed, struct err *e)
{
    *b = (struct zoo_build){ .init = init, .seed = seed, .e = e };
    b->shape = (struct shape){ .rank = 3, .dim = { z->channels, z->height, z->width } };
    b->graph = graph_new(z->name);
    b->at =
        b->graph ? graph_add_input(b->graph, "input", &b->shape, e) : err_set(e, ERR_NOMEM, "Out of memory");
    b->bad = b->at < 0 ? b->at : 0;
}

static float draw(struct zoo_build *b, struct rng *r, int64_t fan_in)
{
    if (b->init == ZOO_HE)
        return (float)(rng_normal(r) * sqrt(2.0 / (double)fan_in));
    return (float)((2 * rng_uniform(r) - 1) * sqrt(3.0 / (double)fan_in));
}

static void fail(struct zoo_build *b, int code)
{
    if (!b->bad)
        b->bad = code;
}

/* A parameter filled with one number; fan_in > 0: drawn instead. Its index, or -1 after an error. */
static int param(struct zoo_build *b, const char *layer, const char *what, const struct shape *shape,
                 float fill, int64_t fan_in, bool trainable)
{
    if (b->bad)
        return -1;
    const int64_t count = shape_count(shape);
    char *name = mem_printf("%s.%s", layer, what);
    float *init = count < 0 ? NULL : mem_array((size_t)count, sizeof *init);
    int v = ERR_NOMEM;
    if (name && init) {
        struct rng r = rng_at(b->seed, RNG_ZOO + b->parameters++, 0);
        for (int64_t i = 0; i < count; ++i)
            init[i] = fan_in > 0 ? draw(b, &r, fan_in) : fill;
        v = graph_add_param(b->graph, name, shape, trainable, init, b->e);
    } else {
        err_set(b->e, ERR_NOMEM, "Out of memory for layer %s", layer);
    }
    free(name);
    free(init);
    if (v < 0)
        fail(b, v);
    return v;
}

/* The node behind the latest activation, NULL after an error. */
static struct node *node(struct zoo_build *b, const char *op, const char *name, const int *more, int count)
{
    int input[NODE_INPUTS] = { b->at }, inputs = 1;
    for (int i = 0; i < count; ++i)
        if (more[i] >= 0)
            input[inputs++] = more[i];
    if (b->bad)
        return NULL;
    char *value = mem_printf("%s.output", name);
    const int output =
        value ? graph_add_value(b->graph, value, b->e) : err_set(b->e, ERR_NOMEM, "Out of memory");
    free(value);
    const int made =
        output < 0 ? output : graph_add_node(b->graph, op, name, input, inputs, &output, 1, b->e);
    if (made < 0) {
        fail(b, made);
        return NULL;
    }
    b->at = output;
    return &b->graph->node[made];
}

static void set_ints(struct zoo_build *b, struct node *n, const char *name, const int64_t *ints, size_t count)
{
    if (n && node_set_ints(n, name, ints, count))
        fail(b, err_set(b->e, ERR_NOMEM, "Out of memory"));
}

static void set_int(struct zoo_build *b, struct node *n, const char *name, int64_t i)
{
    if (n && node_set_int(n, name, i))
        fail(b, err_set(b->e, ERR_NOMEM, "Out of memory"));
}

/* Attributes of a square window, and what it leaves of the image. */
static void window(struct zoo_build *b, struct node *n, int kernel, int stride, int pad)
{
    set_ints(b, n, "kernel_shape", (const int64_t[]){ kernel, kernel }, 2);
    set_ints(b, n, "pads", (const int64_t[]){ pad, pad, pad, pad }, 4);
    set_ints(b, n, "strides", (const int64_t[]){ stride, stride }, 2);
    for (int a = 1; a <= 2; ++a)
        b->shape.dim[a] = (b->shape.dim[a] + 2 * pad - kernel) / stride + 1;
}

void zoo_conv(struct zoo_build *b, const char *name, int out, int kernel, int stride, int pad, int groups,
              bool bias)
{
    const int64_t in = b->shape.dim[0] / groups;
    const struct shape weight = { .rank = 4, .dim = { out, in, kernel, kernel } };
    const struct shape each = { .rank = 1, .dim = { out } };
    const int w = param(b, name, "weight", &weight, 0, in * kernel * kernel, true);
    const int c = bias ? param(b, name, "bias", &each, 0, 0, true) : -1;
    struct node *n = node(b, "Conv", name, (const int[]){ w, c }, 2);
    window(b, n, kernel, stride, pad);
    if (groups > 1)
        set_int(b, n, "group", groups);
    b->shape.dim[0] = out;
}

void zoo_bn(struct zoo_build *b, const char *name)
{
    const struct shape each = { .rank = 1, .dim = { b->shape.dim[0] } };
    const int all[] = {
        param(b, name, "weight", &each, 1, 0, true),
        param(b, name, "bias", &each, 0, 0, true),
        param(b, name, "running_mean", &each, 0, 0, false),
        param(b, name, "running_var", &each, 1, 0, false),
    };
    node(b, "BatchNormalization", name, all, 4);
}

void zoo_relu(struct zoo_build *b, const char *name)
{
    node(b, "Relu", name, NULL, 0);
}

void zoo_pool(struct zoo_build *b, const char *op, const char *name, int kernel, int stride)
{
    window(b, node(b, op, name, NULL, 0), kernel, stride, 0);
}

void zoo_flatten(struct zoo_build *b, const char *name)
{
    set_int(b, node(b, "Flatten", name, NULL, 0), "axis", 1);
    b->shape = (struct shape){ .rank = 1, .dim = { shape_count(&b->shape) } };
}

void zoo_gemm(struct zoo_build *b, const char *name, int out)
{
    const int64_t in = b->shape.dim[0];
    const struct shape weight = { .rank = 2, .dim = { out, in } };
    const struct shape each = { .rank = 1, .dim = { out } };
    const int w = param(b, name, "weight", &weight, 0, in, true);
    const int c = param(b, name, "bias", &each, 0, 0, true);
    set_int(b, node(b, "Gemm", name, (const int[]){ w, c }, 2), "transB", 1);
    b->shape.dim[0] = out;
}

int zoo_done(struct zoo_build *b, struct graph **g)
{
    if (!b->bad) {
        b->graph->output[b->graph->outputs++] = b->at;
        b->bad = graph_finish(b->graph, b->e);
    }
    if (b->bad) {
        graph_free(b->graph);
        b->graph = NULL;
    }
    *g = b->graph;
    return b->bad;
}
