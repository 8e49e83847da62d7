/* Which settings are tried next, against networks that are formulas: bytes and metric of a density, of bits,
 * of a price. */
#include "worker/train/search.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Bytes are about a power of the density; the metric falls where there is too little of it. */
static struct search_trial plain(const struct search_point *p)
{
    const double weights = (1 - p->sparsity) * 1e5;

    return (struct search_trial){ *p, 100 + weights * (p->bits + 2) / 8,
                                  1 - 10 / weights - exp2(-3 - 2.0 * p->bits) };
}

/* A price halves the density with each factor of four. */
static struct search_trial priced(const struct search_point *p)
{
    const double weights = 2e4 * sqrt(1e-6 / p->price) * pow(1 - p->sparsity, 0.1);

    return (struct search_trial){ *p, 100 + weights * (p->bits + 1) / 8,
                                  1 - 10 / weights - exp2(-3 - 2.0 * p->bits) };
}

static struct search begin(double bytes, double metric, int trials)
{
    return (struct search){ .goal = { bytes, metric },
                            .room = { .sparsity = true, .bits = true, .bits_most = 8 },
                            .start = { 0.9, 4, 0 },
                            .trials_most = trials };
}

static void run(struct search *s, struct search_trial (*network)(const struct search_point *))
{
    struct search_point p;

    while (search_next(s, &p)) {
        assert_true(s->trials < s->trials_most);
        assert_true(p.sparsity >= 0 && p.sparsity < 1 && p.bits >= SEARCH_BITS_LEAST && p.bits <= 8);
        assert_true(s->room.price == (p.price > 0) && p.price <= 1);
        for (int i = 0; i < s->trials; i++) /* nothing is tried twice */
            assert_true(fabs(p.sparsity - s->trial[i].at.sparsity) > 1e-9 || p.bits != s->trial[i].at.bits ||
                        p.price < s->trial[i].at.price || p.price > s->trial[i].at.price);
        s->trial[s->trials++] = network(&p);
    }
}

/* The least bytes of any density and bits that have the metric, by looking at very many. */
static double least_bytes(double metric)
{
    double least = INFINITY;

    for (int bits = 2; bits <= 8; bits++)
        for (double octaves = 0; octaves < 13; octaves += 0.01) {
            const struct search_trial t = plain(&(struct search_point){ 1 - exp2(-octaves), bits, 0 });
            least = t.metric >= metric && t.bytes < least ? t.bytes : least;
        }
    return least;
}

static double best_metric(double bytes)
{
    double most = 0;

    for (int bits = 2; bits <= 8; bits++)
        for (double octaves = 0; octaves < 13; octaves += 0.01) {
            const struct search_trial t = plain(&(struct search_point){ 1 - exp2(-octaves), bits, 0 });
            most = t.bytes <= bytes && t.metric > most ? t.metric : most;
        }
    return most;
}

static void test_the_smallest_file_of_a_metric_is_found(void **state)
{
    static const double metrics[] = { 0.9, 0.98, 0.99, 0.995 };
    (void)state;

    for (int i = 0; i < 4; i++) {
        struct search s = begin(NAN, metrics[i], 24);
        run(&s, plain);
        const struct search_trial *best = &s.trial[search_best(&s)];
        assert_true(search_met(&s, search_best(&s)) && search_pareto(&s, search_best(&s)));
        assert_true(best->metric >= metrics[i]);
        assert_true(best->bytes <= 1.15 * least_bytes(metrics[i]));
        /* with the trials that jobs have by default, not far from it */
        struct search few = begin(NAN, metrics[i], 8);
        run(&few, plain);
        assert_true(few.trials <= 8 && few.trial[search_best(&few)].metric >= metrics[i]);
        assert_true(few.trial[search_best(&few)].bytes <= 2 * least_bytes(metrics[i]));
    }
}

static void test_the_best_metric_of_so_many_bytes_is_found(void **state)
{
    static const double bytes[] = { 500, 2000, 30000 };
    (void)state;

    for (int i = 0; i < 3; i++) {
        struct search s = begin(bytes[i], NAN, 16);
        run(&s, plain);
        const struct search_trial *best = &s.trial[search_best(&s)];
        assert_true(search_met(&s, search_best(&s)) && best->bytes <= bytes[i]);
        assert_true(1 - best->metric <= 1.25 * (1 - best_metric(bytes[i])));
    }
}

