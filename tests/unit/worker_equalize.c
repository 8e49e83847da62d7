/* Equalized channels: the network computes the same, and ranges that lay far apart have come together. */
#include "tests/unit/noise_feed.h"
#include "tests/unit/same_function.h"

#include "worker/calibrate/equalize.h"
#include "worker/op/op.h"

#include <stdio.h>

static const struct value *value(const struct graph *g, const char *name)
{
    const int v = graph_find_value(g, name);

    assert_true(v >= 0);
    return &g->value[v];
}

static void scale_row(struct graph *g, const char *name, int64_t row, double factor)
{
    const struct value *v = value(g, name);
    const int64_t inner = shape_count(&v->shape) / v->shape.dim[0];

    for (int64_t i = 0; i < inner; i++)
        g->param[v->offset + (size_t)(row * inner + i)] *= (real)factor;
}

/* Greatest of the rows' ranges by the least. */
static double spread(const struct graph *g, const char *name)
{
    const struct value *v = value(g, name);
    const int64_t inner = shape_count(&v->shape) / v->shape.dim[0];
    double least = INFINITY, most = 0;

    for (int64_t row = 0; row < v->shape.dim[0]; row++) {
        double range = 0;
        for (int64_t i = 0; i < inner; i++)
            range = fmax(range, fabs((double)g->param[v->offset + (size_t)(row * inner + i)]));
        least = fmin(least, range);
        most = fmax(most, range);
    }
    return most / least;
}

static int equalized(struct graph *g)
{
    struct noise n = noise_for(g, 24);
    struct err e = { 0 };
    int layers = -1;
    size_t bytes = 0;

    if (equalize(&(struct equalization){ g, { .batch = LANES }, { &n.feed, NULL, NULL, LANES, 2, false } },
                 &layers, &e))
        fail_msg("%s", e.text);
    assert_int_equal(equalize_bytes(g, LANES, &bytes, &e), 0);
    assert_true(bytes > 0);
    return layers;
}

/* Greatest by least range, as equalize.h means it, of the channels of a value, over noise. */
static double channel_spread(struct graph *g, const char *name)
{
    const struct value *v = value(g, name);
    const int64_t each = shape_count(&v->shape) / v->shape.dim[0];
    struct noise n = noise_for(g, LANES);
    double least = INFINITY, most = 0;
    struct net *net;

    assert_int_equal(net_new(g, &(struct net_options){ .batch = LANES, .apart = true }, &net, NULL), 0);
    net_watch(net, (int)(v - g->value));
    n.feed.type->fill(&n.feed, NULL, 0, LANES, 1, net_input(net), NULL);
    net_forward(net, LANES, false, 0);
    const real *x = net_value(net, (int)(v - g->value));
    for (int64_t c = 0; c < v->shape.dim[0]; c++) {
        double range = 0;
        for (int64_t i = 0; i < each * LANES; i++)
            range += pow((double)x[c * each * LANES + i], 8);
        least = fmin(least, range);
        most = fmax(most, range);
    }
    net_free(net);
    return pow(most / least, 1.0 / 8);
}

static void test_channels_of_plain_layers_get_one_range(void **state)
{
    struct graph *g = make("srcnn-9-5-5"), *before;
    struct err e = { 0 };
    struct layer *layers;
    char name[80];
    int count;
    (void)state;

    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    snprintf(name, sizeof name, "%s.weight", layers[0].name);
    for (int64_t row = 0; row < 64; row++)
        scale_row(g, name, row, row % 3 ? 0.3 : 3);
    const char *read = g->value[g->node[layers[1].node].input[0]].name;
    shake_biases(g);
    assert_int_equal(graph_clone(g, &before, &e), 0);
    const double spread = channel_spread(g, read);
    assert_true(spread > 4);
    assert_int_equal(equalized(g), 2); /* the last layer's output is the network's */
    /* other noise than what it looked at, and no channel grows more than 32 times */
    assert_true(channel_spread(g, read) < 1.2 * fmax(1, spread / 32));
    assert_same_function(before, g);
    free(layers);
    graph_free(before);
    graph_free(g);
}

/* Filters before a normalization are free: they end with one range; behind it, where channels are added to
 * others, nothing moves. */
static void test_filters_before_a_normalization_are_levelled(void **state)
{
    struct graph *g = make("resnet20"), *before;
    struct err e = { 0 };
    const char *name = NULL;
    struct layer *list;
    int count, levelled = 0;
    (void)state;

    shake_biases(g);
    assert_int_equal(graph_layers(g, &list, &count, &e), 0);
    name = list[3].name;
    char weight[80];
    snprintf(weight, sizeof weight, "%s.weight", name);
    for (int64_t row = 0; row < 16; row++)
        scale_row(g, weight, row, row % 2 ? 0.05 : 4);
    assert_int_equal(graph_clone(g, &before, &e), 0);
    assert_true(equalized(g) > 0);
    for (int i = 0; i < count; i++)
        if (strcmp(g->node[list[i].node].op->name, "Conv") == 0) {
            snprintf(weight, sizeof weight, "%s.weight", list[i].name);
            assert_true(fabs(spread(g, weight) - 1) < 1e-5);
            levelled++;
        }
    assert_true(levelled >= 19);
    assert_same_function(before, g);
    free(list);
    graph_free(before);
    graph_free(g);
}

/* Through pools and into a dense layer, whose columns belong to channels in groups. */
static void test_a_pooled_network_computes_the_same(void **state)
{
    static const char *const names[] = { "lenet5", "vgg-small", "googlenet@3x32x32/10" };
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct graph *g = make(names[i]), *before;
        struct err e = { 0 };
        shake_biases(g);
        assert_int_equal(graph_clone(g, &before, &e), 0);
        assert_true(equalized(g) > 0);
        assert_same_function(before, g);
        graph_free(before);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_of_plain_layers_get_one_range),
        cmocka_unit_test(test_filters_before_a_normalization_are_levelled),
        cmocka_unit_test(test_a_pooled_network_computes_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
