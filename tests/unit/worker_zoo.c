/* The zoo: every architecture builds, is what its row says, and depends on its seed alone. */
#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/zoo/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct graph *build(const struct zoo *z, uint64_t seed)
{
    struct graph *g = NULL;
    struct err e = { 0 };
    if (z->build(seed, &g, &e))
        fail_msg("%s: %s (%s)", z->name, e.text, e.place);
    return g;
}

static void every_architecture(void **state)
{
    (void)state;
    for (const struct zoo *const *z = zoo_list; *z; ++z) {
        struct graph *a = build(*z, 1), *b = build(*z, 1), *c = build(*z, 2);
        const struct shape in = { .rank = 3, .dim = { (*z)->channels, (*z)->height, (*z)->width } };
        assert_ptr_equal(zoo_find((*z)->name), *z);
        assert_int_equal(graph_trainable(a), (*z)->parameters);
        assert_true(shape_equal(&a->value[a->input].shape, &in));
        assert_int_equal(shape_count(&a->value[a->output[0]].shape), (*z)->classes);
        assert_true(a->batched);
        const size_t bytes = a->param_count * sizeof *a->param;
        assert_memory_equal(a->param, b->param, bytes);
        assert_memory_not_equal(a->param, c->param, bytes);
        graph_free(a);
        graph_free(b);
        graph_free(c);
    }
    assert_null(zoo_find("lenet6"));
}

static void lenet5(void **state)
{
    (void)state;
    static const struct {
        const char *name, *op;
        int64_t parameters;
        uint64_t macs;
        int fan_in;
    } rows[] = {
        { "conv1", "Conv", 520, 288000, 25 },
        { "conv2", "Conv", 25050, 1600000, 500 },
        { "fc1", "Gemm", 400500, 400000, 800 },
        { "fc2", "Gemm", 5010, 5000, 500 },
    };
    struct graph *g = build(zoo_find("lenet5"), 7);
    struct layer *layers;
    struct err e = { 0 };
    int count;
    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    assert_int_equal(count, 4);
    for (int i = 0; i < count; ++i) {
        const struct value *w = &g->value[layers[i].weight], *b = &g->value[layers[i].bias];
        const double limit = sqrt(3.0 / rows[i].fan_in);
        const int64_t weights = shape_count(&w->shape);
        double sum = 0, squares = 0;
        assert_string_equal(layers[i].name, rows[i].name);
        assert_string_equal(g->node[layers[i].node].op->name, rows[i].op);
        assert_int_equal(layers[i].parameters, rows[i].parameters);
        assert_int_equal(layers[i].macs, rows[i].macs);
        for (int64_t k = 0; k < weights; ++k) {
            const double x = (double)g->param[w->offset + k];
            assert_true(fabs(x) <= limit);
            sum += x;
            squares += x * x;
        }
        /* mean 0 and variance 1 / fan-in, within five standard errors */
        assert_true(fabs(sum / (double)weights) < 5 * sqrt(1.0 / rows[i].fan_in / (double)weights));
        assert_true(fabs(squares / (double)weights * rows[i].fan_in - 1) < 5 * sqrt(0.8 / (double)weights));
        for (int64_t k = 0; k < shape_count(&b->shape); ++k)
            assert_true(g->param[b->offset + k] == 0);
    }
    free(layers);
    graph_free(g);
}

/* The helpers that the first architecture does not use. */
static void a_block_with_normalization(void **state)
{
    (void)state;
    const struct zoo z = { .name = "block", .channels = 4, .height = 9, .width = 9 };
    struct zoo_build b;
    struct graph *g;
    struct err e = { 0 };
    zoo_start(&b, &z, ZOO_HE, 5, &e);
    zoo_conv(&b, "depthwise", 4, 3, 2, 1, 4, false);
    zoo_bn(&b, "bn");
    zoo_relu(&b, "relu");
    zoo_pool(&b, "AveragePool", "pool", 5, 1);
    zoo_flatten(&b, "flatten");
    zoo_gemm(&b, "fc", 3);
    if (zoo_done(&b, &g))
        fail_msg("%s (%s)", e.text, e.place);
    assert_int_equal(graph_trainable(g), 36 + 8 + 15);
    assert_int_equal(graph_parameters(g), 36 + 16 + 15);
    assert_false(g->value[graph_find_value(g, "bn.running_var")].trainable);
    assert_true(g->param[g->value[graph_find_value(g, "bn.running_var")].offset] == 1);
    assert_int_equal(g->value[g->output[0]].shape.dim[0], 3);
    graph_free(g);
}

static void wrong_calls_are_reported(void **state)
{
    (void)state;
    const struct zoo z = { .name = "wrong", .channels = 1, .height = 4, .width = 4 };
    struct zoo_build b;
    struct graph *g;
    struct err e = { 0 };
    zoo_start(&b, &z, ZOO_XAVIER, 5, &e);
    zoo_conv(&b, "a", 2, 3, 1, 0, 1, true);
    zoo_conv(&b, "a", 2, 3, 1, 0, 1, true); /* the name is taken */
    zoo_relu(&b, "relu");
    assert_int_equal(zoo_done(&b, &g), ERR_INVALID);
    assert_null(g);
}

static void out_of_memory(void **state)
{
    (void)state;
    int failures = 0;
    for (int n = 0;; ++n) {
        struct graph *g;
        struct err e = { 0 };
        mem_fail_after(n);
        const int got = zoo_find("lenet5")->build(1, &g, &e);
        mem_fail_after(-1);
        graph_free(g);
        if (got == 0)
            break;
        assert_int_equal(got, ERR_NOMEM);
        ++failures;
    }
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture),
        cmocka_unit_test(lenet5),
        cmocka_unit_test(a_block_with_normalization),
        cmocka_unit_test(wrong_calls_are_reported),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
