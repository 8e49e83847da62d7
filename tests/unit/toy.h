/* toy.h - a small set of images with classes that can be told apart, and a network for them. */
#ifndef TESTS_UNIT_TOY_H
#define TESTS_UNIT_TOY_H

#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/graph.h"
#include "worker/train/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 8, CLASSES = 3, TRAIN = 300, TEST = 60 };

/* Three classes of 8x8 images: a bright row, column or diagonal on noise. */

static inline struct dataset *toy_dataset(bool with_test)
{
    struct dataset *d = mem_alloc(sizeof *d);

    assert_non_null(d);
    d->channels = 1;
    d->height = d->width = SIDE;
    d->classes = CLASSES;
    for (int c = 0; c < 4; c++)
        d->stddev[c] = 1;
    for (int s = 0; s < (with_test ? SPLITS : 1); s++) {
        struct split *split = &d->split[s];
        split->count = s == SPLIT_TRAIN ? TRAIN : TEST;
        split->pixel = mem_array((size_t)split->count, SIDE * SIDE);
        split->label = mem_array((size_t)split->count, sizeof *split->label);
        assert_true(split->pixel && split->label);
        for (int64_t i = 0; i < split->count; i++) {
            struct rng r = rng_at(3, (uint64_t)s, (uint64_t)i << 16);
            uint8_t *p = split->pixel + i * SIDE * SIDE;
            split->label[i] = (int32_t)rng_below(&r, CLASSES);
            int at = (int)rng_below(&r, SIDE);
            for (int k = 0; k < SIDE * SIDE; k++) {
                int y = k / SIDE, x = k % SIDE;
                bool lit = split->label[i] == 0 ? y == at : split->label[i] == 1 ? x == at : y == x;
                p[k] = (uint8_t)(rng_below(&r, 90) + (lit ? 150 : 0));
            }
        }
    }
    return d;
}

static inline int add_weight(struct graph *g, const char *name, struct shape s, uint64_t stream)
{
    int64_t count = shape_count(&s);
    float *init = mem_array((size_t)count, sizeof *init);
    struct rng r = rng_at(11, stream, 0);

    for (int64_t i = 0; i < count; i++)
        init[i] = (float)(0.3 * rng_normal(&r));
    int index = graph_add_param(g, name, &s, true, init, NULL);
    free(init);
    return index;
}

/* conv 4@3x3 - relu - flatten - fc 3 */
static inline struct graph *toy_graph(void)
{
    struct graph *g = graph_new("toy");
    struct err e = { 0 };
    int in = graph_add_input(g, "x", &(struct shape){ 3, { 1, SIDE, SIDE } }, &e);
    int w1 = add_weight(g, "conv.weight", (struct shape){ 4, { 4, 1, 3, 3 } }, 1);
    int w2 = add_weight(g, "fc.weight", (struct shape){ 2, { CLASSES, 4 * 36 } }, 2);
    int b2 = add_weight(g, "fc.bias", (struct shape){ 1, { CLASSES } }, 3);
    int a = graph_add_value(g, "a", &e), b = graph_add_value(g, "b", &e), c = graph_add_value(g, "c", &e),
        y = graph_add_value(g, "y", &e);

    graph_add_node(g, "Conv", "conv", (int[]){ in, w1 }, 2, &a, 1, &e);
    graph_add_node(g, "Relu", "relu", &a, 1, &b, 1, &e);
    graph_add_node(g, "Flatten", "flat", &b, 1, &c, 1, &e);
    int fc = graph_add_node(g, "Gemm", "fc", (int[]){ c, w2, b2 }, 3, &y, 1, &e);
    node_set_int(&g->node[fc], "transB", 1);
    g->output[g->outputs++] = y;
    if (graph_finish(g, &e))
        fail_msg("%s at %s", e.text, e.place);
    return g;
}

#endif
