/* Scales of so few bits that floats compute the engine's integers: in two orders of every sum, bit for bit.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/engine/engine.h"
#include "worker/graph/net.h"
#include "worker/kernels/kernels.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/quant/exact.h"
#include "worker/quant/fold.h"
#include "worker/quant/span.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 8, PLANE = SIDE * SIDE, INPUTS = 3, CHANNELS = 8, CLASSES = 10, SAMPLES = 64, WIDEST = 64 };

static struct err failure;

static int ok(int status)
{
    if (status < 0)
        fail_msg("%s (%s)", failure.text, failure.place);
    return status;
}

/* --- a network: a layer, a residual block, a mean, a matrix --- */

struct made {
    struct graph *g;
    struct rng random;
    int weight_bits, high; /* of codes */
};

static int append(struct made *m, const char *op, const char *name, const int *in, int inputs)
{
    const int out = ok(graph_add_value(m->g, name, &failure));
    ok(graph_add_node(m->g, op, name, in, inputs, &out, 1, &failure));
    return out;
}

static int param(struct made *m, const char *layer, const char *what, struct shape s, double low, double high)
{
    float x[CHANNELS * CHANNELS * 9 + CHANNELS * CLASSES];
    char name[80];
    for (int64_t i = 0; i < shape_count(&s); i++)
        x[i] = (float)(low + (high - low) * rng_uniform(&m->random));
    snprintf(name, sizeof name, "%s.%s", layer, what);
    return ok(graph_add_param(m->g, name, &s, true, x, &failure));
}

static int quantized(struct made *m, const char *name, int x, double step)
{
    char step_name[80];
    const float number = (float)step;
    snprintf(step_name, sizeof step_name, "%s.step", name);
    const int in[] = { x, ok(graph_add_param(m->g, step_name, &(struct shape){ 1, { 1 } }, true, &number,
                                             &failure)) };
    const int y = append(m, "QuantdFakeQuant", name, in, 2);
    struct node *n = &m->g->node[m->g->nodes - 1];
    const bool image = x == m->g->input;
    node_set_int(n, "low", image ? -128 : 0);
    node_set_int(n, "high", image ? 127 : m->high);
    return y;
}

/* Random codes, and numbers that are exactly theirs. */
static void give_codes(struct made *m, int weight, int bits, double scale)
{
    struct value *v = &m->g->value[weight];
    const int most = (1 << (bits - 1)) - 1;
    v->codes = value_codes_new(&(struct value_codes){ .bits = bits, .axis = -1, .channels = 1 },
                               (size_t)shape_count(&v->shape));
    assert_non_null(v->codes);
    v->codes->scale[0] = (float)scale;
    for (int64_t i = 0; i < shape_count(&v->shape); i++)
        v->codes->code[i] = (int32_t)rng_below(&m->random, (uint32_t)(2 * most + 1)) - most;
    value_codes_numbers(v->codes, &v->shape, m->g->param + v->offset);
}

/* A convolution and its normalization. */
static int layer(struct made *m, const char *name, int x, int channels, bool in_float)
{
    const struct shape vector = { 1, { CHANNELS } };
    const int weight = param(m, name, "weight", (struct shape){ 4, { CHANNELS, channels, 3, 3 } }, -0.2, 0.2);
    const int in[] = { x, weight };
    const int y = append(m, "Conv", name, in, 2);
    node_set_ints(&m->g->node[m->g->nodes - 1], "pads", (const int64_t[]){ 1, 1, 1, 1 }, 4);
    if (!in_float)
        give_codes(m, weight, m->weight_bits, 0.2137 / ((1 << (m->weight_bits - 1)) - 1));
    const int norm[] = { y, param(m, name, "gamma", vector, 0.5, 1.5),
                         param(m, name, "beta", vector, -0.5, 0.5), param(m, name, "mean", vector, -0.5, 0.5),
                         param(m, name, "variance", vector, 0.5, 2) };
    char normalized[80];
    snprintf(normalized, sizeof normalized, "%s.norm", name);
    return append(m, "BatchNormalization", normalized, norm, 5);
}

