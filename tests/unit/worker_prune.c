/* Ranks, structures, pruners, and the mask that stays. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/prune/lamp.h"
#include "worker/prune/pruner.h"
#include "worker/prune/rank.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void test_the_k_smallest_as_a_sort_finds_them(void **state)
{
    enum { COUNT = 1000 };
    float x[COUNT], sorted[COUNT], value;
    struct rng r = rng_at(1, 2, 3);
    size_t ties;
    (void)state;

    for (int i = 0; i < COUNT; i++) /* many equal ones, many zeros, wide range */
        x[i] = rng_below(&r, 3) ? (float)rng_below(&r, 20) / 7 : (float)exp(20 * rng_uniform(&r) - 10);
    memcpy(sorted, x, sizeof x);
    qsort(sorted, COUNT, sizeof *sorted, compare);
    for (size_t k = 1; k <= COUNT; k++) {
        size_t below = 0;
        rank_smallest(x, COUNT, k, &value, &ties);
        for (int i = 0; i < COUNT; i++)
            below += x[i] < value;
        assert_true(value == sorted[k - 1]);
        assert_int_equal(below + ties, k);
    }
    rank_smallest(x, COUNT, 0, &value, &ties);
    assert_true(value == 0 && ties == 0);
}

static void test_lamp_scores_are_those_of_the_formula(void **state)
{
    enum { COUNT = 500 };
    float x[COUNT], score[COUNT];
    uint64_t scratch[2 * COUNT];
    struct rng r = rng_at(3, 1, 4);
    (void)state;

    for (int i = 0; i < COUNT; i++)
        score[i] = x[i] = i % 7 ? (float)exp(10 * rng_uniform(&r) - 5) : 0;
    lamp_scores(score, COUNT, scratch);
    float most = 0;
    for (int i = 0; i < COUNT; i++) {
        double sum = 0;
        for (int k = 0; k < COUNT; k++)
            sum += x[k] >= x[i] ? (double)x[k] * (double)x[k] : 0;
        assert_true(fabs((double)score[i] - (double)x[i] * (double)x[i] / sum) < 1e-6);
        most = score[i] > most ? score[i] : most;
    }
    assert_true(most == 1);
}

static struct graph *lenet(void)
{
    struct graph *g;

    assert_int_equal(zoo_graph("lenet5", 1, &g, NULL), 0);
    return g;
}

static struct prune *prune_of(struct graph *g, const struct prune_rule *rule)
{
    struct prune *p;

    assert_int_equal(prune_new(g, rule, &p, NULL), 0);
    return p;
}

static void test_the_share_is_exact_and_the_smallest_go(void **state)
{
    struct graph *g = lenet();
    (void)state;

    for (int per_layer = 0; per_layer < 2; per_layer++) {
        struct prune *p = prune_of(g, &(struct prune_rule){ &pruner_partial_l2, 0.9, 1,
                                                            (enum prune_scope)per_layer, PRUNE_SINGLE, 0 });
        assert_int_equal(p->total, 430500);
        prune_mark(p, g, 1);
        assert_true(llabs(p->marked - 387450) <= 3 * per_layer);
        real most = 0, least = INFINITY;
        for (int i = 0; i < p->weights; i++) {
            const struct prune_weight *w = &p->weight[i];
            int64_t gone = 0;
            if (per_layer) {
                most = 0;
                least = INFINITY;
            }
            for (size_t k = 0; k < w->count; k++) {
                const real a = real_fabs(g->param[w->offset + k]);
                most = w->doomed[k] && a > most ? a : most;
                least = !w->doomed[k] && a < least ? a : least;
                gone += w->doomed[k];
            }
            assert_true(!per_layer || gone == (int64_t)(0.9 * (double)w->count));
            assert_true(!per_layer || most <= least);
        }
        assert_true(most <= least);
        prune_free(p);
    }
    graph_free(g);
}

