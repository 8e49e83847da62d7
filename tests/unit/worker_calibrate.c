/* Ranges of activations by each rule, and biases that take back what quantization has moved. */
#include "tests/unit/noise_feed.h"
#include "tests/unit/same_function.h"

#include "worker/calibrate/correct.h"
#include "worker/calibrate/range.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"
#include "worker/quant/method.h"

#include <stdio.h>

enum { BATCH = 20, BATCHES = 4 };

static double step_of(const char *rule, real *sample, size_t count, double percentile, int low, int high)
{
    struct range r = { .sample = sample, .count = count };

    for (size_t i = 0; i < count; i++) {
        r.low = sample[i] < r.low ? sample[i] : r.low;
        r.high = sample[i] > r.high ? sample[i] : r.high;
    }
    return (double)range_rule_find(rule)->step(&r, low, high, percentile);
}

/* A thousand values up to 1 and one outlier. */
static void test_rules_differ_by_what_they_do_with_an_outlier(void **state)
{
    real x[1001];
    (void)state;

    for (int i = 0; i < 1000; i++)
        x[i] = (real)(i / 999.0);
    x[1000] = 50;
    assert_true(fabs(step_of("extremes", x, 1001, 99, 0, 255) - 50.0 / 255) < 1e-6);
    assert_true(step_of("error", x, 1001, 99, 0, 255) > 1.0 / 255);
    assert_true(fabs(step_of("percentile", x, 1001, 99, 0, 255) - 0.99 / 255) < 2e-3 / 255);
    assert_null(range_rule_find("nosuch"));
}

/* -4..3: what is negative has one code more. */
static void test_signed_ranges_hold_both_ends(void **state)
{
    real down[] = { -8, 3 }, up[] = { -4, 6 }, none[] = { 0, 0 };
    (void)state;

    assert_true(fabs(step_of("extremes", down, 2, 100, -4, 3) - 2) < 1e-6);
    assert_true(fabs(step_of("extremes", up, 2, 100, -4, 3) - 2) < 1e-6);
    assert_true(fabs(step_of("percentile", down, 2, 100, -4, 3) - 2) < 1e-6);
    assert_true(step_of("percentile", none, 2, 100, -4, 3) > 0);
    assert_true(step_of("extremes", none, 2, 100, -4, 3) > 0);
}

/* --- biases --- */

/* Sum over channels of the distance between the layers' mean outputs, once more through correct_biases'
 * measure: a second correction moves what is still wrong. */
static double moved(const struct correction *c, struct graph *g, int value)
{
    const size_t count = (size_t)shape_count(&g->value[value].shape);
    real before[4096];
    double sum = 0;
    int corrected;

    assert_true(count <= 4096);
    memcpy(before, g->param + g->value[value].offset, count * sizeof *before);
    assert_int_equal(correct_biases(c, &corrected, NULL), 0);
    for (size_t i = 0; i < count; i++)
        sum += fabs((double)(g->param[g->value[value].offset + i] - before[i]));
    return sum / (double)count;
}

/* Takes g. */
static void correct(struct graph *g, const char *sink, int expected)
{
    struct graph *plain;
    struct err e = { 0 };
    struct layer *layers;
    struct pool *pool = pool_new(1);
    struct quant *q;
    int count, corrected;

    shake_biases(g);
    assert_int_equal(graph_clone(g, &plain, &e), 0);
    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    struct quant_layer_plan *plan = mem_array((size_t)count, sizeof *plan);
    for (int i = 0; i < count; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = 3,
                                             .activation = { .bits = 3, .high = 7, .step = (real)0.15 } };
    const struct quant_options o = { .method = &method_ptq, .grid = grid_find("sym") };
    assert_int_equal(quant_new(g, plan, count, &o, &q, &e), 0);
    quant_start(q, g);

    struct noise n = noise_for(g, BATCH * BATCHES - 3);
    const struct correction c = { .plain = plain,
                                  .graph = g,
                                  .quant = q,
                                  .net = { .batch = BATCH, .pool = pool },
                                  .batches = { &n.feed, pool, NULL, BATCH, BATCHES, false } };
    const int value = graph_find_value(g, sink);
    assert_true(value >= 0);
    const double first = moved(&c, g, value), second = moved(&c, g, value);
    assert_true(first > 1e-3);          /* three bits do move the mean */
    assert_true(second < 1e-2 * first); /* but for codes that rounding has flipped */
    assert_int_equal(correct_biases(&c, &corrected, &e), 0);
    assert_int_equal(corrected, expected);
    assert_false(n.augmented);
    quant_free(q);
    pool_free(pool);
    free(plan);
    free(layers);
    graph_free(plain);
    graph_free(g);
}

static void test_biases_take_the_mean_back(void **state)
{
    (void)state;
    correct(make("lenet5"), "fc2.bias", 4);
}

static struct graph *without_biases(const char *name)
{
    struct graph *g = make(name);
    struct layer *layers;
    int count;

    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    for (int i = 0; i < count; i++)
        g->node[layers[i].node].inputs = g->node[layers[i].node].op->bias;
    free(layers);
    assert_int_equal(graph_finish(g, NULL), 0);
    return g;
}

static void test_layers_without_a_place_get_a_bias(void **state)
{
    struct graph *g = without_biases("lenet5"), *normalized = make("resnet20"), *was;
    struct err e = { 0 };
    int made;
    (void)state;

    assert_int_equal(graph_clone(g, &was, &e), 0);
    assert_int_equal(correct_make_biases(g, &made, &e), 0);
    assert_int_equal(made, 4);
    assert_same_function(was, g);
    assert_int_equal(correct_make_biases(g, &made, &e), 0);
    assert_int_equal(made, 0);
    assert_int_equal(correct_make_biases(normalized, &made, &e), 0);
    assert_int_equal(made, 0);
    graph_free(was);
    graph_free(normalized);
    correct(g, "fc2.bias", 4);
}

/* Its convolutions have no biases: running means take it. */
static void test_normalizations_take_the_mean_back(void **state)
{
    struct graph *g = make("resnet20");
    struct layer *layers;
    const char *mean = NULL;
    int count;
    char name[80];
    (void)state;

    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    const int norm = graph_only_reader(g, g->node[layers[1].node].output[0]);
    assert_true(norm >= 0);
    mean = g->value[g->node[norm].input[3]].name;
    snprintf(name, sizeof name, "%s", mean);
    free(layers);
    graph_free(g);
    correct(make("resnet20"), name, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_differ_by_what_they_do_with_an_outlier),
        cmocka_unit_test(test_signed_ranges_hold_both_ends),
        cmocka_unit_test(test_biases_take_the_mean_back),
        cmocka_unit_test(test_layers_without_a_place_get_a_bias),
        cmocka_unit_test(test_normalizations_take_the_mean_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