/* residual_float: the second layer of the block keeps its weights as they are. */
static struct graph *network(int weight_bits, int activation_bits, bool residual_float)
{
    struct made m = { graph_new("net"), rng_at(7, (uint64_t)weight_bits, 1), weight_bits,
                      (1 << activation_bits) - 1 };
    const double range = 3.2;
    int x = ok(graph_add_input(m.g, "x", &(struct shape){ 3, { INPUTS, SIDE, SIDE } }, &failure));
    x = layer(&m, "first", quantized(&m, "q0", x, 1 / 61.7), INPUTS, false);
    x = append(&m, "Relu", "r0", &x, 1);
    int y = layer(&m, "second", quantized(&m, "q1", x, range / m.high), CHANNELS, false);
    y = append(&m, "Relu", "r1", &y, 1);
    y = layer(&m, "third", quantized(&m, "q2", y, range / m.high), CHANNELS, residual_float);
    const int both[] = { y, x };
    x = append(&m, "Add", "sum", both, 2);
    x = append(&m, "Relu", "r2", &x, 1);
    x = append(&m, "GlobalAveragePool", "mean", &x, 1);
    x = append(&m, "Flatten", "flat", &x, 1);
    x = quantized(&m, "q3", x, range / 255);
    node_set_int(&m.g->node[m.g->nodes - 1], "high", 255);
    const int weight = param(&m, "last", "weight", (struct shape){ 2, { CLASSES, CHANNELS } }, -0.2, 0.2);
    const int in[] = { x, weight, param(&m, "last", "bias", (struct shape){ 1, { CLASSES } }, -0.3, 0.3) };
    m.g->output[0] = append(&m, "Gemm", "last", in, 3);
    node_set_int(&m.g->node[m.g->nodes - 1], "transB", 1);
    m.g->outputs = 1;
    give_codes(&m, weight, 8, 0.0017);
    ok(graph_finish(m.g, &failure));
    return m.g;
}

/* --- single precision, number by number, in an order of its own --- */

static int turn(bool backwards, int i, int count)
{
    return backwards ? count - 1 - i : i;
}

static const float *numbers(const struct graph *g, int value)
{
    return (const float *)g->param + g->value[value].offset;
}

static void convolve(const struct graph *g, const struct node *n, const float *x, float *y, bool backwards)
{
    const int channels = (int)g->value[n->input[0]].shape.dim[0];
    const float *w = numbers(g, n->input[1]), *b = numbers(g, n->input[2]);
    for (int at = 0; at < CHANNELS * PLANE; at++) {
        const int o = at / PLANE, h = at % PLANE / SIDE, v = at % SIDE;
        float sum = backwards ? 0 : b[o];
        for (int i = 0; i < channels * 9; i++) {
            const int k = turn(backwards, i, channels * 9), r = h + k % 9 / 3 - 1, c = v + k % 3 - 1;
            if (r >= 0 && r < SIDE && c >= 0 && c < SIDE)
                sum += w[o * channels * 9 + k] * x[k / 9 * PLANE + r * SIDE + c];
        }
        y[at] = backwards ? sum + b[o] : sum;
    }
}

static void multiply(const struct graph *g, const struct node *n, const float *x, float *y, bool backwards)
{
    const float *w = numbers(g, n->input[1]), *b = numbers(g, n->input[2]);
    for (int o = 0; o < CLASSES; o++) {
        y[o] = backwards ? 0 : b[o];
        for (int i = 0; i < CHANNELS; i++)
            y[o] += w[o * CHANNELS + turn(backwards, i, CHANNELS)] * x[turn(backwards, i, CHANNELS)];
        y[o] += backwards ? b[o] : 0;
    }
}

