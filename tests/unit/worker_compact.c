/* The last rounding: biases in as few bits as a judge likes best. */
#include "base/mem.h"
#include "worker/quant/compact.h"
#include "worker/quant/method.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct graph *lenet(void)
{
    struct layer *layers;
    struct graph *g;
    int count;

    assert_int_equal(zoo_graph("lenet5", 1, &g, NULL), 0);
    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    for (int i = 0; i < count; i++) {
        const struct value *v = &g->value[layers[i].bias];
        for (int64_t k = 0; k < shape_count(&v->shape); k++)
            g->param[v->offset + (size_t)k] = (real)(sin((double)(k + i)) * (i + 1));
    }
    free(layers);
    return g;
}

/* Bits of all biases, which must be one width; each within half a step of what it was. */
static int width_of(struct graph *g)
{
    struct layer *layers;
    int count, bits = 0;

    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    for (int i = 0; i < count; i++) {
        const struct value *v = &g->value[layers[i].bias];
        const int high = (1 << (v->codes->bits - 1)) - 1;
        const double step = (double)v->codes->scale[0];
        assert_true(!bits || bits == v->codes->bits);
        bits = v->codes->bits;
        for (int64_t k = 0; k < shape_count(&v->shape); k++) {
            const double was = sin((double)(k + i)) * (i + 1), is = (double)g->param[v->offset + (size_t)k];
            assert_true(abs(v->codes->code[k]) <= high);
            assert_true(is == (double)(real)((real)v->codes->code[k] * v->codes->scale[0]));
            assert_true(fabs(is - was) < step * (0.5 + high / 64.0)); /* the step itself is rounded */
        }
    }
    free(layers);
    return bits;
}

/* A cost for each width, as the graph has it when it is asked. */
struct costs {
    struct graph *g;
    double of[16];
    int asked, fails_at;
};

static int cost(void *arg, double *cost, struct err *e)
{
    struct costs *c = arg;
    const int bits = width_of(c->g);

    c->asked++;
    *cost = c->of[bits];
    return bits == c->fails_at ? err_set(e, ERR_NOMEM, "no") : 0;
}

static void test_the_width_that_costs_least(void **state)
{
    static const struct {
        double of[16];
        int best;
    } cases[] = {
        { { [8] = 8, [7] = 7, [6] = 6, [5] = 5, [4] = 4, [3] = 9 }, 4 },
        { { [8] = 3, [7] = 4, [6] = 3, [5] = 4, [4] = 4, [3] = 3 }, 8 }, /* equal ones: the widest */
        { { [8] = 9, [7] = 9, [6] = 2, [5] = 9, [4] = 9, [3] = 1 }, 3 }, /* not the first valley */
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct costs c = { .g = lenet() };
        memcpy(c.of, cases[i].of, sizeof c.of);
        assert_int_equal(compact_graph(c.g, &(struct compact_judge){ &c, cost }, NULL), 0);
        assert_int_equal(width_of(c.g), cases[i].best);
        assert_int_equal(c.asked, 12);
        graph_free(c.g);
    }
}

static bool is_power_of_two(double x)
{
    int exponent;

    return frexp(x, &exponent) == 0.5;
}

/* Every step that is no power of two costs. */
static int cost_of_steps(void *arg, double *cost, struct err *e)
{
    const struct graph *g = arg;
    (void)e;

    *cost = 0;
    for (int v = 0; v < g->values; v++)
        if (g->value[v].codes)
            *cost += is_power_of_two((double)g->value[v].codes->scale[0]) ? 0 : 1;
    return 0;
}

static void test_steps_that_cost_nothing(void **state)
{
    struct graph *g = lenet();
    double left;
    (void)state;

    assert_int_equal(compact_graph(g, NULL, NULL), 0);
    cost_of_steps(g, &left, NULL);
    assert_true(left > 0);
    graph_free(g);
    g = lenet();
    assert_int_equal(compact_graph(g, &(struct compact_judge){ g, cost_of_steps }, NULL), 0);
    assert_int_equal(width_of(g), COMPACT_BIAS_MOST);
    cost_of_steps(g, &left, NULL);
    assert_true(left == 0);
    graph_free(g);
}

