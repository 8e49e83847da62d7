/* Weight gradients summed for pairs of blocks apart: what one sum over all blocks gives, but for rounding,
 * and the same bits for any number of threads. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/graph/pool.h"
#include "worker/op/weight_pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conv_case.h"
#include "tests/unit/distance.h"

enum { BLOCKS = 5, BATCH = BLOCKS * LANES, SIDE = 12, TAPS = 9 };

struct single {
    struct graph *g;
    struct net *net;
    struct pool *pool;
};

static void fill(real *x, size_t count, uint64_t stream)
{
    struct rng r = rng_at(5, stream, 0);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)rng_normal(&r);
}

/* One convolution of noise, and its gradients for noise. */
static struct single run_single(int channels, int threads, const char *kernels)
{
    struct single s = { .g = graph_new("single"), .pool = pool_new(threads) };
    const struct shape image = { 3, { channels, SIDE, SIDE } }, weight = { 4, { channels, channels, 3, 3 } };
    const int64_t pads[] = { 1, 1, 1, 1 };
    float *init = mem_array((size_t)shape_count(&weight), sizeof *init);
    struct err e = { 0 };

    assert_non_null(init);
    int x = graph_add_input(s.g, "x", &image, NULL);
    int w = graph_add_param(s.g, "w", &weight, true, init, NULL);
    int b = graph_add_param(s.g, "b", &(struct shape){ 1, { channels } }, true, init, NULL);
    int y = graph_add_value(s.g, "y", NULL);
    int node = graph_add_node(s.g, "Conv", "conv", (int[]){ x, w, b }, 3, &y, 1, NULL);
    free(init);
    node_set_ints(&s.g->node[node], "pads", pads, 4);
    s.g->output[s.g->outputs++] = y;
    if (graph_finish(s.g, &e) ||
        net_new(s.g,
                &(struct net_options){
                    .batch = BATCH, .train = true, .pool = s.pool, .kernels = kernels_find(kernels) },
                &s.net, &e))
        fail_msg("%s %s", e.text, e.place);
    const size_t count = (size_t)shape_count(&image) * BATCH;
    fill(net_input(s.net), count, 1);
    net_forward(s.net, BATCH, true, 0);
    fill(net_output_gradient(s.net, 0), count, 2);
    net_backward(s.net);
    return s;
}

static void single_free(struct single *s)
{
    net_free(s->net);
    graph_free(s->g);
    pool_free(s->pool);
}

static struct conv conv_with(int channels)
{
    return conv_of(
        &(struct conv_case){ "", channels, SIDE, SIDE, channels, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, BLOCKS });
}

/* Weights and biases of one call over all blocks, as the graph has them. */
static void compare_with_one_sum(const struct single *s, const struct conv *c, const struct kernels *k)
{
    const size_t weights = (size_t)c->O * c->C * TAPS;
    real *dw = mem_array(weights + (size_t)c->O, sizeof *dw);
    void *scratch = mem_aligned(64, k->conv_scratch(c));

    assert_true(dw && scratch);
    k->conv_backward_weight(c, BLOCKS, net_input(s->net), net_output_gradient(s->net, 0), dw, dw + weights, 0,
                            c->O, scratch);
    for (int v = 0; v < s->g->values; v++) {
        const struct value *value = &s->g->value[v];
        const real *is = net_gradients(s->net) + value->offset;
        if (value->kind == VALUE_PARAM)
            assert_true(distance(is, value->shape.rank == 4 ? dw : dw + weights,
                                 (size_t)shape_count(&value->shape)) < 1e-5);
    }
    free(dw);
    free(scratch);
}

static void test_pairs_add_up_to_one_sum(void **state)
{
    (void)state;
    for (const struct kernels *const *k = kernels_list; *k; k++)
        for (int channels = 14; channels <= 64 && (*k)->usable(); channels += 25) {
            const struct conv c = conv_with(channels);
            struct single one = run_single(channels, 1, (*k)->name);
            /* many channels are worth one input for all threads */
            assert_int_equal(weight_pairs_bytes(&c, BLOCKS),
                             channels < 30 ? 3 * (size_t)channels * (size_t)channels * TAPS * sizeof(real)
                                           : 0);
            compare_with_one_sum(&one, &c, *k);
            for (int threads = 2; threads <= 4; threads++) {
                struct single many = run_single(channels, threads, (*k)->name);
                assert_memory_equal(net_gradients(many.net), net_gradients(one.net),
                                    one.g->param_count * sizeof(real));
                single_free(&many);
            }
            single_free(&one);
        }
}

static void test_few_blocks_are_one_sum(void **state)
{
    const struct conv c = conv_with(14);
    (void)state;
    assert_int_equal(weight_pairs_bytes(&c, 2), 0);
    assert_int_equal(weight_pairs_bytes(&c, 3), 2 * 14 * 14 * TAPS * sizeof(real));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_add_up_to_one_sum),
        cmocka_unit_test(test_few_blocks_are_one_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
