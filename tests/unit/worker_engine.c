/* The integer engine against the float executor. All scales are powers of two here, so that floating point
 * makes no error either: both must agree to the last bit, halves included, in every set, for any threads, and
 * by bit planes. */
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

enum { BLOCKS = 3, BIT_LAYERS = 1 /* conv2 of either network */ };

static struct err failure;

static void ok(int status)
{
    if (status < 0)
        fail_msg("%s (%s)", failure.text, failure.place);
}

static int add_node(struct graph *g, const char *op, const char *name, const int *input, int inputs)
{
    char text[64];
    snprintf(text, sizeof text, "%s.out", name);
    int y = graph_add_value(g, text, &failure);
    ok(y);
    ok(graph_add_node(g, op, name, input, inputs, &y, 1, &failure));
    return y;
}

static int add_one(struct graph *g, const char *op, const char *name, int x)
{
    return add_node(g, op, name, &x, 1);
}

static int add_byte(struct graph *g, const char *name, const char *end, enum dtype dtype, int value)
{
    char text[64];
    struct tensor *t = tensor_new(dtype, &(struct shape){ 0 });
    assert_non_null(t);
    *(int8_t *)t->data = (int8_t)value;
    snprintf(text, sizeof text, "%s.%s", name, end);
    int v = graph_add_const(g, text, t, &failure);
    ok(v);
    return v;
}

/* QuantizeLinear, Clip to [low, high], DequantizeLinear. */
static int quantized(struct graph *g, const char *name, int x, float step, int zero, int low, int high)
{
    const enum dtype dtype = low < 0 ? DTYPE_INT8 : DTYPE_UINT8;
    char text[64];
    snprintf(text, sizeof text, "%s.step", name);
    int scale = graph_add_param(g, text, &(struct shape){ 0 }, false, &step, &failure);
    ok(scale);
    int point = add_byte(g, name, "zero", dtype, zero);
    snprintf(text, sizeof text, "%s.q", name);
    int q = add_node(g, "QuantizeLinear", text, (int[]){ x, scale, point }, 3);
    snprintf(text, sizeof text, "%s.clip", name);
    int clip = add_node(
        g, "Clip", text,
        (int[]){ q, add_byte(g, name, "low", dtype, low), add_byte(g, name, "high", dtype, high) }, 3);
    snprintf(text, sizeof text, "%s.dq", name);
    return add_node(g, "DequantizeLinear", text, (int[]){ clip, scale, point }, 3);
}

/* A parameter of codes in [-most, most] times scale; along an axis, scale and half of it in turns. */
static int coded(struct graph *g, const char *name, const struct shape *shape, int most, int bits,
                 float scale, int axis)
{
    const size_t count = (size_t)shape_count(shape), channels = axis < 0 ? 1 : (size_t)shape->dim[axis];
    const size_t inner = axis < 0 || axis == shape->rank - 1 ? 1 : count / channels;
    struct rng r = rng_at(5, (uint64_t)g->values, 0);
    struct value_codes *c = mem_alloc(sizeof *c);
    float *values = mem_array(count, sizeof *values);
    c->scale = mem_array(channels, sizeof *c->scale);
    c->code = mem_array(count, sizeof *c->code);
    c->bits = bits;
    c->axis = axis;
    c->channels = (int64_t)channels;
    for (size_t i = 0; i < channels; i++)
        c->scale[i] = i % 2 ? scale / 2 : scale;
    for (size_t i = 0; i < count; i++) {
        c->code[i] = (int32_t)rng_below(&r, (uint32_t)(2 * most + 1)) - most;
        values[i] = (float)c->code[i] * c->scale[i / inner % channels];
    }
    int v = graph_add_param(g, name, shape, true, values, &failure);
    ok(v);
    g->value[v].codes = c;
    free(values);
    return v;
}

static bool per_channel; /* layers have a scale for each output */
static bool turned;      /* matrices of Gemm have their outputs in columns */

