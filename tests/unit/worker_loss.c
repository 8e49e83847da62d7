/* Every loss of the list: its gradient against differences, its value where it is known, idle lanes. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/train/loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FEATURES = 5, SAMPLES = 20, BLOCKS = 2, COUNT = BLOCKS * FEATURES * LANES };

struct case_of_loss {
    real *y, *gradient, *teacher, *value;
    int32_t label[BLOCKS * LANES];
    struct target target;
    struct loss_call call;
};

static real *numbers(uint64_t stream)
{
    real *x = mem_aligned(64, COUNT * sizeof *x);
    struct rng r = rng_at(5, stream, 0);

    assert_non_null(x);
    for (int i = 0; i < COUNT; i++)
        x[i] = (real)rng_normal(&r);
    return x;
}

static void setup(struct case_of_loss *c)
{
    struct rng r = rng_at(6, 0, 0);

    c->y = numbers(1);
    c->gradient = numbers(2);
    c->teacher = numbers(3);
    c->value = numbers(4);
    for (int i = 0; i < BLOCKS * LANES; i++)
        c->label[i] = (int32_t)rng_below(&r, FEATURES);
    c->target = (struct target){ c->label, c->value };
    c->call = (struct loss_call){ .y = c->y,
                                  .target = &c->target,
                                  .features = FEATURES,
                                  .samples = SAMPLES,
                                  .blocks = BLOCKS,
                                  .gradient = c->gradient };
}

static void teardown(struct case_of_loss *c)
{
    free(c->y);
    free(c->gradient);
    free(c->teacher);
    free(c->value);
}

static double loss_at(const struct loss *l, const struct case_of_loss *c)
{
    struct loss_call call = c->call;

    call.gradient = NULL;
    return l->run(&call).loss;
}

static void check_gradient(const struct loss *l, struct case_of_loss *c)
{
    const struct loss_result r = l->run(&c->call);

    assert_true(isfinite(r.loss) && r.loss > 0);
    assert_true(fabs(r.loss - loss_at(l, c)) == 0);
    for (int i = 0; i < COUNT; i++) {
        const real step = (real)1e-2, held = c->y[i];
        const int sample = i / (FEATURES * LANES) * LANES + i % LANES;
        if (l == &loss_l1 && real_fabs(held - c->value[i]) < 2 * step)
            continue; /* the kink */
        c->y[i] = held + step;
        const double up = loss_at(l, c);
        c->y[i] = held - step;
        const double down = loss_at(l, c);
        c->y[i] = held;
        const double slope = (up - down) / (2 * (double)step) / SAMPLES;
        if (fabs(slope - (double)c->gradient[i]) > 1e-4)
            fail_msg("%s: %g instead of %g", l->name, (double)c->gradient[i], slope);
        if (sample >= SAMPLES)
            assert_true(c->gradient[i] == 0);
    }
}

static void test_gradients(void **state)
{
    struct case_of_loss c;
    (void)state;

    for (const struct loss *const *l = loss_list; *l; l++) {
        setup(&c);
        check_gradient(*l, &c);
        assert_ptr_equal(loss_find((*l)->name), *l);
        teardown(&c);
    }
    assert_null(loss_find("hinge"));
}

static void test_smoothing_and_a_teacher(void **state)
{
    struct case_of_loss c;
    (void)state;

    for (int i = 1; i < 4; i++) {
        setup(&c);
        c.call.smoothing = i & 1 ? 0.1 : 0;
        c.call.teacher = i & 2 ? c.teacher : NULL;
        c.call.distill = (struct distill){ 0.7, 3, 0 };
        check_gradient(&loss_cross_entropy, &c);
        teardown(&c);
    }
}

/* Of equal outputs every class has the same share: ln 5, whatever the label and its smoothing. A teacher that
 * says the same costs nothing. */
static void test_known_values(void **state)
{
    struct case_of_loss c;
    (void)state;

    setup(&c);
    memset(c.y, 0, COUNT * sizeof *c.y);
    assert_true(fabs(loss_cross_entropy.run(&c.call).loss - SAMPLES * log(FEATURES)) < 1e-9);
    c.call.smoothing = 0.3;
    assert_true(fabs(loss_cross_entropy.run(&c.call).loss - SAMPLES * log(FEATURES)) < 1e-9);
    c.call.teacher = c.y;
    c.call.distill = (struct distill){ 1, 2, 0 };
    assert_true(fabs(loss_cross_entropy.run(&c.call).loss) < 1e-9);
    for (int i = 0; i < COUNT; i++)
        c.value[i] = i % 2 ? (real)0.5 : (real)-0.5;
    assert_true(fabs(loss_l2.run(&c.call).loss - SAMPLES * 0.25) < 1e-9);
    assert_true(fabs(loss_l1.run(&c.call).loss - SAMPLES * 0.5) < 1e-9);
    assert_true(fabs(loss_charbonnier.run(&c.call).loss - SAMPLES * sqrt(0.25 + 1e-6)) < 1e-5);
    teardown(&c);
}

static void test_right_answers_are_counted(void **state)
{
    struct case_of_loss c;
    (void)state;

    setup(&c);
    for (int i = 0; i < SAMPLES; i++)
        for (int f = 0; f < FEATURES; f++)
            c.y[(i / LANES * FEATURES + f) * LANES + i % LANES] =
                f == (i < 7 ? c.label[i] : (c.label[i] + 1) % FEATURES);
    assert_int_equal(loss_cross_entropy.run(&c.call).correct, 7);
    memset(c.y, 0, COUNT * sizeof *c.y); /* of equal outputs the first counts */
    int64_t first = 0;
    for (int i = 0; i < SAMPLES; i++)
        first += c.label[i] == 0;
    assert_int_equal(loss_cross_entropy.run(&c.call).correct, first);
    teardown(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_smoothing_and_a_teacher),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_right_answers_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