static void means(const float *x, float *y, bool backwards)
{
    for (int c = 0; c < CHANNELS; c++) {
        y[c] = 0;
        for (int i = 0; i < PLANE; i++)
            y[c] += x[c * PLANE + turn(backwards, i, PLANE)];
        y[c] /= PLANE;
    }
}

static void element(const struct graph *g, const struct node *n, const float *x, const float *more, float *y)
{
    const bool quantizer = strcmp(n->op->name, "QuantdFakeQuant") == 0;
    const float step = quantizer ? numbers(g, n->input[1])[0] : 1;
    const float low = (float)node_int(n, "low", 0), high = (float)node_int(n, "high", 0);
    for (int64_t i = 0; i < shape_count(&g->value[n->output[0]].shape); i++)
        if (quantizer)
            y[i] = fminf(fmaxf(rintf(x[i] / step), low), high) * step;
        else if (strcmp(n->op->name, "Relu") == 0)
            y[i] = x[i] > 0 ? x[i] : 0;
        else
            y[i] = more ? x[i] + more[i] : x[i];
}

static void compute(const struct graph *g, const float *x, float *y, bool backwards)
{
    static float value[WIDEST][CHANNELS * PLANE];
    assert_in_range(g->values, 1, WIDEST);
    memcpy(value[g->input], x, INPUTS * PLANE * sizeof *x);
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        float *to = value[n->output[0]];
        const float *from = value[n->input[0]];
        if (strcmp(n->op->name, "Conv") == 0)
            convolve(g, n, from, to, backwards);
        else if (strcmp(n->op->name, "Gemm") == 0)
            multiply(g, n, from, to, backwards);
        else if (strcmp(n->op->name, "GlobalAveragePool") == 0)
            means(from, to, backwards);
        else
            element(g, n, from, strcmp(n->op->name, "Add") == 0 ? value[n->input[1]] : NULL, to);
    }
    memcpy(y, value[g->output[0]], CLASSES * sizeof *y);
}

/* --- what is compared --- */

static void fill(real *x)
{
    struct rng r = rng_at(2, 3, 4);
    for (int i = 0; i < SAMPLES * INPUTS * PLANE; i++)
        x[i] = (real)(rng_uniform(&r) * 4 - 2);
}

/* All samples in floats, forwards or backwards, as lanes. */
static void by_hand(const struct graph *g, const real *x, real *y, bool backwards)
{
    for (int s = 0; s < SAMPLES; s++) {
        float one[INPUTS * PLANE], logits[CLASSES];
        for (int i = 0; i < INPUTS * PLANE; i++)
            one[i] = x[(s / LANES * INPUTS * PLANE + i) * LANES + s % LANES];
        compute(g, one, logits, backwards);
        for (int i = 0; i < CLASSES; i++)
            y[(s / LANES * CLASSES + i) * LANES + s % LANES] = logits[i];
    }
}

static void by_engine(const struct graph *g, const struct engine_options *o, const real *x, real *y)
{
    char *file;
    size_t length;
    struct graph *back;
    struct engine *n;
    ok(onnx_export(g, NULL, 0, &file, &length, &failure));
    ok(onnx_import(file, length, &back, &failure));
    ok(engine_new(back, o, &n, &failure));
    engine_run(n, x, SAMPLES, y);
    real *alone = mem_aligned(64, CLASSES * LANES * sizeof *alone); /* in tiles */
    engine_run(n, x, 1, alone);
    for (int i = 0; i < CLASSES; i++)
        assert_true(alone[i * LANES] == y[i * LANES]);
    free(alone);
    engine_free(n);
    graph_free(back);
    free(file);
}

static void by_net(struct graph *g, const real *x, real *y)
{
    struct net *n;
    ok(net_new(g, &(struct net_options){ .batch = SAMPLES }, &n, &failure));
    memcpy(net_input(n), x, SAMPLES * INPUTS * PLANE * sizeof *x);
    net_forward(n, SAMPLES, false, 0);
    memcpy(y, net_output(n, 0), SAMPLES * CLASSES * sizeof *y);
    net_free(n);
}

