/* Nets on codes: the forward pass says what float says, gradients say it, too, and differ by bf16's rounding
 * in mixed precision; and none of it depends on the number of threads. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/precision.h"
#include "worker/kernels/bf16.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"
#include "worker/quant/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/distance.h"

enum { BATCH = 40, CLASSES = 6, LAYERS = 8 };

static int add_param(struct graph *g, const char *name, struct shape s, uint64_t stream)
{
    struct rng r = rng_at(17, stream, 0);
    static float init[64 * 64 * 9];

    assert_true(shape_count(&s) <= 64 * 64 * 9);
    for (int64_t i = 0; i < shape_count(&s); i++)
        init[i] = (float)rng_normal(&r) * 0.2f;
    return graph_add_param(g, name, &s, true, init, NULL);
}

static int add_layer(struct graph *g, const char *op, const char *name, int x, struct shape weight, int pad,
                     int stride)
{
    char text[64];
    const int64_t pads[] = { pad, pad, pad, pad }, strides[] = { stride, stride };

    snprintf(text, sizeof text, "%s.weight", name);
    int w = add_param(g, text, weight, (uint64_t)g->values);
    snprintf(text, sizeof text, "%s.bias", name);
    int b = add_param(g, text, (struct shape){ 1, { weight.dim[0] } }, (uint64_t)g->values);
    int y = graph_add_value(g, name, NULL);
    int node = graph_add_node(g, op, name, (int[]){ x, w, b }, 3, &y, 1, NULL);
    assert_true(node >= 0);
    if (weight.rank == 4) {
        node_set_ints(&g->node[node], "pads", pads, 4);
        node_set_ints(&g->node[node], "strides", strides, 2);
    } else {
        node_set_int(&g->node[node], "transB", 1);
    }
    return y;
}

static int add_plain(struct graph *g, const char *op, const char *name, int x)
{
    int y = graph_add_value(g, name, NULL);
    assert_true(graph_add_node(g, op, name, &x, 1, &y, 1, NULL) >= 0);
    return y;
}

/* A ReLU with a ceiling. */
static int add_clip(struct graph *g, const char *name, int x, double ceiling)
{
    int y = add_plain(g, "Clip", name, x);
    struct node *n = &g->node[g->nodes - 1];
    assert_true(node_set_float(n, "min", 0) >= 0 && node_set_float(n, "max", ceiling) >= 0);
    return y;
}

static int add_norm(struct graph *g, const char *name, int x, int channels)
{
    const struct shape each = { 1, { channels } };
    float one[16];

    for (int i = 0; i < channels; i++)
        one[i] = 1;
    char text[4][64];
    for (int i = 0; i < 4; i++)
        snprintf(text[i], sizeof text[i], "%s.%d", name, i);
    int gamma = graph_add_param(g, text[0], &each, true, one, NULL);
    int beta = add_param(g, text[1], each, (uint64_t)g->values), mean = add_param(g, text[2], each, 3);
    int variance = graph_add_param(g, text[3], &each, false, one, NULL);
    int y = graph_add_value(g, name, NULL);
    g->value[mean].trainable = false;
    assert_true(graph_add_node(g, "BatchNormalization", name, (int[]){ x, gamma, beta, mean, variance }, 5,
                               &y, 1, NULL) >= 0);
    return y;
}

static int add_sum(struct graph *g, const char *name, int a, int b)
{
    int y = graph_add_value(g, name, NULL);
    assert_true(graph_add_node(g, "Add", name, (int[]){ a, b }, 2, &y, 1, NULL) >= 0);
    return y;
}

/* x + normalization(convolution(quantized x)) */
static int add_block(struct graph *g, const char *name, int x)
{
    char text[3][32];
    snprintf(text[0], sizeof text[0], "conv%s", name);
    snprintf(text[1], sizeof text[1], "norm%s", name);
    snprintf(text[2], sizeof text[2], "sum%s", name);
    int y = add_layer(g, "Conv", text[0], x, (struct shape){ 4, { 7, 7, 3, 3 } }, 1, 1);
    return add_sum(g, text[2], add_norm(g, text[1], y, 7), x);
}

