/* worker_nets.h - small networks for the tests of graph/, and a way to feed them. */
#ifndef TESTS_UNIT_WORKER_NETS_H
#define TESTS_UNIT_WORKER_NETS_H

#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"

#include <stdio.h>
#include <stdlib.h>

/* Adds a node with one output named after it; returns the output's value. `shape`: of a parameter
 * NAME.weight, with a bias of its first dimension behind it; NULL: none. */
static inline int add_layer(struct graph *g, const char *op, const char *name, int x,
                            const struct shape *shape)
{
    struct err e = { 0 };
    char text[64];
    int input[3] = { x }, inputs = 1;
    if (shape) {
        struct rng r = rng_at(3, (uint64_t)g->values, 0);
        int64_t count = shape_count(shape), fan_in = count / shape->dim[0];
        float *init = mem_array((size_t)count, sizeof *init);
        for (int64_t i = 0; i < count; i++)
            init[i] = (float)((rng_uniform(&r) * 2 - 1) / sqrt((double)fan_in));
        snprintf(text, sizeof text, "%s.weight", name);
        input[inputs++] = graph_add_param(g, text, shape, true, init, &e);
        snprintf(text, sizeof text, "%s.bias", name);
        input[inputs++] = graph_add_param(g, text, &(struct shape){ 1, { shape->dim[0] } }, true, init, &e);
        free(init);
    }
    snprintf(text, sizeof text, "%s.out", name);
    int y = graph_add_value(g, text, &e);
    int n = graph_add_node(g, op, name, input, inputs, &y, 1, &e);
    if (n < 0 || y < 0) {
        fprintf(stderr, "%s: %s\n", name, e.text);
        abort();
    }
    return y;
}

static inline struct node *last_node(struct graph *g)
{
    return &g->node[g->nodes - 1];
}

static inline int add_join(struct graph *g, const char *op, const char *name, int a, int b)
{
    struct err e;
    char text[64];
    snprintf(text, sizeof text, "%s.out", name);
    int y = graph_add_value(g, text, &e);
    return graph_add_node(g, op, name, (int[]){ a, b }, 2, &y, 1, &e) < 0 ? -1 : y;
}

static inline int add_pool(struct graph *g, const char *name, int x)
{
    int y = add_layer(g, "MaxPool", name, x, NULL);
    node_set_ints(last_node(g), "kernel_shape", (int64_t[]){ 2, 2 }, 2);
    node_set_ints(last_node(g), "strides", (int64_t[]){ 2, 2 }, 2);
    return y;
}

static inline int add_dense(struct graph *g, const char *name, int x, int64_t out, int64_t in)
{
    int y = add_layer(g, "Gemm", name, x, &(struct shape){ 2, { out, in } });
    node_set_int(last_node(g), "transB", 1);
    return y;
}

static inline int add_norm(struct graph *g, const char *name, int x, int64_t channels)
{
    struct err e;
    char text[64];
    float one[64], zero[64] = { 0 };
    struct shape s = { 1, { channels } };
    for (int i = 0; i < 64; i++)
        one[i] = 1;
    int input[5] = { x };
    for (int i = 1; i < 5; i++) {
        snprintf(text, sizeof text, "%s.%d", name, i);
        input[i] = graph_add_param(g, text, &s, i < 3, i % 3 == 1 ? one : zero, &e);
    }
    snprintf(text, sizeof text, "%s.out", name);
    int y = graph_add_value(g, text, &e);
    return graph_add_node(g, "BatchNormalization", name, input, 5, &y, 1, &e) < 0 ? -1 : y;
}

/* LeNet-5's shape; unfinished, so that a test can add to it. */
static inline struct graph *lenet(void)
{
    struct err e;
    struct graph *g = graph_new("lenet");
    int x = graph_add_input(g, "image", &(struct shape){ 3, { 1, 28, 28 } }, &e);
    x = add_layer(g, "Conv", "conv1", x, &(struct shape){ 4, { 20, 1, 5, 5 } });
    x = add_pool(g, "pool1", x);
    x = add_layer(g, "Conv", "conv2", x, &(struct shape){ 4, { 50, 20, 5, 5 } });
    x = add_pool(g, "pool2", x);
    x = add_layer(g, "Flatten", "flat", x, NULL);
    x = add_dense(g, "fc1", x, 500, 800);
    x = add_layer(g, "Relu", "relu", x, NULL);
    x = add_dense(g, "fc2", x, 10, 500);
    g->output[g->outputs++] = x;
    return g;
}

static inline int add_same(struct graph *g, const char *name, int x)
{
    int y = add_layer(g, "Conv", name, x, &(struct shape){ 4, { 4, 4, 3, 3 } });
    node_set_ints(last_node(g), "pads", (int64_t[]){ 1, 1, 1, 1 }, 4);
    return y;
}