/* A layer's own share is taken of it alone; the others share what is left of the scope. */
static void test_a_layer_may_have_a_share_of_its_own(void **state)
{
    struct graph *g = lenet();
    struct prune *p =
        prune_of(g, &(struct prune_rule){ &pruner_magnitude, 0.5, 1, PRUNE_NETWORK, PRUNE_ROWS, 0 });
    int64_t gone[4] = { 0 };
    (void)state;

    p->weight[0].sparsity = 0.25; /* of 20 filters */
    p->weight[2].sparsity = 0.9;  /* of 500 units */
    prune_mark(p, g, 1);
    for (int i = 0; i < p->weights; i++)
        for (size_t k = 0; k < p->weight[i].count; k++)
            gone[i] += p->weight[i].doomed[k];
    assert_int_equal(gone[0], 5 * 25);
    assert_int_equal(gone[1], 25 * 500); /* alone in the scope */
    assert_int_equal(gone[2], 450 * 800);
    assert_int_equal(gone[3], 0);
    assert_int_equal(p->marked, gone[0] + gone[1] + gone[2]);
    prune_mark(p, g, 0.5);
    assert_int_equal(p->marked, 2 * 25 + 12 * 500 + 225 * 800);
    prune_free(p);
    graph_free(g);
}

/* The scale of a layer decides nothing, and no layer is starved. */
static void test_adaptive_ranks_see_no_scales(void **state)
{
    struct graph *g = lenet();
    struct prune *p =
        prune_of(g, &(struct prune_rule){ &pruner_partial_l2, 0.999, 1, PRUNE_ADAPTIVE, PRUNE_SINGLE, 0 });
    const struct prune_weight *third = &p->weight[2];
    uint8_t *before = mem_alloc(third->count);
    (void)state;

    prune_mark(p, g, 1);
    assert_int_equal(p->marked, 430069);
    memcpy(before, third->doomed, third->count);
    for (size_t k = 0; k < third->count; k++)
        g->param[third->offset + k] *= (real)0.0078125;
    prune_mark(p, g, 1);
    assert_memory_equal(before, third->doomed, third->count);
    for (int i = 0; i < p->weights; i++) {
        size_t left = 0;
        for (size_t k = 0; k < p->weight[i].count; k++)
            left += !p->weight[i].doomed[k];
        assert_true(left > 0);
    }
    free(before);
    prune_free(p);
    graph_free(g);
}

/* With a ramp, too, the strength of the pull is that of all that shall go in the end. */
static void test_a_ramp_takes_nothing_from_the_pull(void **state)
{
    struct graph *g = lenet();
    struct prune_rule rule = { &pruner_partial_l2, 0.9, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 };
    double pull[2];
    (void)state;

    for (int ramp = 0; ramp < 2; ramp++) {
        rule.ramp = ramp * 0.5;
        struct prune *p = prune_of(g, &rule);
        prune_begin(p, g, 1000);
        assert_int_equal(p->marked, ramp ? 0 : 387450);
        pull[ramp] = prune_pull(p);
        prune_rank(p, g, 500, 1000);
        assert_int_equal(p->marked, 387450);
        prune_free(p);
    }
    assert_true(pull[0] > 0 && pull[0] == pull[1]);
    graph_free(g);
}

static void test_equal_weights_go_in_their_order(void **state)
{
    struct graph *g = lenet();
    struct prune *p =
        prune_of(g, &(struct prune_rule){ &pruner_magnitude, 0.5, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 });
    (void)state;

    for (size_t i = 0; i < g->param_count; i++)
        g->param[i] = (real)-0.25;
    prune_mark(p, g, 0.002);
    assert_int_equal(p->marked, 430);
    for (size_t k = 0; k < 500; k++)
        assert_int_equal(p->weight[0].doomed[k], k < 430);
    prune_free(p);
    graph_free(g);
}

/* Of each row or column all or nothing; the output keeps its rows, every layer one of its own. */
static void test_structures_go_whole(void **state)
{
    struct graph *g = lenet();
    (void)state;

    for (int s = PRUNE_ROWS; s <= PRUNE_COLUMNS; s++) {
        struct prune *p = prune_of(g, &(struct prune_rule){ &pruner_partial_l2, 0.9999, 1, PRUNE_NETWORK,
                                                            (enum prune_structure)s, 0 });
        prune_mark(p, g, 1);
        for (int i = 0; i < p->weights; i++) {
            const struct prune_weight *w = &p->weight[i];
            size_t kept = 0;
            for (size_t r = 0; r < w->rows; r++)
                for (size_t c = 0; c < w->columns; c++) {
                    const uint8_t *d = w->doomed + (r * w->columns + c) * w->inner;
                    const uint8_t *first =
                        s == PRUNE_ROWS ? w->doomed + r * w->columns * w->inner : w->doomed + c * w->inner;
                    for (size_t k = 0; k < w->inner; k++)
                        assert_int_equal(d[k], *first);
                    kept += !*d && (s == PRUNE_ROWS ? c == 0 : r == 0);
                }
            assert_true(kept >= 1);
            assert_true(s != PRUNE_ROWS || i < p->weights - 1 || kept == 10);
        }
        prune_free(p);
    }
    graph_free(g);
}

