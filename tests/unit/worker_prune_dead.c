/* Dead units leave a network that computes the same; biases move to where they cost least. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/graph/units.h"
#include "worker/prune/dead.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct graph *make(const char *name)
{
    struct graph *g;

    assert_int_equal(zoo_graph(name, 3, &g, NULL), 0);
    return g;
}

/* Outputs for 16 random inputs; owned by the caller. */
static real *answers(struct graph *g, size_t *count)
{
    struct err e = { 0 };
    struct net *n;
    struct rng r = rng_at(5, 6, 7);

    if (net_new(g, &(struct net_options){ .batch = LANES }, &n, &e))
        fail_msg("%s", e.text);
    const size_t inputs = (size_t)shape_count(&g->value[g->input].shape) * LANES;
    for (size_t i = 0; i < inputs; i++)
        net_input(n)[i] = (real)rng_uniform(&r);
    net_forward(n, LANES, false, 0);
    *count = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES;
    real *y = mem_array(*count, sizeof *y);
    assert_non_null(y);
    memcpy(y, net_output(n, 0), *count * sizeof *y);
    net_free(n);
    return y;
}

static void assert_same_function(struct graph *a, struct graph *b)
{
    size_t count, other;
    real *x = answers(a, &count), *y = answers(b, &other), most = 0;

    assert_int_equal(count, other);
    for (size_t i = 0; i < count; i++)
        most = real_fabs(x[i]) > most ? real_fabs(x[i]) : most;
    for (size_t i = 0; i < count; i++)
        assert_true(real_fabs(x[i] - y[i]) <= (real)2e-5 * (most + 1));
    assert_true(most > 0);
    free(x);
    free(y);
}

static struct value *param(struct graph *g, const char *name)
{
    const int v = graph_find_value(g, name);

    assert_true(v >= 0);
    return &g->value[v];
}

/* Every bias a random number, so that constants matter. */
static void shake_biases(struct graph *g)
{
    struct rng r = rng_at(9, 9, 9);

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].shape.rank == 1)
            for (int64_t i = 0; i < shape_count(&g->value[v].shape); i++)
                g->param[g->value[v].offset + (size_t)i] += (real)(0.2 * rng_uniform(&r));
}

static void zero_row(struct graph *g, const char *name, int64_t row)
{
    const struct value *v = param(g, name);
    const size_t inner = (size_t)(shape_count(&v->shape) / v->shape.dim[0]);

    memset(g->param + v->offset + (size_t)row * inner, 0, inner * sizeof(real));
}

static void zero_column(struct graph *g, const char *name, int64_t from, int64_t count)
{
    const struct value *v = param(g, name);
    const int64_t inner = shape_count(&v->shape) / v->shape.dim[0] / v->shape.dim[1];

    for (int64_t o = 0; o < v->shape.dim[0]; o++)
        memset(g->param + v->offset + (o * v->shape.dim[1] + from) * inner, 0,
               (size_t)(count * inner) * sizeof(real));
}

static void test_lenet_loses_what_is_dead_and_nothing_else(void **state)
{
    struct graph *g = make("lenet5"), *whole;
    int64_t removed;
    (void)state;

    shake_biases(g);
    for (int i = 0; i < 8; i++)
        zero_row(g, "conv1.weight", 2 * i); /* constants through a pool into conv2 */
    for (int i = 0; i < 5; i++)
        zero_column(g, "fc1.weight", 16 * (7 + i), 16); /* channels 7 to 11 of conv2: nobody reads them */
    for (int i = 100; i < 450; i++)
        zero_row(g, "fc1.weight", i); /* constants through Relu */
    zero_column(g, "fc2.weight", 10, 20);
    assert_int_equal(graph_clone(g, &whole, NULL), 0);
    assert_int_equal(dead_remove(g, &removed, NULL), 0);
    assert_int_equal(removed, 8 + 5 + 350 + 20);
    assert_int_equal(param(g, "conv1.weight")->shape.dim[0], 12);
    assert_int_equal(param(g, "conv2.weight")->shape.dim[0], 45);
    assert_int_equal(param(g, "conv2.weight")->shape.dim[1], 12);
    assert_int_equal(param(g, "fc1.weight")->shape.dim[0], 130);
    assert_int_equal(param(g, "fc1.weight")->shape.dim[1], 45 * 16);
    assert_int_equal(param(g, "fc2.weight")->shape.dim[0], 10);
    assert_same_function(whole, g);
    assert_int_equal(dead_remove(g, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    graph_free(g);
    graph_free(whole);
}

static void test_a_layer_keeps_one_unit(void **state)
{
    struct graph *g = make("lenet5");
    int64_t removed;
    (void)state;

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].shape.rank > 1)
            memset(g->param + g->value[v].offset, 0, (size_t)shape_count(&g->value[v].shape) * sizeof(real));
    shake_biases(g);
    assert_int_equal(dead_remove(g, &removed, NULL), 0);
    assert_int_equal(removed, 19 + 49 + 499);
    size_t count;
    free(answers(g, &count));
    graph_free(g);
}

static void test_linear_biases_go_to_the_next_layer(void **state)
{
    struct graph *g = make("lenet5"), *before;
    (void)state;

    shake_biases(g);
    assert_int_equal(graph_clone(g, &before, NULL), 0);
    assert_int_equal(dead_fold_biases(g, NULL), 0);
    static const char *const names[] = { "conv1.bias", "conv2.bias", "fc1.bias" };
    for (int k = 0; k < 3; k++) {
        const struct value *v = param(g, names[k]);
        bool any = false;
        for (int64_t i = 0; i < shape_count(&v->shape); i++)
            any |= g->param[v->offset + (size_t)i] != 0;
        assert_int_equal(any, k == 2); /* a Relu stands behind fc1 */
    }
    assert_same_function(before, g);
    graph_free(g);
    graph_free(before);
}

/* Channels that are added to others must not go; within the blocks of a residual network they may. */
static void test_other_networks_still_compute_the_same(void **state)
{
    static const char *const names[] = { "resnet20",        "mobilenet-v2@3x32x32/10",  "vgg-small",
                                         "densenet-bc-100", "shufflenet-v2@3x32x32/10", "srcnn-9-5-5" };
    (void)state;

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct graph *g = make(names[k]), *whole;
        struct layer *layers;
        int count;
        int64_t removed;
        shake_biases(g);
        assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
        for (int i = 0; i < count; i++) { /* every third row of every layer */
            const struct value *v = &g->value[layers[i].weight];
            const size_t inner = (size_t)(shape_count(&v->shape) / v->shape.dim[0]);
            for (int64_t row = 0; row < v->shape.dim[0] && i < count - 1; row += 3)
                memset(g->param + v->offset + (size_t)row * inner, 0, inner * sizeof(real));
        }
        free(layers);
        assert_int_equal(graph_clone(g, &whole, NULL), 0);
        assert_int_equal(dead_remove(g, &removed, NULL), 0);
        assert_int_equal(dead_fold_biases(g, NULL), 0);
        assert_same_function(whole, g);
        graph_free(g);
        graph_free(whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lenet_loses_what_is_dead_and_nothing_else),
        cmocka_unit_test(test_a_layer_keeps_one_unit),
        cmocka_unit_test(test_linear_biases_go_to_the_next_layer),
        cmocka_unit_test(test_other_networks_still_compute_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