/* Codes of -3..3 with a step of its own for the weights of every layer. */
static void code_weights(struct graph *g, struct layer *layers, int count)
{
    for (int i = 0; i < count; i++) {
        struct value *v = &g->value[layers[i].weight];
        const size_t n = (size_t)shape_count(&v->shape);
        v->codes = value_codes_new(&(struct value_codes){ .bits = 3, .axis = -1, .channels = 1 }, n);
        assert_non_null(v->codes);
        v->codes->scale[0] = 0.031F + 0.011F * (float)i;
        for (size_t k = 0; k < n; k++)
            v->codes->code[k] = (int32_t)((k * 7919 + k / 13) % 7) - 3;
        value_codes_numbers(v->codes, &v->shape, g->param + v->offset);
    }
}

static void outputs(struct graph *g, double y[10])
{
    struct net *n;
    const int64_t inputs = shape_count(&g->value[g->input].shape);

    assert_int_equal(net_new(g, &(struct net_options){ .batch = 1 }, &n, NULL), 0);
    for (int64_t i = 0; i < inputs; i++)
        net_input(n)[i * LANES] = (real)(0.5 + 0.5 * sin(0.37 * (double)i));
    net_forward(n, 1, false, 0);
    for (int i = 0; i < 10; i++)
        y[i] = (double)net_output(n, 0)[i * LANES];
    net_free(n);
}

/* A network that has few weights left gets shorter scales. */
static void test_scales_of_small_networks_are_shorter(void **state)
{
    static const struct quant_layer_plan plan[] = { [0 ... 3] = { .weight_bits = 3, .activation.bits = 32 } };
    const struct quant_options o = { .method = &method_lsq, .grid = grid_find("sym") };
    struct pool *p = pool_new(1);
    (void)state;

    for (size_t alive = COMPACT_LARGE; alive <= COMPACT_LARGE + 1; alive++) {
        struct graph *g = lenet();
        struct quant *q;
        assert_int_equal(quant_new(g, plan, 4, &o, &q, NULL), 0);
        quant_start(q, g);
        for (int i = 0; i < q->scales; i++)
            q->scale[i] = (real)1.2345;
        const size_t first = q->weight[2].offset;
        assert_true(q->weight[2].count > alive);
        for (size_t k = 0; k < g->param_count; k++)
            g->param[k] = k < first || k >= first + alive ? 0 : 1;
        quant_apply(q, g, p);
        quant_snap(q, g, p);
        compact_scales(q, g, p);
        for (int i = 0; i < q->scales; i++)
            assert_true(q->scale[i] == compact_round((real)1.2345, alive > COMPACT_LARGE ? COMPACT_STEP_LARGE
                                                                                         : COMPACT_STEP));
        quant_free(q);
        graph_free(g);
    }
    pool_free(p);
}

/* Latent weights close to the middle between two codes: a step that is rounded before would move them over.
 */