/* Without a loss the doomed reach zero, faster as the coefficient grows, and nobody else moves. */
static void test_partial_l2_brings_the_doomed_to_zero_alone(void **state)
{
    enum { STEPS = 2000 };
    struct graph *g = lenet(), *before = lenet();
    struct prune *p =
        prune_of(g, &(struct prune_rule){ &pruner_partial_l2, 0.8, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 });
    double coefficient = 0;
    (void)state;

    prune_begin(p, g, STEPS);
    const double start = p->energy;
    for (int step = 0; step < STEPS; step++) {
        double sum = 0;
        prune_rank(p, g, step, STEPS);
        for (int i = 0; i < p->weights; i++)
            sum += prune_apply(p, i, 0, g->param + p->weight[i].offset, p->weight[i].count, prune_pull(p));
        p->energy = sum / (double)p->total;
        prune_update(p);
        assert_true(pruner_partial_l2.coefficient(p->state) >= coefficient);
        coefficient = pruner_partial_l2.coefficient(p->state);
    }
    assert_true(coefficient > 1e6 && p->energy < 1e-12 * start);
    assert_true(fabs(prune_sparsity(p, g, -1) - 0.8) < 0.001);
    prune_fix(p, g);
    for (int i = 0; i < p->weights; i++)
        for (size_t k = 0; k < p->weight[i].count; k++) {
            const size_t at = p->weight[i].offset + k;
            assert_true(g->param[at] == (p->weight[i].doomed[k] ? 0 : before->param[at]));
        }
    prune_free(p);
    graph_free(g);
    graph_free(before);
}

static void test_magnitude_grows_to_its_share_and_the_mask_holds(void **state)
{
    struct graph *g = lenet();
    struct prune *p =
        prune_of(g, &(struct prune_rule){ &pruner_magnitude, 0.95, 1, PRUNE_NETWORK, PRUNE_SINGLE, -1 });
    double share = -1;
    (void)state;

    for (int i = 0; i <= 20; i++) {
        const double next = prune_part(p, i / 20.0);
        assert_true(next >= share);
        share = next;
    }
    assert_true(share == 1 && prune_part(p, 0) == 0);
    prune_begin(p, g, 1000);
    assert_int_equal(p->marked, 0);
    prune_rank(p, g, 900, 1000);
    assert_int_equal(p->marked, 408975);
    prune_fix(p, g);
    const int64_t marked = p->marked;
    for (size_t i = 0; i < g->param_count; i++)
        g->param[i] += (real)0.01 * (real)(i % 7);
    prune_rank(p, g, 1000, 1000); /* no longer */
    assert_int_equal(p->marked, marked);
    for (int i = 0; i < p->weights; i++)
        assert_true(prune_apply(p, i, 0, g->param + p->weight[i].offset, p->weight[i].count, prune_pull(p)) ==
                    0);
    assert_true(prune_sparsity(p, g, -1) >= 0.95);
    prune_free(p);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_k_smallest_as_a_sort_finds_them),
        cmocka_unit_test(test_the_share_is_exact_and_the_smallest_go),
        cmocka_unit_test(test_lamp_scores_are_those_of_the_formula),
        cmocka_unit_test(test_a_layer_may_have_a_share_of_its_own),
        cmocka_unit_test(test_adaptive_ranks_see_no_scales),
        cmocka_unit_test(test_a_ramp_takes_nothing_from_the_pull),
        cmocka_unit_test(test_equal_weights_go_in_their_order),
        cmocka_unit_test(test_structures_go_whole),
        cmocka_unit_test(test_partial_l2_brings_the_doomed_to_zero_alone),
        cmocka_unit_test(test_magnitude_grows_to_its_share_and_the_mask_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
