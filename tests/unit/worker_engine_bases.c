/* Learned bases and levels by bit planes against the float executor. All numbers are sums of few powers of
 * two here, so that neither rounds: both must agree to the last bit, thresholds that are met included, in
 * every set, for any threads, for many samples and for one. */
#include "tests/unit/engine_memory.h"

#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCKS = 2 };

static struct err failure;

static int ok(int status)
{
    if (status < 0)
        fail_msg("%s (%s)", failure.text, failure.place);
    return status;
}

static int add_node(struct graph *g, const char *op, const char *name, const int *input, int inputs)
{
    char text[64];
    snprintf(text, sizeof text, "%s.out", name);
    int y = ok(graph_add_value(g, text, &failure));
    ok(graph_add_node(g, op, name, input, inputs, &y, 1, &failure));
    return y;
}

static int add_numbers(struct graph *g, const char *name, const char *end, const float *x, int count)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", name, end);
    return ok(graph_add_param(g, text, &(struct shape){ 1, { count } }, false, x, &failure));
}

static int levels(struct graph *g, const char *name, int x, int count, const float *level)
{
    float threshold[16] = { 0 };
    for (int i = 0; i + 1 < count; i++)
        threshold[i] = (level[i] + level[i + 1]) / 2;
    const int t = add_numbers(g, name, "thresholds", threshold, count - 1);
    return add_node(g, "QuantdLevels", name, (int[]){ x, t, add_numbers(g, name, "levels", level, count) },
                    3);
}

/* QuantizeLinear and DequantizeLinear on bytes. */
static int bytes(struct graph *g, const char *name, int x, float step, int zero)
{
    char text[64];
    struct tensor *t = tensor_new(DTYPE_UINT8, &(struct shape){ 0 });
    assert_non_null(t);
    *(uint8_t *)t->data = (uint8_t)zero;
    snprintf(text, sizeof text, "%s.zero", name);
    const int point = ok(graph_add_const(g, text, t, &failure));
    snprintf(text, sizeof text, "%s.step", name);
    const int scale = ok(graph_add_param(g, text, &(struct shape){ 0 }, false, &step, &failure));
    snprintf(text, sizeof text, "%s.q", name);
    x = add_node(g, "QuantizeLinear", text, (int[]){ x, scale, point }, 3);
    return add_node(g, "DequantizeLinear", name, (int[]){ x, scale, point }, 3);
}

/* Weights on a basis of `planes` numbers for each channel of the axis (-1: one basis); planes 0: uniform of
 * two bits. The bias is in floating point. */
static int layer(struct graph *g, const char *op, const char *name, int x, struct shape shape, int planes,
                 int axis)
{
    const size_t count = (size_t)shape_count(&shape);
    const struct value_codes like = { .bits = planes ? planes : 2,
                                      .planes = planes,
                                      .axis = axis,
                                      .channels = axis < 0 ? 1 : shape.dim[axis] };
    struct rng r = rng_at(7, (uint64_t)g->values, 0);
    struct value_codes *c = value_codes_new(&like, count);
    float bias[16];
    char text[64];
    assert_non_null(c);
    for (size_t i = 0; i < value_codes_scales(c); i++)
        c->scale[i] = (float)(1 + rng_below(&r, 15)) / 32;
    for (size_t i = 0; i < count; i++)
        c->code[i] =
            planes ? 2 * (int)rng_below(&r, 1u << planes) - (1 << planes) + 1 : (int)rng_below(&r, 4) - 2;
    for (int i = 0; i < 16; i++)
        bias[i] = (float)(i - 5) / 16;
    snprintf(text, sizeof text, "%s.weight", name);
    const int weight = ok(graph_add_param(g, text, &shape, true, NULL, &failure));
    value_codes_numbers(c, &shape, g->param + g->value[weight].offset);
    g->value[weight].codes = c;
    const int b = add_numbers(g, name, "bias", bias, (int)shape.dim[0]);
    const int y = add_node(g, op, name, (int[]){ x, weight, b }, 3);
    if (shape.rank == 2)
        ok(node_set_int(&g->node[g->nodes - 1], "transB", 1));
    return y;
}

static void set_last(struct graph *g, const char *name, int64_t number, size_t count)
{
    ok(node_set_ints(&g->node[g->nodes - 1], name, (int64_t[]){ number, number, number, number }, count));
}

static struct graph *start(int channels, int side, int *x)
{
    struct graph *g = graph_new("test");
    assert_non_null(g);
    g->batched = true;
    *x = ok(graph_add_input(g, "input", &(struct shape){ 3, { channels, side, side } }, &failure));
    return g;
}

static struct graph *finish(struct graph *g, int y)
{
    g->output[g->outputs++] = y;
    ok(graph_finish(g, &failure));
    return g;
}

/* Levels of either sign on the input, uniform weights on them; levels of sums, with padding, before a pool;
 * eight levels whose order is not that of their bits; one bit. */
