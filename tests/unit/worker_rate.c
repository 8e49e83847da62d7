/* Bits as a cost: what a code would take, the proximal steps, zeros that come, go, and stay. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/prune/pruner.h"
#include "worker/quant/method.h"
#include "worker/rate/rate.h"
#include "worker/train/optimizer.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 80, COLUMNS = 120, INNER = 4, CODES = ROWS * COLUMNS * INNER };

static void fill(int8_t *code, double density, uint64_t seed)
{
    struct rng r = rng_at(seed, 6, 0);

    for (int i = 0; i < CODES; i++)
        code[i] = (int8_t)(rng_uniform(&r) < density ? (rng_below(&r, 2) ? 1 : -1) : 0);
}

/* Independent codes: the estimate is their entropy, the price of one more is -log2 of its odds, and a sign.
 */
static void test_prices_of_independent_codes(void **state)
{
    static int8_t code[CODES];
    static float slope[CODES];
    double more[SLOPE_LEVELS], odds[ROWS + COLUMNS], mean = 0;
    const struct slope_tensor t = { code, ROWS, COLUMNS, INNER, false };
    (void)state;

    fill(code, 0.1, 1);
    const double bits = slope_bits(&t, slope, more, odds);
    const double entropy = -0.1 * log2(0.1) - 0.9 * log2(0.9) + 0.1;
    assert_true(fabs(bits / CODES / entropy - 1) < 0.1);
    for (int i = 0; i < CODES; i++)
        mean += (double)slope[i] / CODES;
    assert_true(fabs(mean - (log2(9) + 1)) < 0.3);
    assert_true(more[0] > 8); /* nobody has a 2 */
}

/* Weights of a density that falls by the same factor from code to code, on two steps near to each other: the
 * bits of one less those of the other are what the slope in the step says. */
static void test_bits_fall_with_the_step(void **state)
{
    static int8_t code[CODES];
    static float slope[CODES];
    double more[SLOPE_LEVELS], odds[ROWS + COLUMNS], bits[3], steep = 0;
    const struct slope_tensor t = { code, ROWS, COLUMNS, INNER, false };
    (void)state;

    for (int k = 0; k < 3; k++) {
        struct rng r = rng_at(9, 6, 0);
        for (int i = 0; i < CODES; i++) {
            const double w = -log(1 - rng_uniform(&r)) * (rng_below(&r, 2) ? 1 : -1);
            code[i] = (int8_t)rint(w / (1 + 0.05 * (k - 1)));
        }
        bits[k] = slope_bits(&t, slope, more, odds);
        if (k == 1)
            steep = slope_of_step(&t, slope, more);
    }
    assert_true(bits[2] < bits[1] && bits[1] < bits[0]);
    assert_true(fabs(steep * log(1.05 / 0.95) / (bits[0] - bits[2]) - 1) < 0.15);
}

/* A code in a dead row or column is dearer than one among others; the turned tensor says the same. */
static void test_dead_lines_are_dear(void **state)
{
    static int8_t code[CODES], turned[CODES];
    static float slope[CODES], other[CODES];
    double more[SLOPE_LEVELS], odds[ROWS + COLUMNS];
    (void)state;

    fill(code, 0.2, 2);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) {
            int8_t *block = code + (r * COLUMNS + c) * INNER;
            if (r == 7 || c == 5)
                memset(block, 0, INNER);
            memcpy(turned + (c * ROWS + r) * INNER, block, INNER);
        }
    const struct slope_tensor t = { code, ROWS, COLUMNS, INNER, false },
                              u = { turned, ROWS, COLUMNS, INNER, true };
    const double bits = slope_bits(&t, slope, more, odds);
    assert_true(slope_bits(&u, other, more, odds) == bits);
    const float beside = slope[(8 * COLUMNS + 6) * INNER];
    assert_true(slope[(7 * COLUMNS + 6) * INNER] > beside + 1 &&
                slope[(8 * COLUMNS + 5) * INNER] > beside + 1);
    assert_true(slope[(7 * COLUMNS + 5) * INNER] > slope[(7 * COLUMNS + 6) * INNER]);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            assert_true(slope[(r * COLUMNS + c) * INNER] == other[(c * ROWS + r) * INNER]);
}

