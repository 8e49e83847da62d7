/* The executor: the same bits for any number of threads, shared memory that nobody sees, honest figures. */
#include "tests/unit/worker_nets.h"
#include "worker/kernels/kernels.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void); /* gcc 12 has no header for it */

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#endif

static struct net *net_for(struct graph *g, struct net_options o)
{
    struct err e = { 0 };
    struct net *n;
    if (!g->finished && graph_finish(g, &e) < 0)
        fail_msg("%s (%s)", e.text, e.place);
    if (net_new(g, &o, &n, &e) < 0)
        fail_msg("%s", e.text);
    return n;
}

/* Two steps with the running statistics reset before them; the gradients of the second, to be freed. */
static real *gradients_with(struct graph *g, const struct kernels *k, int threads)
{
    struct pool *p = pool_new(threads);
    struct net *n =
        net_for(g, (struct net_options){ .batch = 50, .train = true, .kernels = k, .pool = p, .seed = 9 });
    size_t bytes = g->param_count * sizeof(real);
    real *kept = mem_alloc(bytes), *result = mem_alloc(bytes);
    memcpy(kept, g->param, bytes);
    step_net(g, n, 50, 1);
    step_net(g, n, 39, 2);
    memcpy(result, net_gradients(n), bytes);
    memcpy(g->param, kept, bytes);
    free(kept);
    net_free(n);
    pool_free(p);
    return result;
}

static void same_bits_with(struct graph *g)
{
    for (int i = 0; kernels_list[i]; i++) {
        if (!kernels_list[i]->usable())
            continue;
        real *one = gradients_with(g, kernels_list[i], 1);
        for (int threads = 2; threads <= 5; threads += threads == 3 ? 2 : 1) {
            real *many = gradients_with(g, kernels_list[i], threads);
            if (memcmp(one, many, g->param_count * sizeof *one))
                fail_msg("%s with %s: %d threads give other bits than one", g->name, kernels_list[i]->name,
                         threads);
            free(many);
        }
        free(one);
    }
}

static void same_bits_any_threads(void **state)
{
    struct graph *(*const build[])(void) = { lenet, branches, residuals };
    (void)state;
    for (size_t i = 0; i < sizeof build / sizeof *build; i++) {
        struct graph *g = build[i]();
        struct err e;
        assert_int_equal(graph_finish(g, &e), 0);
        same_bits_with(g);
        graph_free(g);
    }
}

/* Evaluation reuses memory all the time; what comes out is what the roomy training net says. */
static void reused_memory(void **state)
{
    struct graph *(*const build[])(void) = { lenet, branches, residuals };
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct graph *g = build[i]();
        struct net *roomy = net_for(g, (struct net_options){ .batch = 20, .train = true });
        struct net *tight = net_for(g, (struct net_options){ .batch = 20 });
        size_t features = features_of(g, g->input);
        for (int step = 0; step < 2; step++) {
            fill_lanes(net_input(roomy), features, 2, 20, 4);
            if (step == 0) /* the input outlives the step */
                fill_lanes(net_input(tight), features, 2, 20, 4);
            net_forward(roomy, 20, false, 0);
            net_forward(tight, 20, false, 0);
            for (int k = 0; k < g->outputs; k++)
                assert_memory_equal(net_output(roomy, k), net_output(tight, k),
                                    2 * features_of(g, g->output[k]) * LANES * sizeof(real));
        }
        size_t big, small;
        assert_int_equal(net_bytes(g, &(struct net_options){ .batch = 20, .train = true }, &big, NULL), 0);
        assert_int_equal(net_bytes(g, &(struct net_options){ .batch = 20 }, &small, NULL), 0);
        assert_true(small * 3 < big * 2);
        net_free(roomy);
        net_free(tight);
        graph_free(g);
    }
}