static void test_codes_outlive_the_rounding_of_scales(void **state)
{
    static const struct quant_layer_plan plan[] = { [0 ... 3] = { .weight_bits = 3, .activation.bits = 32 } };
    struct pool *p = pool_new(2);
    (void)state;

    for (int per_channel = 0; per_channel < 2; per_channel++) {
        struct graph *g = lenet();
        struct quant *q;
        const struct quant_options o = { .method = &method_lsq,
                                         .grid = grid_find("sym"),
                                         .per_channel = per_channel != 0 };
        assert_int_equal(quant_new(g, plan, 4, &o, &q, NULL), 0);
        quant_start(q, g);
        for (int i = 0; i < q->scales; i++)
            q->scale[i] = (real)(1 + (i % 2 ? 0.49 : 0.51) / (1 << COMPACT_STEP_LARGE));
        for (size_t k = 0; k < g->param_count; k++)
            g->param[k] = (real)(k % 2 ? 1.499 : -0.503);
        quant_apply(q, g, p);
        int8_t *code = mem_array(g->param_count, sizeof *code);
        assert_non_null(code);
        memcpy(code, q->code, g->param_count * sizeof *code);
        quant_snap(q, g, p);
        compact_scales(q, g, p);
        for (int i = 0; i < q->scales; i++)
            assert_true(q->scale[i] == (i % 2 ? 1 : 1 + (real)1 / (1 << COMPACT_STEP_LARGE)));
        for (int i = 0; i < q->weights; i++) {
            const struct quant_weight *w = &q->weight[i];
            for (size_t k = w->offset; k < w->offset + w->count; k++) {
                assert_int_equal(q->code[k], code[k]);
                assert_true(g->param[k] == q->q[k]);
            }
        }
        free(code);
        quant_free(q);
        graph_free(g);
    }
    pool_free(p);
}

/* The network computes the same, but for a factor of all that comes from the rounding of the last scale. */
static void test_scales_move_through_what_is_linear(void **state)
{
    struct graph *g = lenet();
    struct layer *layers;
    double before[10], after[10];
    int count;
    (void)state;

    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    code_weights(g, layers, count);
    const struct value *last = &g->value[layers[count - 1].bias];
    memset(g->param + last->offset, 0, 10 * sizeof(real));
    outputs(g, before);
    assert_int_equal(compact_move_scales(g, NULL), count - 1);
    outputs(g, after);
    for (int i = 0; i < count - 1; i++) {
        const float scale = g->value[layers[i].weight].codes->scale[0];
        assert_true(is_power_of_two((double)scale) && !(scale < g->value[layers[0].weight].codes->scale[0]) &&
                    !(scale > g->value[layers[0].weight].codes->scale[0]));
    }
    const double factor = after[0] / before[0];
    assert_true(fabs(factor - 1) < 1.0 / 64);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(after[i] - factor * before[i]) < 1e-4 * fabs(before[0]) + 1e-5);
    free(layers);
    graph_free(g);
}

/* Behind a quantizer or a sum nobody can take a scale over; nor can whoever shares its weights. */
static void test_scales_stay_where_they_can_not_move(void **state)
{
    struct graph *g;
    struct layer *layers;
    int count;
    (void)state;

    assert_int_equal(zoo_graph("resnet20", 1, &g, NULL), 0);
    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    code_weights(g, layers, count);
    assert_int_equal(compact_move_scales(g, NULL), 0); /* normalizations everywhere */
    for (int i = 0; i < count; i++)
        assert_true(fabs((double)g->value[layers[i].weight].codes->scale[0] - 0.031 - 0.011 * i) < 1e-6);
    free(layers);
    graph_free(g);
}

static void test_without_a_judge_and_with_a_failing_one(void **state)
{
    struct costs c = { .g = lenet(), .fails_at = 6 };
    struct err e = { 0 };
    (void)state;

    assert_int_equal(compact_graph(c.g, &(struct compact_judge){ &c, cost }, &e), ERR_NOMEM);
    graph_free(c.g);
    c.g = lenet();
    assert_int_equal(compact_graph(c.g, NULL, NULL), 0);
    assert_int_equal(width_of(c.g), COMPACT_BIAS_MOST);
    graph_free(c.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales_of_small_networks_are_shorter),
        cmocka_unit_test(test_codes_outlive_the_rounding_of_scales),
        cmocka_unit_test(test_the_width_that_costs_least),
        cmocka_unit_test(test_steps_that_cost_nothing),
        cmocka_unit_test(test_scales_move_through_what_is_linear),
        cmocka_unit_test(test_scales_stay_where_they_can_not_move),
        cmocka_unit_test(test_without_a_judge_and_with_a_failing_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