static void test_proximal_steps_end_at_zero(void **state)
{
    const struct optimizer_step s = { (real)0.1, (real)0.5, 0, 1 };
    const real cost[4] = { 1, 1, 10, 0 };
    real first[4] = { 0 }, second[4] = { (real)0.004, (real)0.004, 0, 1 };
    real *const moment[2] = { first, second };
    (void)state;

    real w[4] = { 1, (real)-0.1, -3, (real)0.5 };
    optimizer_find("sgd")->shrink(&s, w, cost, moment, 4);
    assert_true(real_fabs(w[0] - (real)0.8) < (real)1e-6 && w[1] == 0 && real_fabs(w[2] + 1) < (real)1e-6);
    assert_true(w[3] == (real)0.5);
    real v[4] = { 1, (real)-0.01, -3, (real)0.5 }; /* sqrt(0.004 / (1 - 0.999)) = 2 */
    optimizer_find("adam")->shrink(&s, v, cost, moment, 4);
    assert_true(real_fabs(v[0] - (real)0.95) < (real)1e-5 && v[1] == 0);
    assert_true(real_fabs(v[2] + (real)2.9) < (real)1e-6 && v[3] == (real)0.5);
}

/* Without a loss: bits fall; zeros may be left until the mask is there, and not after. */
static void test_zeros_come_and_stay(void **state)
{
    enum { STEPS = 1000 };
    struct graph *g;
    struct quant *q;
    struct prune *p;
    struct rate *r;
    struct quant_layer_plan plan[4];
    const struct quant_options o = { .method = method_find("msqe"), .grid = grid_find("sym") };
    const struct optimizer *sgd = optimizer_find("sgd");
    (void)state;

    assert_int_equal(zoo_graph("lenet5", 1, &g, NULL), 0);
    for (int i = 0; i < 4; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = 3, .activation = { .bits = 32 } };
    assert_int_equal(quant_new(g, plan, 4, &o, &q, NULL), 0);
    assert_int_equal(
        prune_new(g, &(struct prune_rule){ &pruner_magnitude, 0, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 }, &p,
                  NULL),
        0);
    assert_int_equal(rate_new(g, q, p, &(struct rate_rule){ 1e-3, 0.5, 0.2 }, &r, NULL), 0);
    struct pool *pool = pool_new(1);
    quant_start(q, g);
    quant_apply(q, g, pool);
    rate_begin(r, STEPS);
    rate_update(r, q, 0);
    const double before = r->at.bits;
    assert_true(r->at.price == 0 && before > 430500);
    const struct quant_weight *w = &q->weight[1];
    real *x = g->param + w->offset, *cost = mem_array(w->count, sizeof *cost);
    x[0] = 0;
    for (int64_t step = 0; step < STEPS; step++) {
        rate_update(r, q, step);
        rate_costs(r, q, 1, 0, x, w->count, cost);
        sgd->shrink(&(struct optimizer_step){ (real)0.001, 0, 0, step + 1 }, x, cost, NULL, w->count);
        rate_bury(r, q, 1, 0, x, w->count);
        quant_apply(q, g, pool);
        if (step == STEPS / 2) {
            assert_true(r->at.price == 1e-3 && !r->at.frozen);
            x[0] = 1; /* a zero grows again */
            x[1] = 0;
            quant_apply(q, g, pool);
            assert_true(q->code[w->offset] != 0);
        }
    }
    assert_true(r->at.frozen && r->at.price == 0.5e-3 && r->at.bits < before);
    assert_true(x[0] > 0);
    x[1] = 1;
    rate_bury(r, q, 1, 0, x, 2);
    assert_true(x[0] > 0 && x[1] == 0);
    free(cost);
    rate_free(r);
    prune_free(p);
    quant_free(q);
    pool_free(pool);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prices_of_independent_codes), cmocka_unit_test(test_bits_fall_with_the_step),
        cmocka_unit_test(test_dead_lines_are_dear),         cmocka_unit_test(test_proximal_steps_end_at_zero),
        cmocka_unit_test(test_zeros_come_and_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
