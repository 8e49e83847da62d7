/* Grids, their fit, and the MSQE coefficient, against closed forms and figures computed independently. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NORMALS 400000

static real *normals(size_t count)
{
    real *x = mem_array(count, sizeof *x);
    struct rng r = rng_at(7, 1, 0);

    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)rng_normal(&r);
    return x;
}

/* MSE-optimal steps of N(0,1) in units of sigma; the step d is the scale, or twice the scale where codes are
 * odd. */
static void test_fit_finds_the_known_optimal_steps(void **state)
{
    static const struct {
        const char *grid;
        int bits;
        double step;
    } known[] = {
        { "midrise", 1, 1.5960 / 2 }, { "midrise", 2, 0.9955 }, { "midrise", 3, 0.5860 },
        { "midrise", 4, 0.3350 },     { "twos", 2, 1.0485 },    { "twos", 3, 0.6020 },
        { "twos", 4, 0.3385 },        { "sym", 2, 1.2240 },     { "sym", 3, 0.6510 },
        { "sym", 4, 0.3535 },         { "sym", 1, 0.7979 },
    };
    real *x = normals(NORMALS);
    (void)state;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct grid *g = grid_find(known[i].grid);
        double step =
            (double)grid_fit(g, known[i].bits, x, NORMALS, 1) * (g->odd && known[i].bits > 1 ? 2 : 1);
        if (fabs(step / known[i].step - 1) > 0.01)
            fail_msg("%s %d bit: %.4f instead of %.4f", known[i].grid, known[i].bits, step, known[i].step);
    }
    free(x);
}

/* Where a layer has more bits than the grid, sym takes its place. */
static void test_a_grid_has_the_bits_that_it_can(void **state)
{
    (void)state;

    assert_string_equal(grid_of_bits(grid_find("midrise"), 7)->name, "midrise");
    assert_string_equal(grid_of_bits(grid_find("midrise"), 8)->name, "sym");
    assert_string_equal(grid_of_bits(grid_find("twos"), 8)->name, "twos");
}

/* Every code is a level of the grid, and no other level is nearer. */
static void test_codes_are_the_nearest_levels(void **state)
{
    (void)state;

    for (const struct grid *const *p = grid_list; *p; p++)
        for (int bits = 1; bits <= (*p)->bits_max; bits++) {
            struct grid_rule r = grid_rule(*p, bits, (real)0.25);
            int step = r.odd ? 2 : 1;
            for (real w = -3; w < 3; w += (real)0.0173) {
                int k = grid_code(&r, w);
                assert_in_range(k - r.low, 0, r.high - r.low);
                assert_int_equal((k - r.low) % step, 0);
                double own = fabs((double)w - k * 0.25);
                for (int other = r.low; other <= r.high; other += step)
                    assert_true(own <= fabs((double)w - other * 0.25) + 1e-6);
            }
        }
}

static void test_half_goes_to_even_and_zero_to_plus_one(void **state)
{
    struct grid_rule sym = grid_rule(grid_find("sym"), 4, 1), one = grid_rule(grid_find("sym"), 1, 1);
    struct grid_rule odd = grid_rule(grid_find("midrise"), 2, 1);
    (void)state;

    assert_int_equal(grid_code(&sym, (real)0.5), 0);
    assert_int_equal(grid_code(&sym, (real)1.5), 2);
    assert_int_equal(grid_code(&sym, (real)-2.5), -2);
    assert_int_equal(grid_code(&sym, 100), 7);
    assert_int_equal(grid_code(&one, 0), 1);
    assert_int_equal(grid_code(&one, (real)-0.0001), -1);
    assert_int_equal(grid_code(&odd, 0), 1);
    assert_int_equal(grid_code(&odd, -9), -3);
}

/* Quantizing what is already on the grid changes nothing: the exporter's codes are those of training. Every
 * set of kernels agrees with the rule for one weight, to the last element of any count. */
static void quantize_twice(const struct update_pass *pass, const struct grid_rule *r, const real *x)
{
    enum { COUNT = 1003 };
    real q[COUNT + 1], again[COUNT];
    int8_t code[COUNT + 1];
    struct grid_sums s = { 0 }, twice = { 0 };
    int64_t zeros = 0;
    double wk = 0;

    q[COUNT] = 5;
    code[COUNT] = 5;
    pass->quantize(r, x, q, code, COUNT, &s);
    pass->quantize(r, q, again, NULL, COUNT, &twice);
    assert_memory_equal(q, again, sizeof again);
    assert_true(twice.error < 1e-10); /* no more than rounding k * scale */
    for (int i = 0; i < COUNT; i++) {
        int k = grid_code(r, x[i]);
        assert_int_equal(grid_code(r, q[i]), k);
        assert_true(q[i] == (real)k * r->scale);
        assert_int_equal((int8_t)k, code[i]);
        zeros += k == 0;
        wk += (double)x[i] * k;
    }
    assert_int_equal(s.zeros, zeros);
    assert_true(fabs(s.wk - wk) < 1e-5 * fabs(wk));
    assert_true(q[COUNT] == 5 && code[COUNT] == 5);
}