/* Normalization, ReLU with a ceiling between two levels, and quantizer; two convolutions on one quantized
 * value with another stride and padding; a ReLU (one with such a ceiling) and a quantizer; three residual
 * blocks, with and without a ReLU, whose sums are read as codes and as numbers, the last as codes alone; a
 * matrix. */
static struct graph *small_graph(void)
{
    struct graph *g = graph_new("small");
    struct err e = { 0 };
    int x = graph_add_input(g, "x", &(struct shape){ 3, { 3, 9, 9 } }, NULL);

    x = add_layer(g, "Conv", "first", x, (struct shape){ 4, { 10, 3, 3, 3 } }, 1, 1);
    x = add_norm(g, "norm", x, 10);
    x = add_clip(g, "relu1", x, 0.905);
    int a = add_layer(g, "Conv", "second", x, (struct shape){ 4, { 7, 10, 3, 3 } }, 1, 2);
    int b = add_layer(g, "Conv", "beside", x, (struct shape){ 4, { 7, 10, 1, 1 } }, 0, 2);
    int y = add_plain(g, "Relu", "relu2", add_sum(g, "sum", a, b));
    y = add_layer(g, "Conv", "third", y, (struct shape){ 4, { 7, 7, 3, 3 } }, 1, 1);
    y = add_clip(g, "relu3", y, 0.473);
    y = add_clip(g, "relu4", add_block(g, "A", y), 1.234);
    y = add_plain(g, "Relu", "relu5", add_block(g, "C", add_block(g, "B", y)));
    y = add_plain(g, "Flatten", "flat", y);
    y = add_layer(g, "Gemm", "last", y, (struct shape){ 2, { CLASSES, 7 * 5 * 5 } }, 0, 1);
    g->output[g->outputs++] = y;
    if (graph_finish(g, &e))
        fail_msg("%s %s", e.text, e.place);
    return g;
}

/* Two layers of which Winograd's tiles make the weight gradients; of 64 channels they make both gradients
 * faster than bf16, of 16 they sum pairs of blocks apart. */
static struct graph *wide_graph(int channels)
{
    struct graph *g = graph_new("wide");
    struct err e = { 0 };
    const struct shape weight = { 4, { channels, channels, 3, 3 } };
    int x = graph_add_input(g, "x", &(struct shape){ 3, { channels, 8, 8 } }, NULL);

    x = add_plain(g, "Relu", "relu", add_layer(g, "Conv", "one", x, weight, 1, 1));
    g->output[g->outputs++] = add_layer(g, "Conv", "two", x, weight, 1, 1);
    if (graph_finish(g, &e))
        fail_msg("%s %s", e.text, e.place);
    return g;
}

/* All in float; on codes, backward in float; on codes, backward on bf16. */
enum way { FLOATS, CODES, MIXED, WAYS };

struct made {
    struct graph *g;
    struct quant *q;
    struct net *net;
    struct pool *pool;
};

static struct made bind(struct graph *g, const struct quant_layer_plan *plan, int layers, enum way way,
                        bool per_channel, int threads, const char *kernels, bool apart)
{
    struct made m = { .g = g, .pool = pool_new(threads) };
    struct err e = { 0 };

    const struct quant_options quantize = { .method = &method_msqe,
                                            .grid = grid_find("twos"),
                                            .per_channel = per_channel };
    assert_int_equal(quant_new(m.g, plan, layers, &quantize, &m.q, &e), 0);
    quant_start(m.q, m.g);
    struct net_options o = { .batch = BATCH,
                             .train = true,
                             .precision = way == MIXED ? PRECISION_MIXED : PRECISION_FP32,
                             .codes = way != FLOATS,
                             .kernels = kernels ? kernels_find(kernels) : NULL,
                             .apart = apart,
                             .pool = m.pool };
    if (net_new(m.g, &o, &m.net, &e))
        fail_msg("%s", e.text);
    quant_bind(m.q, m.net);
    quant_apply(m.q, m.g, m.pool);
    return m;
}

