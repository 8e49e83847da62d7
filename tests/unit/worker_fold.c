/* Normalizations that become a part of their layers: the same function, the same codes. */
#include "tests/unit/same_function.h"

#include "worker/op/op.h"
#include "worker/quant/fold.h"
#include "worker/quant/method.h"

static int normalizations(const struct graph *g)
{
    int count = 0;

    for (int i = 0; i < g->nodes; i++)
        count += strcmp(g->node[i].op->name, "BatchNormalization") == 0;
    return count;
}

/* Statistics and factors of all kinds; every third factor is negative where that is wanted, one is 0. */
static void shake_normalizations(struct graph *g, bool negative)
{
    struct rng r = rng_at(4, 4, 4);

    for (int i = 0; i < g->nodes; i++) {
        if (strcmp(g->node[i].op->name, "BatchNormalization") != 0)
            continue;
        for (int k = 1; k < 5; k++) {
            const struct value *v = &g->value[g->node[i].input[k]];
            for (int64_t c = 0; c < shape_count(&v->shape); c++) {
                const double x = 0.5 + rng_uniform(&r);
                g->param[v->offset + (size_t)c] = (real)(k == 1 && negative && c % 3 == 1 ? -x : x);
            }
            if (k == 1)
                g->param[v->offset] = 0;
        }
    }
}

static struct graph *shaken(const char *name, bool negative)
{
    struct graph *g = make(name);

    shake_biases(g);
    shake_normalizations(g, negative);
    return g;
}

/* Weights on a grid, activations in floating point, so that nothing can fall to the other side of anything.
 */
static void snap(struct graph *g, const struct method *method, const char *grid, int bits, bool per_channel)
{
    struct layer *layers;
    struct quant *q;
    struct pool *pool = pool_new(1);
    struct err e = { 0 };
    int count;

    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    struct quant_layer_plan *plan = mem_array((size_t)count, sizeof *plan);
    for (int i = 0; i < count; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = bits, .activation = { .bits = 32 } };
    const struct quant_options o = { .method = method, .grid = grid_find(grid), .per_channel = per_channel };
    assert_int_equal(quant_new(g, plan, count, &o, &q, &e), 0);
    quant_start(q, g);
    quant_snap(q, g, pool);
    assert_int_equal(quant_codes(q, g, &e), 0);
    quant_free(q);
    pool_free(pool);
    free(plan);
    free(layers);
}

/* Everything of the original that is not a normalization is there with its codes, but for their signs. */
static void assert_same_codes(const struct graph *before, const struct graph *after)
{
    int seen = 0;

    for (int v = 0; v < before->values; v++) {
        const struct value *a = &before->value[v];
        if (a->kind != VALUE_PARAM || !a->codes || a->shape.rank < 2)
            continue;
        const int other = graph_find_value(after, a->name);
        assert_true(other >= 0);
        const struct value *b = &after->value[other];
        assert_non_null(b->codes);
        assert_int_equal(a->codes->bits, b->codes->bits);
        for (int64_t i = 0; i < shape_count(&a->shape); i++)
            assert_int_equal(abs(a->codes->code[i]), abs(b->codes->code[i]));
        assert_true(value_codes_ok(b->codes, &b->shape));
        seen++;
    }
    assert_true(seen > 0);
}

static void test_floats_fold(void **state)
{
    static const char *const nets[] = { "resnet20", "mobilenet-v2@3x32x32/10",
                                        "shufflenet-v2-x0.5@3x32x32/10" };
    (void)state;

    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct graph *g = shaken(nets[i], true), *plain;
        const int count = normalizations(g);
        int folded;
        assert_int_equal(graph_clone(g, &plain, NULL), 0);
        assert_int_equal(fold_normalizations(g, &folded, NULL), 0);
        assert_true(count > 10);
        assert_int_equal(folded, count);
        assert_int_equal(normalizations(g), 0);
        assert_same_function(plain, g);
        graph_free(plain);
        graph_free(g);
    }
}

static void test_codes_stay(void **state)
{
    static const struct {
        const struct method *method;
        const char *grid;
        int bits;
        bool per_channel;
    } how[] = { { &method_msqe, "sym", 1, false },
                { &method_msqe, "sym", 3, true },
                { &method_msqe, "midrise", 2, false },
                { &method_lsq, "twos", 8, true },
                { &method_lq_nets, "sym", 2, true } };
    (void)state;

    for (size_t i = 0; i < sizeof how / sizeof *how; i++)
        for (int negative = 0; negative < 2; negative++) {
            struct graph *g = shaken("resnet20", negative), *plain;
            int folded;
            snap(g, how[i].method, how[i].grid, how[i].bits, how[i].per_channel);
            assert_int_equal(graph_clone(g, &plain, NULL), 0);
            assert_int_equal(fold_normalizations(g, &folded, NULL), 0);
            assert_int_equal(folded + normalizations(g), 19);
            assert_true(folded == 19 || (negative && strcmp(how[i].grid, "twos") == 0));
            assert_same_codes(plain, g);
            assert_same_function(plain, g);
            graph_free(plain);
            graph_free(g);
        }
}

/* -2 of -2..1 has no opposite: where a channel would need it, the normalization stays. */
static void test_what_can_not_turn_stays(void **state)
{
    struct graph *g = shaken("resnet20", true), *plain;
    int folded;
    (void)state;

    snap(g, &method_lsq, "twos", 2, false);
    assert_int_equal(graph_clone(g, &plain, NULL), 0);
    assert_int_equal(fold_normalizations(g, &folded, NULL), 0);
    assert_true(folded < 19);
    assert_int_equal(normalizations(g), 19 - folded);
    assert_same_codes(plain, g);
    assert_same_function(plain, g);
    graph_free(plain);
    graph_free(g);
}

static void test_nothing_to_fold(void **state)
{
    struct graph *g = make("lenet5");
    int folded;
    (void)state;

    assert_int_equal(fold_normalizations(g, &folded, NULL), 0);
    assert_int_equal(folded, 0);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats_fold),
        cmocka_unit_test(test_codes_stay),
        cmocka_unit_test(test_what_can_not_turn_stays),
        cmocka_unit_test(test_nothing_to_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