static int layer(struct graph *g, const char *op, const char *name, int x, struct shape shape, float step,
                 float scale)
{
    const int axis = turned && shape.rank == 2 ? 1 : 0;
    char w[64], b[64];
    snprintf(w, sizeof w, "%s.weight", name);
    snprintf(b, sizeof b, "%s.bias", name);
    if (axis)
        shape = (struct shape){ 2, { shape.dim[1], shape.dim[0] } };
    const int weight = coded(g, w, &shape, 7, 4, scale, per_channel ? axis : -1);
    const int bias =
        coded(g, b, &(struct shape){ 1, { shape.dim[axis] } }, 50, 32, step * scale, per_channel ? 0 : -1);
    const int y = add_node(g, op, name, (int[]){ x, weight, bias }, 3);
    if (shape.rank == 2)
        ok(node_set_int(&g->node[g->nodes - 1], "transB", !axis));
    return y;
}

static void padded(struct graph *g, int64_t stride)
{
    ok(node_set_ints(&g->node[g->nodes - 1], "pads", (int64_t[]){ 1, 1, 1, 1 }, 4));
    ok(node_set_ints(&g->node[g->nodes - 1], "strides", (int64_t[]){ stride, stride }, 2));
}

/* gamma / sqrt(variance) is a power of two, of either sign. */
static int normalized(struct graph *g, const char *name, int x, int channels)
{
    static const char *const ends[] = { "gamma", "beta", "mean", "variance" };
    int input[5] = { x };
    for (int i = 0; i < 4; i++) {
        char text[64];
        float values[16];
        for (int c = 0; c < channels; c++)
            values[c] = i == 0 ? (c % 3 ? 1 : -2) : i == 3 ? 4 : (float)(c - 3) / 4;
        snprintf(text, sizeof text, "%s.%s", name, ends[i]);
        input[i + 1] = graph_add_param(g, text, &(struct shape){ 1, { channels } }, false, values, &failure);
        ok(input[i + 1]);
    }
    int y = add_node(g, "BatchNormalization", name, input, 5);
    ok(node_set_float(&g->node[g->nodes - 1], "epsilon", 0));
    return y;
}

static struct graph *start(int channels, int side, int *x)
{
    struct graph *g = graph_new("test");
    assert_non_null(g);
    g->batched = true;
    *x = graph_add_input(g, "input", &(struct shape){ 3, { channels, side, side } }, &failure);
    ok(*x);
    return g;
}

static void finish(struct graph *g, int y)
{
    g->output[g->outputs++] = y;
    ok(graph_finish(g, &failure));
}

/* A residual block with everything in it, as the exporter writes it. */
static struct graph *residual(void)
{
    int x;
    struct graph *g = start(3, 8, &x);
    x = quantized(g, "q0", x, 1.0f / 8, 0, -128, 127);
    x = layer(g, "Conv", "conv1", x, (struct shape){ 4, { 8, 3, 3, 3 } }, 1.0f / 8, 1.0f / 16);
    padded(g, 1);
    const int way = add_one(g, "Relu", "relu1", normalized(g, "bn1", x, 8));
    x = quantized(g, "q1", way, 1.0f / 4, 0, 0, 15);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 8, 8, 3, 3 } }, 1.0f / 4, 1.0f / 32);
    padded(g, 1);
    x = normalized(g, "bn2", x, 8);
    x = add_node(g, "Add", "add", (int[]){ x, way }, 2);
    const int second = add_one(g, "Relu", "relu2", x);
    x = quantized(g, "q2", second, 1.0f / 2, 3, 0, 255);
    x = layer(g, "Conv", "conv3", x, (struct shape){ 4, { 8, 8, 3, 3 } }, 1.0f / 2, 1.0f / 32);
    padded(g, 1);
    x = add_node(g, "Add", "add2", (int[]){ second, x }, 2);
    x = add_one(g, "GlobalAveragePool", "mean", add_one(g, "Relu", "relu3", x));
    x = quantized(g, "q3", add_one(g, "Flatten", "flat", x), 1.0f / 8, 0, 0, 255);
    x = layer(g, "Gemm", "fc", x, (struct shape){ 2, { 5, 8 } }, 1.0f / 8, 1.0f / 64);
    finish(g, x);
    return g;
}