static struct made make_net(enum way way, bool per_channel, int threads, const char *kernels, bool apart)
{
    struct quant_layer_plan plan[LAYERS] = {
        { 8, { .bits = 8, .low = -128, .high = 127, .step = (real)0.02, .fixed = false } },
        { 4, { .bits = 8, .low = 0, .high = 255, .step = (real)0.01, .fixed = false } },
        { 2, { .bits = 8, .low = 0, .high = 255, .step = (real)0.01, .fixed = false } },
        { 5, { .bits = 8, .low = -128, .high = 127, .step = (real)0.03, .fixed = false } },
        { 4, { .bits = 6, .low = 0, .high = 63, .step = (real)0.05, .fixed = false } },
        { 4, { .bits = 8, .low = -128, .high = 127, .step = (real)0.04, .fixed = false } },
        { 5, { .bits = 5, .low = -16, .high = 15, .step = (real)0.2, .fixed = false } },
        { 1, { .bits = 6, .low = 0, .high = 63, .step = (real)0.05, .fixed = false } }
    };
    return bind(small_graph(), plan, LAYERS, way, per_channel, threads, kernels, apart);
}

static struct made make(enum way way, bool per_channel, int threads, const char *kernels)
{
    return make_net(way, per_channel, threads, kernels, false);
}

static void made_free(struct made *m)
{
    net_free(m->net);
    quant_free(m->q);
    graph_free(m->g);
    pool_free(m->pool);
}

static int features_of(const struct made *m, int value)
{
    return (int)shape_count(&m->g->value[value].shape);
}

/* Noise for every sample, zeros in the lanes beyond. */
static void fill_noise(const struct made *m, real *x, int features, uint64_t stream)
{
    struct rng r = rng_at(stream, 1, 0);

    memset(x, 0, (size_t)net_blocks(m->net) * (size_t)features * LANES * sizeof *x);
    for (int i = 0; i < BATCH * features; i++)
        x[((ptrdiff_t)(i / features / LANES) * features + i % features) * LANES + i / features % LANES] =
            (real)rng_normal(&r);
}

/* A step on noise: pixels with a sign, gradients that say nothing. */
static void go_forward(struct made *m)
{
    fill_noise(m, net_input(m->net), features_of(m, m->g->input), 23);
    net_forward(m->net, BATCH, true, 0);
}

static void go_backward(struct made *m)
{
    fill_noise(m, net_output_gradient(m->net, 0), features_of(m, m->g->output[0]), 29);
    net_backward(m->net);
}

static void step(struct made *m)
{
    go_forward(m);
    go_backward(m);
}

static const size_t outputs = (size_t)(BATCH + LANES - 1) / LANES * CLASSES * LANES;

/* A normalization takes the bias in front of it out again: its gradient is noise. */
static bool is_judged(const struct value *v)
{
    static const char *const noise[] = { "first.bias", "convA.bias", "convB.bias", "convC.bias" };
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        if (strcmp(v->name, noise[i]) == 0)
            return false;
    return v->kind == VALUE_PARAM && v->trainable;
}

/* How far the gradients of the layers' weights are from each other: the largest, and the least of coded ones.
 */
static void compare_gradients(const struct made *a, const struct made *b, double *most, double *least)
{
    *most = 0;
    *least = 1;
    for (int v = 0; v < a->g->values; v++) {
        const struct value *value = &a->g->value[v];
        if (!is_judged(value) || shape_count(&value->shape) == 1)
            continue;
        double far = distance(net_gradients(b->net) + value->offset, net_gradients(a->net) + value->offset,
                              (size_t)shape_count(&value->shape));
        *most = far > *most ? far : *most;
        *least = value->coded && far < *least ? far : *least;
    }
}