/* Normalizations and what can follow them: a ReLU, an addition of what came before, comes later or is their
 * own input, both; and twice what must stay by itself. */
static inline struct graph *residuals(void)
{
    struct err e;
    struct graph *g = graph_new("residuals");
    int x = graph_add_input(g, "image", &(struct shape){ 3, { 4, 6, 6 } }, &e), y, z;
    x = add_layer(g, "Relu", "relu0", add_norm(g, "norm0", add_same(g, "conv0", x), 4), NULL);
    y = add_norm(g, "norm1", add_same(g, "conv1", x), 4);
    x = add_layer(g, "Relu", "relu1", add_join(g, "Add", "add1", x, y), NULL);
    y = add_norm(g, "norm2", add_same(g, "conv2", x), 4);
    z = add_norm(g, "norm3", add_same(g, "conv3", x), 4);
    x = add_layer(g, "Relu", "relu2", add_join(g, "Add", "add2", y, z), NULL);
    x = add_join(g, "Add", "add3", add_norm(g, "norm4", x, 4), x);
    y = add_norm(g, "norm5", add_same(g, "conv5", x), 4); /* read twice */
    x = add_join(g, "Add", "add4", add_layer(g, "Relu", "relu4", y, NULL), y);
    y = add_norm(g, "norm6", x, 4); /* an output of the network */
    g->output[g->outputs++] = y;
    x = add_layer(g, "Flatten", "flat", add_layer(g, "Relu", "relu6", y, NULL), NULL);
    g->output[g->outputs++] = add_dense(g, "head", x, 5, 144);
    return g;
}

/* Branches that meet: two residual blocks with normalization, a concatenation, an alias read twice. */
static inline struct graph *branches(void)
{
    struct err e;
    struct graph *g = graph_new("branches");
    int x = graph_add_input(g, "image", &(struct shape){ 3, { 3, 6, 6 } }, &e), y, z;
    x = add_layer(g, "Conv", "stem", x, &(struct shape){ 4, { 4, 3, 3, 3 } });
    for (int i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "conv%d", i);
        y = add_layer(g, "Conv", name, x, &(struct shape){ 4, { 4, 4, 3, 3 } });
        node_set_ints(last_node(g), "pads", (int64_t[]){ 1, 1, 1, 1 }, 4);
        snprintf(name, sizeof name, "norm%d", i);
        y = add_norm(g, name, y, 4);
        snprintf(name, sizeof name, "act%d", i);
        y = add_layer(g, i ? "Sigmoid" : "Tanh", name, y, NULL);
        snprintf(name, sizeof name, "add%d", i);
        x = add_join(g, "Add", name, x, y);
    }
    y = add_layer(g, "GlobalAveragePool", "squeeze", x, NULL);
    y = add_layer(g, "Sigmoid", "gate", y, NULL);
    y = add_join(g, "Mul", "scale", x, y);
    z = add_layer(g, "Dropout", "drop", x, NULL);
    y = add_join(g, "Concat", "concat", y, z);
    x = add_layer(g, "Flatten", "flat", y, NULL);
    y = add_dense(g, "left", x, 5, 128);
    z = add_dense(g, "right", x, 5, 128);
    z = add_layer(g, "Softmax", "softmax", z, NULL);
    y = add_join(g, "Add", "sum", y, z);
    g->output[g->outputs++] = y;
    g->output[g->outputs++] = add_layer(g, "Identity", "again", y, NULL);
    return g;
}

/* Fill with numbers of [-1, 1]; samples beyond `samples` stay zero. */
static inline void fill_lanes(real *x, size_t features, int blocks, int samples, uint64_t seed)
{
    struct rng r = rng_at(seed, 1, 0);
    for (int b = 0; b < blocks; b++)
        for (size_t i = 0; i < features * LANES; i++)
            x[(size_t)b * features * LANES + i] =
                b * LANES + (int)(i % LANES) < samples ? (real)(rng_uniform(&r) * 2 - 1) : 0;
}

static inline size_t features_of(const struct graph *g, int value)
{
    return (size_t)shape_count(&g->value[value].shape);
}

/* One step: forward, all output gradients from `seed`, backward. */
static inline void step_net(struct graph *g, struct net *n, int samples, uint64_t seed)
{
    fill_lanes(net_input(n), features_of(g, g->input), net_blocks(n), samples, seed);
    net_forward(n, samples, true, seed);
    for (int i = 0; i < g->outputs; i++)
        fill_lanes(net_output_gradient(n, i), features_of(g, g->output[i]), net_blocks(n), samples,
                   seed + 1 + i);
    net_backward(n);
}

#endif