/* Pools before their quantizer, a stride, groups, and a matrix over a whole image; the output is numbers. */
static struct graph *pooled(void)
{
    int x;
    struct graph *g = start(6, 9, &x);
    x = quantized(g, "q0", x, 1.0f / 4, 100, 0, 255);
    x = layer(g, "Conv", "conv1", x, (struct shape){ 4, { 6, 1, 3, 3 } }, 1.0f / 4, 1.0f / 8);
    padded(g, 1);
    ok(node_set_int(&g->node[g->nodes - 1], "group", 6));
    x = add_one(g, "MaxPool", "max", x);
    ok(node_set_ints(&g->node[g->nodes - 1], "kernel_shape", (int64_t[]){ 3, 3 }, 2));
    ok(node_set_ints(&g->node[g->nodes - 1], "pads", (int64_t[]){ 1, 1, 0, 0 }, 4));
    x = quantized(g, "q1", add_one(g, "Relu", "relu", x), 1.0f / 2, 0, -8, 7);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 5, 6, 3, 3 } }, 1.0f / 2, 1.0f / 16);
    padded(g, 2);
    x = add_one(g, "Flatten", "flat", quantized(g, "q2", x, 1.0f / 2, 0, -128, 127));
    x = layer(g, "Gemm", "fc", x, (struct shape){ 2, { 7, 80 } }, 1.0f / 2, 1.0f / 32);
    finish(g, add_one(g, "Relu", "last", x));
    return g;
}

/* Sums that are flat when they are quantized. */
static struct graph *flattened(void)
{
    int x;
    struct graph *g = start(3, 5, &x);
    x = quantized(g, "q0", x, 1.0f / 8, 0, 0, 15);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 5, 3, 3, 3 } }, 1.0f / 8, 1.0f / 32);
    x = quantized(g, "q1", add_one(g, "Flatten", "flat", x), 1.0f / 4, 0, -128, 127);
    x = layer(g, "Gemm", "fc", x, (struct shape){ 2, { 7, 45 } }, 1.0f / 4, 1.0f / 32);
    finish(g, x);
    return g;
}

/* What tiles must do: windows that lie elsewhere than their tiles, ragged ends, pools and strides inside, and
 * a matrix over a whole picture. */
static struct graph *cut(void)
{
    int x;
    struct graph *g = start(3, 18, &x);
    x = quantized(g, "q0", x, 1.0f / 8, 0, -128, 127);
    x = layer(g, "Conv", "conv1", x, (struct shape){ 4, { 6, 3, 3, 3 } }, 1.0f / 8, 1.0f / 16);
    x = quantized(g, "q1", add_one(g, "Relu", "relu1", x), 1.0f / 4, 0, 0, 15);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 6, 6, 3, 3 } }, 1.0f / 4, 1.0f / 16);
    padded(g, 1);
    x = add_one(g, "MaxPool", "max", add_one(g, "Relu", "relu2", x));
    ok(node_set_ints(&g->node[g->nodes - 1], "kernel_shape", (int64_t[]){ 2, 2 }, 2));
    ok(node_set_ints(&g->node[g->nodes - 1], "strides", (int64_t[]){ 2, 2 }, 2));
    x = quantized(g, "q2", x, 1.0f / 2, 0, 0, 255);
    x = layer(g, "Conv", "conv3", x, (struct shape){ 4, { 7, 6, 5, 5 } }, 1.0f / 2, 1.0f / 32);
    ok(node_set_ints(&g->node[g->nodes - 1], "pads", (int64_t[]){ 2, 2, 2, 2 }, 4));
    ok(node_set_ints(&g->node[g->nodes - 1], "strides", (int64_t[]){ 2, 2 }, 2));
    x = quantized(g, "q3", x, 1.0f / 2, 0, -128, 127);
    x = layer(g, "Conv", "conv4", x, (struct shape){ 4, { 5, 7, 2, 2 } }, 1.0f / 2, 1.0f / 32);
    x = quantized(g, "q4", add_one(g, "Flatten", "flat", x), 1.0f / 2, 0, -128, 127);
    x = layer(g, "Gemm", "fc", x, (struct shape){ 2, { 7, 45 } }, 1.0f / 2, 1.0f / 32);
    finish(g, x);
    return g;
}

