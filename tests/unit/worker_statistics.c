/* Statistics of normalizations, measured again: those of all samples, whatever the batches. */
#include "tests/unit/noise_feed.h"
#include "tests/unit/same_function.h"

#include "worker/calibrate/statistics.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"

enum { SAMPLES = 77, MEAN = 3, VARIANCE = 4, CHANNELS = 16 };

static const struct node *first_normalization(const struct graph *g)
{
    for (int i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].op->name, "BatchNormalization") == 0)
            return &g->node[i];
    fail_msg("no normalization");
    return NULL;
}

static const real *numbers(const struct graph *g, int input)
{
    return g->param + g->value[first_normalization(g)->input[input]].offset;
}

static void measure(struct graph *g, int batch, int batches, int threads)
{
    struct err e = { 0 };
    struct noise n = noise_for(g, SAMPLES);
    struct pool *pool = pool_new(threads);
    struct statistics_measure m = { .graph = g, .batches = { &n.feed, pool, NULL, batch, batches, false } };

    if (net_new(g, &(struct net_options){ .batch = batch, .train = true, .pool = pool }, &m.net, &e))
        fail_msg("%s", e.text);
    assert_int_equal(statistics_measure(&m, &e), 0);
    assert_true(n.augmented == (batches > 0 && statistics_count(g) > 0)); /* as the network was trained */
    net_free(m.net);
    pool_free(pool);
}

/* Mean and variance per channel of what the first normalization reads, sample by sample. The noise of a batch
 * depends on where it begins, so it is drawn in batches of the same size. */
static void count_directly(struct graph *g, int batch, double mean[CHANNELS], double variance[CHANNELS])
{
    struct err e = { 0 };
    struct noise n = noise_for(g, SAMPLES);
    struct net *net;
    const int value = first_normalization(g)->input[0];
    const int pixels = (int)shape_count(&g->value[value].shape) / CHANNELS;
    double sum[CHANNELS] = { 0 }, squares[CHANNELS] = { 0 };

    if (net_new(g, &(struct net_options){ .batch = batch, .apart = true }, &net, &e))
        fail_msg("%s", e.text);
    net_watch(net, value);
    for (int at = 0; at < SAMPLES; at += batch) {
        const int samples = SAMPLES - at < batch ? SAMPLES - at : batch;
        noise_fill(&n.feed, NULL, at, samples, net_blocks(net), net_input(net), NULL);
        net_forward(net, samples, false, 0);
        const real *x = net_value(net, value);
        for (int s = 0; s < samples; s++)
            for (int c = 0; c < CHANNELS; c++)
                for (int p = 0; p < pixels; p++) {
                    const double v =
                        (double)x[(((s / LANES) * CHANNELS + c) * pixels + p) * LANES + s % LANES];
                    sum[c] += v;
                    squares[c] += v * v;
                }
    }
    for (int c = 0; c < CHANNELS; c++) {
        mean[c] = sum[c] / SAMPLES / pixels;
        variance[c] = squares[c] / SAMPLES / pixels - mean[c] * mean[c];
    }
    net_free(net);
}

static void test_statistics_are_those_of_all_samples(void **state)
{
    double mean[CHANNELS], variance[CHANNELS];
    (void)state;

    for (int batch = 10; batch <= 40; batch += 30) {
        struct graph *g = make("resnet20");
        count_directly(g, batch, mean, variance);
        measure(g, batch, SAMPLES, 1);
        for (int c = 0; c < CHANNELS; c++) {
            assert_true(fabs((double)numbers(g, MEAN)[c] - mean[c]) < 1e-5 * (1 + fabs(mean[c])));
            assert_true(fabs((double)numbers(g, VARIANCE)[c] / variance[c] - 1) < 1e-4);
        }
        graph_free(g);
    }
}

static void test_threads_do_not_matter(void **state)
{
    struct graph *one = make("resnet20"), *three = make("resnet20");
    (void)state;

    measure(one, 40, 2, 1);
    measure(three, 40, 2, 3);
    assert_memory_equal(one->param, three->param, one->param_count * sizeof(real));
    graph_free(one);
    graph_free(three);
}

static void test_no_batches_and_no_normalizations_change_nothing(void **state)
{
    struct graph *g = make("resnet20"), *before = make("resnet20"), *plain = make("lenet5");
    (void)state;

    assert_int_equal(statistics_count(g), 19);
    assert_int_equal(statistics_count(plain), 0);
    measure(g, 20, 0, 1);
    assert_memory_equal(g->param, before->param, g->param_count * sizeof(real));
    measure(plain, 20, 2, 1);
    graph_free(g);
    graph_free(before);
    graph_free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics_are_those_of_all_samples),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_no_batches_and_no_normalizations_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
