/* Dead units leave a network that computes the same; biases move to where they cost least. */
#include "tests/unit/same_function.h"

#include "worker/graph/units.h"
#include "worker/prune/dead.h"

static struct value *param(struct graph *g, const char *name)
{
    const int v = graph_find_value(g, name);

    assert_true(v >= 0);
    return &g->value[v];
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