/* A code next to a boundary may fall to the other side than in float: an 8-bit step for one number. */
static void compare_ways(bool per_channel)
{
    struct made plain = make(FLOATS, per_channel, 1, NULL);
    double most, least;

    step(&plain);
    for (const struct kernels *const *k = kernels_list; *k; k++) {
        if (!(*k)->usable())
            continue;
        struct made codes = make(CODES, per_channel, 2, (*k)->name);
        struct made mixed = make(MIXED, per_channel, 2, (*k)->name);
        step(&codes);
        step(&mixed);
        assert_memory_equal(net_output(mixed.net, 0), net_output(codes.net, 0), outputs * sizeof(real));
        assert_true(distance(net_output(codes.net, 0), net_output(plain.net, 0), outputs) < 1e-3);
        compare_gradients(&plain, &codes, &most, &least);
        assert_true(most < 0.01);
        compare_gradients(&codes, &mixed, &most, &least);
        assert_true(most < 0.01 && ((*k)->bf16->fast ? least > 1e-5 : most <= 0)); /* it did round */
        made_free(&codes);
        made_free(&mixed);
    }
    made_free(&plain);
}

static void test_codes_are_float_and_mixed_is_but_for_rounding(void **state)
{
    (void)state;
    compare_ways(false);
    compare_ways(true);
}

static struct made make_wide(int channels, enum way way, int threads, const char *kernels)
{
    static const struct quant_layer_plan plan[2] = {
        { 4, { .bits = 8, .low = -128, .high = 127, .step = (real)0.02, .fixed = false } },
        { 4, { .bits = 8, .low = 0, .high = 255, .step = (real)0.05, .fixed = false } },
    };
    return bind(wide_graph(channels), plan, 2, way, false, threads, kernels, false);
}

/* Where tiles are faster there is no bf16 in mixed precision: bits are those of float on codes. */
static void test_tiles_take_the_place_of_bf16(void **state)
{
    (void)state;
    for (const struct kernels *const *k = kernels_list; *k; k++) {
        if (!(*k)->usable())
            continue;
        struct made plain = make_wide(64, FLOATS, 1, (*k)->name), codes = make_wide(64, CODES, 1, (*k)->name);
        struct made mixed = make_wide(64, MIXED, 3, (*k)->name);
        double most, least;
        step(&plain);
        step(&codes);
        step(&mixed);
        assert_memory_equal(net_gradients(mixed.net), net_gradients(codes.net),
                            codes.g->param_count * sizeof(real));
        compare_gradients(&plain, &codes, &most, &least);
        assert_true(most < 1e-3 && least > 0);
        made_free(&plain);
        made_free(&codes);
        made_free(&mixed);
    }
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (enum way way = FLOATS; way < WAYS; way++) {
        struct made one = make(way, false, 1, NULL);
        step(&one);
        for (int threads = 2; threads <= 3; threads++) {
            struct made many = make(way, false, threads, NULL);
            step(&many);
            assert_memory_equal(net_output(many.net, 0), net_output(one.net, 0), outputs * sizeof(real));
            assert_memory_equal(net_gradients(many.net), net_gradients(one.net),
                                one.g->param_count * sizeof(real));
            made_free(&many);
        }
        made_free(&one);
    }
}

static void test_pairs_of_blocks_do_not_matter(void **state)
{
    (void)state;
    for (const struct kernels *const *k = kernels_list; *k; k++) {
        if (!(*k)->usable())
            continue;
        struct made plain = make_wide(16, FLOATS, 1, (*k)->name), one = make_wide(16, CODES, 1, (*k)->name);
        struct made many = make_wide(16, CODES, 3, (*k)->name);
        double most, least;
        step(&plain);
        step(&one);
        step(&many);
        assert_memory_equal(net_gradients(many.net), net_gradients(one.net),
                            one.g->param_count * sizeof(real));
        compare_gradients(&plain, &one, &most, &least);
        assert_true(most < 1e-3 && least > 0);
        made_free(&plain);
        made_free(&one);
        made_free(&many);
    }
}

enum { NODES = 64 };

/* The node that quantizes this value (or what has its numbers in another shape). */
static int quantizer_of(const struct made *m, const char *name)
{
    int v = graph_find_value(m->g, name);
    assert_true(m->g->nodes <= NODES);
    for (int i = 0; i < m->g->nodes; i++) {
        const struct node *n = &m->g->node[i];
        if (n->input[0] != v)
            continue;
        if (strcmp(n->op->name, "QuantdFakeQuant") == 0)
            return i;
        if (n->op->pass_shape_only)
            v = n->output[0];
    }
    fail();
    return -1;
}