static void note(const void *of, const struct node *n, const char *why)
{
    (void)why;
    strncat((char *)(uintptr_t)of, n->name, 40);
    strncat((char *)(uintptr_t)of, " ", 2);
}

/* How many numbers of the two orders differ, and of the second and the engine. */
struct differences {
    int orders, engine;
};

static struct differences compare(struct graph *g)
{
    enum { COUNT = SAMPLES * CLASSES };
    real *x = mem_aligned(64, SAMPLES * INPUTS * PLANE * sizeof *x),
         *one = mem_aligned(64, COUNT * sizeof *one), *other = mem_aligned(64, COUNT * sizeof *other);
    struct differences d = { 0 };
    fill(x);
    by_hand(g, x, one, false);
    by_hand(g, x, other, true);
    for (int i = 0; i < COUNT; i++)
        d.orders += one[i] != other[i];
    for (int k = 0; kernels_list[k]; k++)
        for (enum engine_bits b = BITS_NEVER; b <= BITS_ALWAYS && kernels_list[k]->usable(); b++) {
            by_engine(g, &(struct engine_options){ .kernels = kernels_list[k], .bits = b }, x, other);
            for (int i = 0; i < COUNT; i++)
                d.engine += one[i] != other[i];
        }
    by_net(g, x, other);
    for (int i = 0; i < COUNT; i++)
        d.orders += one[i] != other[i];
    free(x);
    free(one);
    free(other);
    return d;
}

static void assert_few_bits(const struct graph *g)
{
    for (int i = 0; i < g->nodes; i++) {
        const char *why;
        const int quantizer = g->node[i].op->weight < 0 ? -1 : span_layer(g, i, &why);
        if (quantizer < 0)
            continue;
        const struct value_codes *w = g->value[g->node[i].input[1]].codes,
                                 *b = g->value[g->node[i].input[2]].codes;
        const double step = span_step(g, quantizer);
        assert_true(ldexp(step, -span_last_bit(step)) < 16);
        assert_int_equal(w->channels, g->value[g->node[i].input[1]].shape.dim[0]);
        for (int64_t c = 0; c < w->channels; c++) {
            const double scale = (double)w->scale[c];
            assert_true(ldexp(scale, -span_last_bit(scale)) <= 4096);
            assert_true((double)b->scale[c] == step * scale);
        }
    }
}

static void test_orders_do_not_matter(void **state)
{
    static const struct {
        int weights, activations;
    } bits[] = { { 8, 8 }, { 4, 4 }, { 2, 8 }, { 8, 4 } };
    (void)state;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        struct graph *g = network(bits[i].weights, bits[i].activations, false);
        char told[400] = "";
        struct exact_report r = { .tell = note, .of = told };
        int folded;
        ok(fold_normalizations(g, &folded, &failure));
        assert_int_equal(folded, 3);
        const struct differences before = compare(g);
        ok(exact_scales(g, &r, &failure));
        const struct differences after = compare(g);
        assert_true(before.orders > 0 && before.engine > 0);
        assert_int_equal(after.orders + after.engine, 0);
        assert_int_equal(r.layers, 4);
        assert_int_equal(r.exact, 4);
        assert_string_equal(told, "");
        assert_few_bits(g);
        graph_free(g);
    }
}

/* The codes of weights stay where they have few bits; their numbers hardly move. */
static void test_codes_stay(void **state)
{
    struct graph *g = network(4, 4, false), *before;
    struct exact_report r = { 0 };
    int folded;
    (void)state;
    ok(fold_normalizations(g, &folded, &failure));
    ok(graph_clone(g, &before, &failure));
    ok(exact_scales(g, &r, &failure));
    for (int v = 0; v < g->values; v++) {
        const struct value *a = &before->value[v], *b = &g->value[v];
        if (a->kind != VALUE_PARAM || a->shape.rank != 4)
            continue;
        assert_memory_equal(a->codes->code, b->codes->code,
                            (size_t)shape_count(&a->shape) * sizeof *a->codes->code);
        for (int64_t c = 0; c < b->codes->channels; c++)
            assert_true(fabsf(a->codes->scale[c] / b->codes->scale[c] - 1) < 0.05F);
    }
    graph_free(before);
    graph_free(g);
}