static void test_quantizing_twice_is_quantizing_once(void **state)
{
    real *x = normals(1003);
    (void)state;

    for (const struct grid *const *p = grid_list; *p; p++)
        for (int bits = 1; bits <= (*p)->bits_max; bits++)
            for (const struct kernels *const *k = kernels_list; *k; k++) {
                struct grid_rule r = grid_rule(*p, bits, grid_fit(*p, bits, x, 1003, 1));
                if ((*k)->usable())
                    quantize_twice((*k)->update, &r, x);
            }
    free(x);
}

/* For fixed codes the closed-form scale never makes the error larger; alternating, it falls monotonically. */
static void test_lloyd_step_never_increases_the_error(void **state)
{
    enum { COUNT = 5000 };
    real *x = normals(COUNT), q[COUNT];
    struct grid_rule r = grid_rule(grid_find("sym"), 3, (real)0.2);
    double before = INFINITY;
    (void)state;

    for (int i = 0; i < 30; i++) {
        struct grid_sums s = { 0 };
        kernels_best()->update->quantize(&r, x, q, NULL, COUNT, &s);
        assert_true(s.error <= before * (1 + 1e-6));
        before = s.error;
        r.scale = (real)(s.wk / s.kk);
    }
    free(x);
}

/* With the error held at R0 the coefficient settles at lambda / R0 (stationary point of alpha R - lambda log
 * alpha). */
static void test_coefficient_settles_at_lambda_over_error(void **state)
{
    double s[REGULARIZER_STATE] = { 0 };
    struct quant q = { .total = 1000, .error = 1e-3 };
    (void)state;

    regularizer_msqe.begin(s, &q,
                           &(struct regularizer_settings){ .lambda = 2, .coefficient = -1, .steps = 20000 });
    for (int i = 0; i < 60000; i++)
        regularizer_msqe.update(s, &q);
    double alpha = regularizer_msqe.coefficient(s);
    if (fabs(alpha / 2000 - 1) > 0.02)
        fail_msg("alpha is %g instead of 2000", alpha);
}

static void test_coefficient_rises_while_the_error_falls_and_is_capped(void **state)
{
    double s[REGULARIZER_STATE] = { 0 }, last = 0;
    struct quant q = { .total = 1000, .error = 1e-4 };
    (void)state;

    regularizer_msqe.begin(s, &q,
                           &(struct regularizer_settings){ .lambda = 1, .coefficient = -1, .steps = 100 });
    q.error = 0;
    for (int i = 0; i < 200; i++) {
        regularizer_msqe.update(s, &q);
        assert_true(regularizer_msqe.coefficient(s) >= last);
        last = regularizer_msqe.coefficient(s);
    }
    assert_true(fabs(last / 1e8 - 1) < 1e-6);
    /* t = 2 eta alpha / N with eta = 8 R0 N / (2 steps) */
    assert_true(fabs(regularizer_msqe.pull(s, &q) / (8 * 1e-4 * 1e8 / 100) - 1) < 1e-6);
}

static void test_held_coefficient_stays_and_shrinks_distances_as_told(void **state)
{
    (void)state;

    for (double c = 0; c <= 2; c += 0.5) {
        double s[REGULARIZER_STATE] = { 0 }, distance = 1;
        struct quant q = { .total = 1000, .error = 1e-4 };
        regularizer_msqe.begin(
            s, &q, &(struct regularizer_settings){ .lambda = 1, .coefficient = c, .steps = 1000 });
        for (int i = 0; i < 1000; i++) {
            q.error = 1e-4 * distance * distance;
            distance /= 1 + regularizer_msqe.pull(s, &q);
            regularizer_msqe.update(s, &q);
            assert_true(fabs(regularizer_msqe.coefficient(s) - c * 1e4) < 1e-6);
        }
        assert_true(fabs(log(distance) + 8 * c) < 0.01 * 8 * c + 1e-12);
    }
}

/* A network that is on its levels already: there is nothing to shrink. */
static void test_held_coefficient_without_error_is_none(void **state)
{
    double s[REGULARIZER_STATE] = { 0 };
    const struct quant q = { .total = 1000, .error = 0 };
    (void)state;

    regularizer_msqe.begin(s, &q, &(struct regularizer_settings){ .coefficient = 1, .steps = 10 });
    regularizer_msqe.update(s, &q);
    assert_true(regularizer_msqe.pull(s, &q) == 0 && regularizer_msqe.coefficient(s) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit_finds_the_known_optimal_steps),
        cmocka_unit_test(test_a_grid_has_the_bits_that_it_can),
        cmocka_unit_test(test_codes_are_the_nearest_levels),
        cmocka_unit_test(test_half_goes_to_even_and_zero_to_plus_one),
        cmocka_unit_test(test_quantizing_twice_is_quantizing_once),
        cmocka_unit_test(test_lloyd_step_never_increases_the_error),
        cmocka_unit_test(test_coefficient_settles_at_lambda_over_error),
        cmocka_unit_test(test_coefficient_rises_while_the_error_falls_and_is_capped),
        cmocka_unit_test(test_held_coefficient_stays_and_shrinks_distances_as_told),
        cmocka_unit_test(test_held_coefficient_without_error_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