/* Numbers of a picture, because two read them, that are flat when they are quantized: no tiles. */
static struct graph *flat_numbers(void)
{
    int x;
    struct graph *g = start(3, 6, &x);
    x = quantized(g, "q0", x, 1.0f / 8, 0, 0, 15);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 5, 3, 3, 3 } }, 1.0f / 8, 1.0f / 32);
    x = add_one(g, "Relu", "relu", x);
    int mean = add_one(g, "Flatten", "short", add_one(g, "GlobalAveragePool", "mean", x));
    mean = quantized(g, "q1", mean, 1.0f / 8, 0, 0, 255);
    mean = layer(g, "Gemm", "fc1", mean, (struct shape){ 2, { 7, 5 } }, 1.0f / 8, 1.0f / 32);
    x = quantized(g, "q2", add_one(g, "Flatten", "flat", x), 1.0f / 4, 0, 0, 255);
    x = layer(g, "Gemm", "fc2", x, (struct shape){ 2, { 7, 80 } }, 1.0f / 4, 1.0f / 32);
    finish(g, add_node(g, "Add", "add", (int[]){ x, mean }, 2));
    return g;
}

/* A picture comes out, of an odd size: what is added is the picture that went in. */
static struct graph *picture(void)
{
    int x;
    struct graph *g = start(1, 13, &x);
    const int low = quantized(g, "q0", x, 1.0f / 8, 0, -128, 127);
    x = layer(g, "Conv", "conv1", low, (struct shape){ 4, { 6, 1, 3, 3 } }, 1.0f / 8, 1.0f / 16);
    padded(g, 1);
    x = quantized(g, "q1", add_one(g, "Relu", "relu1", x), 1.0f / 4, 0, 0, 15);
    x = layer(g, "Conv", "conv2", x, (struct shape){ 4, { 6, 6, 3, 3 } }, 1.0f / 4, 1.0f / 16);
    padded(g, 1);
    x = quantized(g, "q2", add_one(g, "Relu", "relu2", x), 1.0f / 2, 0, 0, 255);
    x = layer(g, "Conv", "conv3", x, (struct shape){ 4, { 1, 6, 3, 3 } }, 1.0f / 2, 1.0f / 32);
    padded(g, 1);
    finish(g, add_node(g, "Add", "add", (int[]){ x, low }, 2));
    return g;
}

static void fill(real *x, size_t count)
{
    struct rng r = rng_at(11, 2, 0);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)((double)rng_below(&r, 4096) / 128 - 16);
}

/* Few samples go through tiles where the network can be cut: the same bits, and nothing else is written. */
static void compare_few(struct engine *n, const real *x, int samples, int outputs, bool tiled,
                        const real *want)
{
    const int blocks = (samples + LANES - 1) / LANES, after = samples % LANES;
    const size_t count = (size_t)blocks * (size_t)outputs * LANES;
    real *y = mem_aligned(64, count * sizeof *y);
    for (size_t i = 0; i < count; i++)
        y[i] = -12345;
    engine_run(n, x, samples, y);
    for (size_t i = 0; i < count; i++) {
        const int sample = (int)(i / LANES / (size_t)outputs) * LANES + (int)(i % LANES);
        if (sample < samples && y[i] != want[i])
            fail_msg("%d samples: output %zu is %g, not %g", samples, i, (double)y[i], (double)want[i]);
        if (sample >= samples && after)
            assert_int_equal(tiled, y[i] == -12345);
    }
    free(y);
}

static void compare(struct graph *g, bool tiled, const struct kernels *k, struct pool *pool,
                    enum engine_bits bits)
{
    const size_t in = (size_t)shape_count(&g->value[g->input].shape) * LANES * BLOCKS;
    const size_t out = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES * BLOCKS;
    const struct net_options net_options = { .batch = BLOCKS * LANES, .kernels = k };
    const struct engine_options options = { .kernels = k, .pool = pool, .bits = bits };
    struct net *net;
    struct engine *n;
    real *y = mem_aligned(64, out * sizeof *y);
    ok(net_new(g, &net_options, &net, &failure));
    ok(engine_new(g, &options, &n, &failure));
    fill(net_input(net), in);
    net_forward(net, BLOCKS * LANES, false, 0);
    engine_run(n, net_input(net), BLOCKS * LANES, y);
    const real *want = net_output(net, 0);
    for (size_t i = 0; i < out; i++)
        if (y[i] != want[i])
            fail_msg("%s: output %zu is %g, not %g", k->name, i, (double)y[i], (double)want[i]);
    const int outputs = (int)(out / LANES / BLOCKS);
    compare_few(n, net_input(net), 1, outputs, tiled, want);
    compare_few(n, net_input(net), 2 * LANES + 2, outputs, tiled, want);
    assert_int_equal(engine_bit_layers(n), bits == BITS_ALWAYS ? BIT_LAYERS : 0);
    free(y);
    engine_free(n);
    net_free(net);
}