static void watched_values(void **state)
{
    struct graph *g = lenet();
    (void)state;
    struct net *n = net_for(g, (struct net_options){ .batch = 16 });
    struct net *roomy = net_for(g, (struct net_options){ .batch = 16, .train = true });
    int pool2 = graph_find_value(g, "pool2.out"), conv1 = graph_find_value(g, "conv1.out");
    int flat = graph_find_value(g, "flat.out");
    assert_null(net_value(n, pool2));
    net_watch(n, flat); /* the same memory as pool2.out */
    fill_lanes(net_input(n), 784, 1, 16, 4);
    fill_lanes(net_input(roomy), 784, 1, 16, 4);
    net_forward(n, 16, false, 0);
    net_forward(roomy, 16, false, 0);
    assert_null(net_value(n, conv1));
    assert_non_null(net_value(roomy, conv1));
    assert_ptr_equal(net_value(n, pool2), net_value(n, flat));
    assert_memory_equal(net_value(n, pool2), net_value(roomy, pool2), 800 * LANES * sizeof(real));
    assert_non_null(net_value(n, g->output[0]));
    net_free(n);
    net_free(roomy);
    graph_free(g);
}

/* What a value holds after a whole pass, in a net that was made for it. */
static real *whole_pass(struct graph *g, int value, size_t bytes)
{
    struct net *n = net_for(g, (struct net_options){ .batch = 16, .apart = true });
    real *made = mem_alloc(bytes);
    net_watch(n, value);
    fill_lanes(net_input(n), 784, 1, 16, 4);
    net_forward(n, 16, false, 0);
    memcpy(made, net_value(n, value), bytes);
    net_free(n);
    return made;
}

/* Where a pass has stopped its last activation can be read, those before no longer; then it goes on. */
static void stopped_pass(void **state)
{
    static const char *const stop[] = { "conv1.out", "conv2.out", "fc1.out", "fc2.out" };
    struct graph *g = lenet();
    (void)state;
    struct net *n = net_for(g, (struct net_options){ .batch = 16, .apart = true });
    fill_lanes(net_input(n), 784, 1, 16, 4);
    for (int i = 0; i < 4; i++) {
        const int value = graph_find_value(g, stop[i]);
        const size_t bytes = (size_t)shape_count(&g->value[value].shape) * LANES * sizeof(real);
        real *made = whole_pass(g, value, bytes);
        net_stop(n, value);
        if (i)
            net_continue(n);
        else
            net_forward(n, 16, false, 0);
        assert_non_null(net_value(n, value));
        assert_memory_equal(net_value(n, value), made, bytes);
        assert_true(!i || !net_value(n, graph_find_value(g, stop[i - 1])));
        free(made);
    }
    net_free(n);
    graph_free(g);
}

static void near(const real *a, const real *b, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)(a[i] - b[i])) <= 1e-4 * (1 + fabs((double)b[i]))))
            fail_msg("%s: number %zu is %g, by itself %g", what, i, (double)a[i], (double)b[i]);
}

/* A normalization takes the bias in front of it out again: its gradient is what rounding leaves. */
static bool is_noise(const char *name)
{
    return strncmp(name, "conv", 4) == 0 && strstr(name, ".bias");
}

/* Nodes that run in one pass, and the same ones by themselves. */
static void chains(void **state)
{
    (void)state;
    struct graph *g = residuals();
    for (int batch = 50; batch >= 39; batch -= 11) {
        struct net *n = net_for(g, (struct net_options){ .batch = 50, .train = true });
        struct net *apart = net_for(g, (struct net_options){ .batch = 50, .train = true, .apart = true });
        size_t bytes = g->param_count * sizeof(real);
        real *before = mem_alloc(bytes), *after = mem_alloc(bytes);
        memcpy(before, g->param, bytes);
        step_net(g, n, batch, 1);
        memcpy(after, g->param, bytes); /* running statistics have moved */
        memcpy(g->param, before, bytes);
        step_net(g, apart, batch, 1);
        near(after, g->param, g->param_count, "parameters");
        for (int v = 0; v < g->values; v++)
            if (g->value[v].kind == VALUE_PARAM && !is_noise(g->value[v].name))
                near(net_gradients(n) + g->value[v].offset, net_gradients(apart) + g->value[v].offset,
                     (size_t)shape_count(&g->value[v].shape), g->value[v].name);
        for (int k = 0; k < g->outputs; k++)
            near(net_output(n, k), net_output(apart, k), features_of(g, g->output[k]) * LANES, "output");
        assert_null(net_value(n, graph_find_value(g, "add1.out")));
        assert_non_null(net_value(apart, graph_find_value(g, "add1.out")));
        assert_non_null(net_value(n, graph_find_value(g, "norm5.out")));
        assert_non_null(net_value(n, graph_find_value(g, "norm6.out")));
        free(before);
        free(after);
        net_free(n);
        net_free(apart);
    }
    graph_free(g);
}