/* What rounds is told of by its name, and nothing that follows from it. */
static void test_what_rounds_is_named(void **state)
{
    struct graph *g = network(4, 4, true);
    char told[400] = "";
    struct exact_report r = { .tell = note, .of = told };
    int folded;
    (void)state;
    ok(fold_normalizations(g, &folded, &failure));
    ok(exact_scales(g, &r, &failure));
    assert_string_equal(told, "third ");
    assert_int_equal(r.faults, 1);
    assert_int_equal(r.exact, 3);
    assert_int_equal(r.layers, 4);
    graph_free(g);

    g = network(4, 4, false); /* its normalizations are still there */
    told[0] = 0;
    ok(exact_scales(g, &r, &failure));
    assert_string_equal(told, "first.norm second.norm third.norm ");
    graph_free(g);
}

/* Sums that no scale could hold. What they are added to stays exact: a quantizer cuts it off behind that. */
static void test_too_large(void **state)
{
    struct graph *g = network(8, 8, false);
    char told[400] = "";
    struct exact_report r = { .tell = note, .of = told };
    int folded;
    (void)state;
    ok(fold_normalizations(g, &folded, &failure));
    const int bias = graph_find_value(g, "third.bias");
    assert_true(bias >= 0);
    g->param[g->value[bias].offset + 1] = 3e5F;
    ok(exact_scales(g, &r, &failure));
    assert_string_equal(told, "third ");
    assert_int_equal(r.exact, 3);
    graph_free(g);
}

/* Scales and steps that are none. */
static void test_strangers(void **state)
{
    static const float none[] = { 0, -1, NAN, INFINITY, 1e-42F };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof none / sizeof *none; i++) {
        struct graph *g = network(8, 8, false);
        char told[400] = "";
        struct exact_report r = { .tell = note, .of = told };
        int folded;
        ok(fold_normalizations(g, &folded, &failure));
        const struct value *weight = &g->value[graph_find_value(g, "third.weight")],
                           *step = &g->value[graph_find_value(g, "q2.step")];
        if (i % 2)
            weight->codes->scale[2] = none[i / 2];
        else
            g->param[step->offset] = (real)none[i / 2];
        ok(exact_scales(g, &r, &failure));
        assert_string_equal(told, i % 2 ? "third " : "q2 third ");
        assert_int_equal(r.exact, 3);
        graph_free(g);
    }
}

/* The engine divides by a step by a product with 1 / step: halves stay halves for steps of up to 4 bits. */
static void test_halves(void **state)
{
    (void)state;
    for (int odd = 1; odd < 16; odd += 2)
        for (int exponent = -9; exponent < 3; exponent++)
            for (int k = -256; k < 256; k++) {
                const double step = ldexp(odd, exponent), by = 1 / step, product = (k + 0.5) * step * by;
                assert_true(product == k + 0.5);
            }
}

static void test_no_memory(void **state)
{
    int failures = 0, status = ERR_NOMEM;
    (void)state;
    for (int n = 0; status; n++) {
        struct graph *g = network(8, 8, false);
        struct exact_report r = { 0 };
        int folded;
        ok(fold_normalizations(g, &folded, &failure));
        mem_fail_after(n);
        status = exact_scales(g, &r, NULL);
        mem_fail_after(-1);
        assert_true(status == 0 || status == ERR_NOMEM);
        failures += status != 0;
        graph_free(g);
    }
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_do_not_matter),
        cmocka_unit_test(test_codes_stay),
        cmocka_unit_test(test_what_rounds_is_named),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