static void check(struct graph *g, bool tiled)
{
    struct pool *pool = pool_new(2);
    assert_non_null(pool);
    for (int k = 0; kernels_list[k]; k++)
        if (kernels_list[k]->usable()) {
            compare(g, tiled, kernels_list[k], NULL, BITS_NEVER);
            compare(g, tiled, kernels_list[k], pool, BITS_NEVER);
            compare(g, tiled, kernels_list[k], pool, BITS_ALWAYS);
        }
    pool_free(pool);
    graph_free(g);
}

static void test_residual(void **state)
{
    (void)state;
    check(residual(), true);
}

static void test_flattened(void **state)
{
    (void)state;
    check(flattened(), true);
    check(flat_numbers(), false);
}

static void test_pooled(void **state)
{
    (void)state;
    check(pooled(), false);
}

static void test_a_scale_for_each_output(void **state)
{
    (void)state;
    per_channel = true;
    check(residual(), true);
    check(pooled(), false);
    turned = true;
    check(pooled(), false);
    turned = per_channel = false;
}

static void test_tiles(void **state)
{
    (void)state;
    check(cut(), true);
    check(picture(), true);
}

static void refused(struct graph *g, const char *place)
{
    const struct engine_options options = { .kernels = kernels_best() };
    struct engine *n;
    struct err e = { 0 };
    assert_int_equal(engine_new(g, &options, &n, &e), ERR_UNSUPPORTED);
    assert_null(n);
    assert_string_equal(e.place, place);
    graph_free(g);
}

static void test_what_is_no_integer_is_refused(void **state)
{
    int x;
    struct graph *g = start(3, 4, &x);
    (void)state;
    finish(g, layer(g, "Conv", "conv", x, (struct shape){ 4, { 2, 3, 1, 1 } }, 1, 1));
    refused(g, "node conv (Conv)");

    g = start(3, 4, &x);
    x = layer(g, "Conv", "conv", quantized(g, "q", x, 1, 0, 0, 255), (struct shape){ 4, { 2, 3, 1, 1 } }, 1,
              1);
    finish(g, add_one(g, "Sigmoid", "squash", x));
    refused(g, "node squash (Sigmoid)");

    g = start(3, 4, &x);
    x = layer(g, "Conv", "conv", quantized(g, "q", x, 1, 0, 0, 255), (struct shape){ 4, { 2, 3, 1, 1 } }, 1,
              1);
    finish(g, x);
    struct value *w = &g->value[graph_find_value(g, "conv.weight")];
    w->codes->code[1] = 200;
    refused(g, "node conv (Conv)");
}

/* The figure for the plan of memory is what a limit is held against. */
static void test_limit(void **state)
{
    struct graph *g = residual();
    struct engine_options options = { .kernels = kernels_best() };
    struct engine *n;
    (void)state;
    ok(engine_new(g, &options, &n, &failure));
    options.limit = engine_bytes(n) - 1;
    engine_free(n);
    assert_int_equal(engine_new(g, &options, &n, &failure), ERR_MEMORY);
    options.limit++;
    ok(engine_new(g, &options, &n, &failure));
    engine_free(n);
    graph_free(g);
}

static void test_out_of_memory(void **state)
{
    struct graph *g = residual();
    const struct engine_options options = { .kernels = kernels_best() };
    (void)state;
    engine_without_memory(g, &options);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_pooled),
        cmocka_unit_test(test_flattened),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_a_scale_for_each_output),
        cmocka_unit_test(test_what_is_no_integer_is_refused),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