static void figure_is_what_is_allocated(void **state)
{
    struct graph *g = branches();
    struct err e = { 0 };
    size_t figure;
    (void)state;
    assert_int_equal(graph_finish(g, &e), 0);
    struct pool *p = pool_new(2);
    for (int train = 0; train < 2; train++) {
        struct net_options o = { .batch = 300, .train = train, .pool = p };
        assert_int_equal(net_bytes(g, &o, &figure, &e), 0);
        size_t before = allocated();
        struct net *n = net_for(g, o);
        size_t used = allocated() - before, tables = 64 * (size_t)(g->values + g->nodes) + 32768;
        if (used < figure || used > figure + tables)
            fail_msg("the figure is %zu, allocated are %zu", figure, used);
        net_free(n);
        o.limit = figure - 1;
        assert_int_equal(net_new(g, &o, &n, &e), ERR_MEMORY);
        assert_non_null(strstr(e.text, "300"));
        o.limit = figure;
        n = net_for(g, o);
        net_free(n);
    }
    pool_free(p);
    graph_free(g);
}

/* A weight can be another array; nothing of the graph changes, and NULL goes back. */
static void other_weights(void **state)
{
    struct graph *g = lenet();
    (void)state;
    struct net *n = net_for(g, (struct net_options){ .batch = 16 });
    int w = graph_find_value(g, "fc2.weight"), b = graph_find_value(g, "fc2.bias");
    real *zeros = mem_aligned(64, 5000 * sizeof *zeros);
    fill_lanes(net_input(n), 784, 1, 16, 4);
    net_forward(n, 16, false, 0);
    real first = net_output(n, 0)[0];
    net_set_weight(n, w, zeros);
    net_forward(n, 16, false, 0);
    for (int i = 0; i < 10; i++)
        assert_true(net_output(n, 0)[i * LANES] == g->param[g->value[b].offset + (size_t)i]);
    net_set_weight(n, w, NULL);
    net_forward(n, 16, false, 0);
    assert_true(net_output(n, 0)[0] == first);
    free(zeros);
    net_free(n);
    graph_free(g);
}

/* A smaller batch in a large net is the same as in a small one. */
static void smaller_batches(void **state)
{
    struct graph *g = lenet();
    (void)state;
    struct net *large = net_for(g, (struct net_options){ .batch = 64, .train = true });
    struct net *small = net_for(g, (struct net_options){ .batch = 5, .train = true });
    assert_int_equal(net_blocks(large), 4);
    assert_int_equal(net_blocks(small), 1);
    step_net(g, large, 64, 8); /* leaves its traces */
    step_net(g, large, 5, 1);
    step_net(g, small, 5, 1);
    assert_memory_equal(net_gradients(large), net_gradients(small), g->param_count * sizeof(real));
    net_free(large);
    net_free(small);
    graph_free(g);
}

static void bad_batches(void **state)
{
    struct graph *g = lenet();
    struct err e = { 0 };
    struct net *n;
    (void)state;
    assert_int_equal(graph_finish(g, &e), 0);
    assert_int_equal(net_new(g, &(struct net_options){ .batch = 0 }, &n, &e), ERR_INVALID);
    assert_int_equal(net_new(g, &(struct net_options){ .batch = 1 << 30 }, &n, &e), ERR_INVALID);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_any_threads),
        cmocka_unit_test(reused_memory),
        cmocka_unit_test(watched_values),
        cmocka_unit_test(stopped_pass),
        cmocka_unit_test(figure_is_what_is_allocated),
        cmocka_unit_test(other_weights),
        cmocka_unit_test(smaller_batches),
        cmocka_unit_test(bad_batches),
        cmocka_unit_test(chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