static void assert_same_numbers(const struct made *a, const struct made *b, const char *name)
{
    int v = graph_find_value(a->g, name);
    assert_memory_equal(net_value(a->net, v), net_value(b->net, v),
                        (size_t)net_blocks(a->net) * (size_t)shape_count(&a->g->value[v].shape) * LANES *
                            sizeof(real));
}

/* Normalization, sum, ReLU and quantizer in one pass, and each by itself. */
static void test_a_pass_is_what_its_nodes_are(void **state)
{
    (void)state;
    for (const struct kernels *const *k = kernels_list; *k; k++)
        for (enum way way = FLOATS; way < WAYS && (*k)->usable(); way++) {
            struct made one = make(way, false, 2, (*k)->name);
            struct made apart = make_net(way, false, 1, (*k)->name, true);
            double one_took[NODES][NET_STAGES] = { 0 }, apart_took[NODES][NET_STAGES] = { 0 };
            int beside = quantizer_of(&one, "relu4"), alone = quantizer_of(&one, "relu5");
            net_profile(one.net, one_took);
            net_profile(apart.net, apart_took);
            go_forward(&one);
            go_forward(&apart);
            assert_true(one_took[beside][NET_FORWARD] <= 0 && one_took[alone][NET_FORWARD] > 0);
            assert_true(apart_took[beside][NET_FORWARD] > 0);
            assert_null(net_value(one.net, graph_find_value(one.g, "norm")));
            assert_null(net_value(one.net, graph_find_value(one.g, "relu1")));
            assert_null(net_value(one.net, graph_find_value(one.g, "relu2")));
            assert_null(net_value(one.net, graph_find_value(one.g, "normA")));
            assert_null(net_value(one.net, graph_find_value(one.g, "sumA")));
            assert_same_numbers(&one, &apart, "relu4");
            assert_same_numbers(&one, &apart, "sumB");
            assert_same_numbers(&one, &apart, "relu5");
            assert_non_null(net_value(apart.net, graph_find_value(apart.g, "relu1")));
            assert_memory_equal(net_output(one.net, 0), net_output(apart.net, 0), outputs * sizeof(real));
            go_backward(&one);
            go_backward(&apart);
            for (int v = 0; v < one.g->values; v++) {
                const struct value *value = &one.g->value[v];
                if (!is_judged(value))
                    continue;
                assert_true(distance(net_gradients(one.net) + value->offset,
                                     net_gradients(apart.net) + value->offset,
                                     (size_t)shape_count(&value->shape)) < 1e-3);
            }
            made_free(&one);
            made_free(&apart);
        }
}

/* Quantized inputs exist as codes alone, a quarter of the size. */
static void test_codes_take_the_place_of_numbers(void **state)
{
    struct made plain = make(FLOATS, false, 1, NULL), mixed = make(CODES, false, 1, NULL);
    int v = graph_find_value(mixed.g, "relu1"), quantized = -1;
    (void)state;

    for (int i = 0; i < mixed.g->nodes; i++)
        if (strcmp(mixed.g->node[i].op->name, "QuantdFakeQuant") == 0 && mixed.g->node[i].input[0] == v)
            quantized = mixed.g->node[i].output[0];
    assert_true(quantized >= 0);
    assert_non_null(net_value(plain.net, quantized));
    assert_null(net_value(mixed.net, quantized));
    assert_int_equal(precision_code_bytes(&mixed.g->value[quantized].shape), 12 * 81 * LANES);
    made_free(&plain);
    made_free(&mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_float_and_mixed_is_but_for_rounding),
        cmocka_unit_test(test_tiles_take_the_place_of_bf16),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_pairs_of_blocks_do_not_matter),
        cmocka_unit_test(test_a_pass_is_what_its_nodes_are),
        cmocka_unit_test(test_codes_take_the_place_of_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