static struct graph *deep(void)
{
    static const float signs[] = { -0.75f, -0.25f, 0.25f, 0.75f }, two[] = { 0, 0.5f, 1.25f, 1.75f },
                       three[] = { 0, 0.5f, 0.75f, 1.125f, 1.25f, 1.625f, 1.875f, 2.375f },
                       one[] = { 0, 1.5f };
    int x;
    struct graph *g = start(3, 12, &x);
    x = levels(g, "l0", x, 4, signs);
    x = layer(g, "Conv", "conv1", x, (struct shape){ 4, { 8, 3, 1, 1 } }, 0, 0);
    x = levels(g, "l1", add_node(g, "Relu", "relu1", &x, 1), 4, two);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 6, 8, 3, 3 } }, 2, 0);
    set_last(g, "pads", 1, 4);
    x = add_node(g, "MaxPool", "max", &x, 1);
    set_last(g, "kernel_shape", 2, 2);
    set_last(g, "strides", 2, 2);
    x = levels(g, "l2", add_node(g, "Relu", "relu2", &x, 1), 8, three);
    x = layer(g, "Conv", "conv3", x, (struct shape){ 4, { 5, 6, 3, 3 } }, 3, -1);
    x = levels(g, "l3", x, 2, one);
    x = add_node(g, "Flatten", "flat", &x, 1);
    return finish(g, layer(g, "Gemm", "fc", x, (struct shape){ 2, { 7, 80 } }, 2, 0));
}

/* Codes of 8 bits under a basis. */
static struct graph *wide(void)
{
    int x;
    struct graph *g = start(5, 6, &x);
    x = bytes(g, "q", x, 1.0f / 16, 100);
    x = layer(g, "Conv", "conv", x, (struct shape){ 4, { 6, 5, 3, 3 } }, 2, 0);
    set_last(g, "pads", 1, 4);
    return finish(g, x);
}

static void fill(real *x, size_t count)
{
    struct rng r = rng_at(11, 2, 0);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)((double)rng_below(&r, 512) / 64 - 4);
}

static void compare(struct graph *g, const struct kernels *k, struct pool *pool, int layers)
{
    const size_t in = (size_t)shape_count(&g->value[g->input].shape) * LANES * BLOCKS;
    const size_t out = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES * BLOCKS;
    const struct engine_options options = { .kernels = k, .pool = pool, .bits = BITS_ALWAYS };
    struct net *net;
    struct engine *n;
    real *y = mem_aligned(64, out * sizeof *y);
    ok(net_new(g, &(struct net_options){ .batch = BLOCKS * LANES, .kernels = k }, &net, &failure));
    ok(engine_new(g, &options, &n, &failure));
    fill(net_input(net), in);
    net_forward(net, BLOCKS * LANES, false, 0);
    const real *want = net_output(net, 0);
    for (int samples = BLOCKS * LANES; samples > 0; samples -= BLOCKS * LANES - 1) {
        engine_run(n, net_input(net), samples, y);
        for (size_t i = 0; i < out; i++)
            if ((samples > 1 || (i < out / BLOCKS && i % LANES == 0)) && y[i] != want[i])
                fail_msg("%s, %d samples: output %zu is %g, not %g", k->name, samples, i, (double)y[i],
                         (double)want[i]);
    }
    assert_int_equal(engine_bit_layers(n), layers);
    free(y);
    engine_free(n);
    net_free(net);
}

static void check(struct graph *g, int layers)
{
    struct pool *pool = pool_new(2);
    assert_non_null(pool);
    for (int k = 0; kernels_list[k]; k++)
        if (kernels_list[k]->usable()) {
            compare(g, kernels_list[k], NULL, layers);
            compare(g, kernels_list[k], pool, layers);
        }
    pool_free(pool);
    graph_free(g);
}

static void test_levels_and_bases(void **state)
{
    (void)state;
    check(deep(), 4);
}

static void test_codes_under_a_basis(void **state)
{
    (void)state;
    check(wide(), 1);
}

static void refused(struct graph *g, bool bits, const char *place)
{
    const struct engine_options options = { .kernels = kernels_best(),
                                            .bits = bits ? BITS_ALWAYS : BITS_WHERE_THEY_PAY };
    struct engine *n;
    struct err e = { 0 };
    assert_int_equal(engine_new(g, &options, &n, &e), ERR_UNSUPPORTED);
    assert_null(n);
    assert_string_equal(e.place, place);
    graph_free(g);
}

static void test_refused(void **state)
{
    static const float signs[] = { -0.75f, -0.25f, 0.25f, 0.75f }, stray[] = { 0, 1, 2, 4 };
    int x;
    struct graph *g;
    (void)state;
    refused(deep(), false, "node l0 (QuantdLevels)");
    refused(wide(), false, "node conv (Conv)");

    g = start(3, 4, &x);
    refused(finish(g, layer(g, "Conv", "conv", levels(g, "l", x, 4, stray),
                            (struct shape){ 4, { 2, 3, 1, 1 } }, 2, 0)),
            true, "node l (QuantdLevels)");

    g = start(3, 4, &x); /* padding would need a level at zero */
    x = layer(g, "Conv", "conv", levels(g, "l", x, 4, signs), (struct shape){ 4, { 2, 3, 3, 3 } }, 2, 0);
    set_last(g, "pads", 1, 4);
    refused(finish(g, x), true, "node conv (Conv)");

    g = start(4, 4, &x);
    x = layer(g, "Conv", "conv", levels(g, "l", x, 4, signs), (struct shape){ 4, { 4, 1, 1, 1 } }, 2, 0);
    ok(node_set_int(&g->node[g->nodes - 1], "group", 4));
    refused(finish(g, x), true, "node conv (Conv)");
}

static void test_out_of_memory(void **state)
{
    struct graph *g = deep();
    const struct engine_options options = { .kernels = kernels_best(), .bits = BITS_ALWAYS };
    (void)state;
    engine_without_memory(g, &options);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_and_bases),
        cmocka_unit_test(test_codes_under_a_basis),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