static void test_a_price_is_searched_where_there_is_one(void **state)
{
    (void)state;

    struct search s = begin(NAN, 0.985, 16);
    s.room.price = true;
    s.start.price = 1e-6;
    run(&s, priced);
    const struct search_trial *best = &s.trial[search_best(&s)];
    assert_true(best->metric >= 0.985 && best->at.price > 1e-6);
    bool prices = false, bits = false, sparsities = false;
    for (int i = 1; i < s.trials; i++) {
        prices |= s.trial[i].at.price < s.trial[0].at.price || s.trial[i].at.price > s.trial[0].at.price;
        bits |= s.trial[i].at.bits != s.trial[0].at.bits;
        sparsities |= fabs(s.trial[i].at.sparsity - s.trial[0].at.sparsity) > 1e-9;
    }
    assert_true(prices && bits && sparsities);
}

static void test_both_goals_end_with_the_first_that_has_both(void **state)
{
    (void)state;

    struct search s = begin(3000, 0.97, 32);
    run(&s, plain);
    for (int i = 0; i < s.trials - 1; i++)
        assert_false(search_met(&s, i));
    assert_true(search_met(&s, s.trials - 1) && search_best(&s) == s.trials - 1);
}

static void test_what_can_not_be_met_ends_with_the_nearest(void **state)
{
    (void)state;

    struct search s = begin(NAN, 1.5, 8), t = begin(90, NAN, 8);
    run(&s, plain);
    run(&t, plain);
    for (int i = 0; i < s.trials; i++)
        assert_true(s.trial[i].metric <= s.trial[search_best(&s)].metric && !search_met(&s, i));
    for (int i = 0; i < t.trials; i++)
        assert_true(t.trial[i].bytes >= t.trial[search_best(&t)].bytes && !search_met(&t, i));
    assert_true(s.trials <= 8 && t.trials <= 8);
    assert_true(t.trial[search_best(&t)].bytes < 300);
}

static void test_what_may_not_move_does_not(void **state)
{
    (void)state;

    struct search s = begin(NAN, 0.99, 16);
    s.room.sparsity = false;
    run(&s, plain);
    for (int i = 0; i < s.trials; i++)
        assert_true(s.trial[i].at.sparsity == 0.9);
    assert_true(s.trials > 1);
    struct search b = begin(NAN, 0.99, 16);
    b.room.bits = false;
    run(&b, plain);
    for (int i = 0; i < b.trials; i++)
        assert_int_equal(b.trial[i].at.bits, 4);
    assert_true(b.trials > 2);
}

/* Of two equal points only the first is on the front. */
static void test_the_front_is_what_nothing_beats(void **state)
{
    (void)state;

    struct search s = { .goal = { 100, NAN }, .trials = 5, .trials_most = 5 };
    s.trial[0] = (struct search_trial){ .bytes = 100, .metric = 0.9 };
    s.trial[1] = (struct search_trial){ .bytes = 100, .metric = 0.9 };
    s.trial[2] = (struct search_trial){ .bytes = 80, .metric = 0.8 };
    s.trial[3] = (struct search_trial){ .bytes = 90, .metric = 0.8 };
    s.trial[4] = (struct search_trial){ .bytes = 120, .metric = 0.95 };
    assert_true(search_pareto(&s, 0) && search_pareto(&s, 2) && search_pareto(&s, 4));
    assert_false(search_pareto(&s, 1) || search_pareto(&s, 3));
    assert_int_equal(search_best(&s), 0);
    struct search_point p;
    assert_false(search_next(&s, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_file_of_a_metric_is_found),
        cmocka_unit_test(test_the_best_metric_of_so_many_bytes_is_found),
        cmocka_unit_test(test_a_price_is_searched_where_there_is_one),
        cmocka_unit_test(test_both_goals_end_with_the_first_that_has_both),
        cmocka_unit_test(test_what_can_not_be_met_ends_with_the_nearest),
        cmocka_unit_test(test_what_may_not_move_does_not),
        cmocka_unit_test(test_the_front_is_what_nothing_beats),
    };

    return cmocka_run_group_tests_name("worker_search", tests, NULL, NULL);
}
