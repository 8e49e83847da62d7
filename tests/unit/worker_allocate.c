/* Widths by a budget: the cheap steps are taken first, what is fixed stays, and the impossible is said. And
 * the noise that they come from, of a network whose layers differ. */
#include "tests/unit/noise_feed.h"
#include "tests/unit/same_function.h"

#include "worker/calibrate/allocate.h"

/* Noise falls to a quarter with each bit, `first` at two bits. */
static struct sensitivity_row row_of(double first)
{
    struct sensitivity_row r = { { -1, -1 }, { -1, -1 } };

    for (int b = SENSITIVITY_LEAST; b <= SENSITIVITY_MOST; b++)
        r.weights[b] = r.activations[b] = first * pow(4, 2 - b);
    return r;
}

static struct allocate_layer layer(int64_t weights, uint64_t macs, int bits)
{
    return (struct allocate_layer){ weights, macs, bits, bits, SENSITIVITY_LEAST, SENSITIVITY_LEAST };
}

static void test_the_deaf_layer_pays(void **state)
{
    struct allocate_layer a[] = { layer(1000, 1, 8), layer(1000, 1, 8) };
    const struct sensitivity_row r[] = { row_of(1), row_of(1e-6) };
    (void)state;

    assert_true(allocate_cost(a, 2, ALLOCATE_BYTES) == 2000);
    assert_true(allocate(a, r, 2, ALLOCATE_BYTES, 1250));
    assert_int_equal(a[0].weight_bits, 8);
    assert_int_equal(a[1].weight_bits, 2);
    assert_int_equal(a[1].activation_bits, 8); /* costs no bytes */
    assert_true(allocate(a, r, 2, ALLOCATE_BYTES, 1249));
    assert_int_equal(a[0].weight_bits, 7);
    assert_false(allocate(a, r, 2, ALLOCATE_BYTES, 499));
    assert_int_equal(a[0].weight_bits, 2); /* what the least is can be told */
}

/* Every set of widths that costs as little is at least as noisy. */
static void test_none_of_the_others_is_better(void **state)
{
    static const int64_t weights[] = { 500, 3000, 800 };
    const struct sensitivity_row r[] = { row_of(0.3), row_of(0.5), row_of(0.01) };
    (void)state;

    for (double budget = 1200; budget < 4300; budget += 317) {
        struct allocate_layer a[3];
        double mine = 0, best = INFINITY;
        for (int i = 0; i < 3; i++)
            a[i] = layer(weights[i], 1, 8);
        assert_true(allocate(a, r, 3, ALLOCATE_BYTES, budget));
        for (int i = 0; i < 3; i++)
            mine += r[i].weights[a[i].weight_bits];
        for (int x = 0; x < 343; x++) {
            const int b[] = { 2 + x % 7, 2 + x / 7 % 7, 2 + x / 49 };
            double cost = 0, noise = 0;
            for (int i = 0; i < 3; i++) {
                cost += (double)((weights[i] * b[i] + 7) / 8);
                noise += r[i].weights[b[i]];
            }
            best = cost <= budget && noise < best ? noise : best;
        }
        /* greedy stops where the budget is met: at most one more step than was needed */
        assert_true(mine < 4 * best);
    }
}

static void test_operations_weigh_both_widths(void **state)
{
    struct allocate_layer a[] = { layer(10, 1000000, 8), layer(100000, 10, 8) };
    const struct sensitivity_row r[] = { row_of(1), row_of(1) };
    (void)state;

    assert_true(allocate(a, r, 2, ALLOCATE_BIT_OPERATIONS, 16.0e6 + 640));
    assert_true(a[0].weight_bits * a[0].activation_bits <= 16);
    assert_int_equal(a[1].weight_bits, 8); /* it does next to nothing */
}

static void test_fixed_and_float_layers_stay(void **state)
{
    struct allocate_layer a[] = { layer(1000, 1, 8), layer(1000, 1, 4), layer(1000, 1, 32) };
    const struct sensitivity_row r[] = { row_of(1), row_of(1e-9), row_of(1e-9) };
    (void)state;

    a[1].weight_least = a[1].activation_least = 4;
    assert_true(allocate(a, r, 3, ALLOCATE_BYTES, 250 + 500 + 4000));
    assert_int_equal(a[0].weight_bits, 2);
    assert_int_equal(a[1].weight_bits, 4);
    assert_int_equal(a[2].weight_bits, 32);
    assert_false(allocate(a, r, 3, ALLOCATE_BYTES, 4000));
}

/* --- measured --- */

static void test_noise_falls_with_bits_and_knows_dead_layers(void **state)
{
    struct graph *g = make("lenet5");
    struct noise n = noise_for(g, 20);
    struct pool *pool = pool_new(1);
    struct sensitivity_row row[4];
    struct err e = { 0 };
    const struct value *last = &g->value[graph_find_value(g, "fc2.weight")];
    (void)state;

    const struct sensitivity s = {
        .look = { .graph = g, .method = &method_ptq, .batches = { &n.feed, pool, NULL, 16, 2, false } },
        .net = { .batch = 16, .pool = pool },
        .quant = { .method = &method_ptq, .grid = grid_find("sym") },
    };
    for (int64_t i = 0; i < shape_count(&last->shape); i++)
        g->param[last->offset + (size_t)i] =
            i % 2 ? (real)0.5 : (real)-0.5; /* any width holds that exactly */
    if (sensitivity_measure(&s, row, 4, &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < 3; i++)
        for (int b = 2; b <= 5; b += 3) {
            assert_true(row[i].weights[b] > 10 * row[i].weights[b + 3]); /* 64 in the mean */
            assert_true(row[i].activations[b] > 10 * row[i].activations[b + 3]);
        }
    for (int b = SENSITIVITY_LEAST; b <= SENSITIVITY_MOST; b++) {
        assert_true(row[3].weights[b] < 1e-9);
        assert_true(row[3].activations[b] > 0);
    }
    assert_true(sensitivity_bytes(g, 16, 2) >= 2 * 16 * 10 * sizeof(real));
    pool_free(pool);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_deaf_layer_pays),
        cmocka_unit_test(test_none_of_the_others_is_better),
        cmocka_unit_test(test_operations_weigh_both_widths),
        cmocka_unit_test(test_fixed_and_float_layers_stay),
        cmocka_unit_test(test_noise_falls_with_bits_and_knows_dead_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
