/* Moves of codes towards zero, and what each costs. */
#include "base/mem.h"
#include "worker/prune/pruner.h"
#include "worker/quant/method.h"
#include "worker/rate/polish.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct toy {
    struct graph *g;
    struct quant *q;
    struct prune *p;
    struct rate *r;
    struct pool *pool;
    struct polish polish;
    float *curvature, *slope;
    int8_t *code;
    struct polish_move *move;
    double *odds;
};

/* LeNet-5 on grids of three bits. */
static struct toy begin(void)
{
    const struct quant_options o = { .method = method_find("msqe"), .grid = grid_find("sym") };
    const struct prune_rule rule = { &pruner_magnitude, 0, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 };
    struct quant_layer_plan plan[4];
    struct toy t = { 0 };

    assert_int_equal(zoo_graph("lenet5", 1, &t.g, NULL), 0);
    for (int i = 0; i < 4; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = 3, .activation = { .bits = 32 } };
    assert_int_equal(quant_new(t.g, plan, 4, &o, &t.q, NULL), 0);
    assert_int_equal(prune_new(t.g, &rule, &t.p, NULL), 0);
    assert_int_equal(rate_new(t.g, t.q, t.p, &(struct rate_rule){ 0 }, &t.r, NULL), 0);
    t.pool = pool_new(1);
    quant_start(t.q, t.g);
    quant_apply(t.q, t.g, t.pool);
    const size_t n = t.g->param_count;
    t.curvature = mem_array(n, sizeof *t.curvature);
    t.slope = mem_array(n, sizeof *t.slope);
    t.code = mem_array(n, 1);
    t.move = mem_array(n, sizeof *t.move);
    memcpy(t.code, t.q->code, n);
    t.odds = mem_array(4096, sizeof *t.odds);
    t.polish = (struct polish){ .q = t.q,
                                .code = t.code,
                                .curvature = t.curvature,
                                .rate = t.r,
                                .tensor = mem_array(4, sizeof(struct slope_tensor)),
                                .slope = t.slope,
                                .odds = t.odds };
    return t;
}

static void end(struct toy *t)
{
    free(t->polish.tensor);
    free(t->curvature);
    free(t->slope);
    free(t->code);
    free(t->move);
    free(t->odds);
    rate_free(t->r);
    prune_free(t->p);
    quant_free(t->q);
    pool_free(t->pool);
    graph_free(t->g);
}

#define EACH_WEIGHT(t, k)                                                                                    \
    for (int i_ = 0; i_ < (t)->q->weights; i_++)                                                             \
        for (size_t k = (t)->q->weight[i_].offset; k < (t)->q->weight[i_].offset + (t)->q->weight[i_].count; \
             k++)

static void test_moves_are_sorted_and_lead_towards_zero(void **state)
{
    struct toy t = begin();
    bool nearer = false;
    (void)state;

    EACH_WEIGHT(&t, k) t.curvature[k] = (float)(k % 7) * 1e-3F;
    const size_t all = polish_moves(&t.polish, INFINITY, t.move);
    size_t alive = 0;
    EACH_WEIGHT(&t, k) alive += t.q->code[k] != 0;
    assert_int_equal(all, alive);
    for (size_t i = 0; i < all; i++) {
        const int from = t.q->code[t.move[i].at], to = t.move[i].to;
        assert_true(abs(to) < abs(from) && from * to >= 0);
        assert_true(to == 0 || abs(to) == abs(from) - 1);
        assert_true(i == 0 || t.move[i - 1].price <= t.move[i].price);
        nearer |= to != 0;
    }
    assert_true(nearer);
    const size_t few = polish_moves(&t.polish, 1e-7, t.move);
    assert_true(few > 0 && few < all && t.move[few - 1].price < 1e-7F);
    end(&t);
}

/* Every second weight is of no use at all, the others are dear. */
static void test_what_the_loss_does_not_feel_is_cheapest(void **state)
{
    struct toy t = begin();
    size_t useless = 0;
    (void)state;

    EACH_WEIGHT(&t, k)
    {
        t.curvature[k] = k % 2 ? 1e9F : 0;
        useless += k % 2 == 0 && t.q->code[k];
    }
    assert_int_equal(polish_moves(&t.polish, 1e-6, t.move), useless);
    const double before = polish_bits(&t.polish);
    for (size_t i = 0; i < useless; i++) {
        assert_true(t.move[i].at % 2 == 0);
        t.code[t.move[i].at] = 0;
    }
    assert_true(polish_bits(&t.polish) < 0.9 * before);
    end(&t);
}

/* The rise of the loss over the bits, as the header says; bits of all codes are those of training. */
static void test_prices_are_those_of_the_formula(void **state)
{
    struct toy t = begin();
    (void)state;

    EACH_WEIGHT(&t, k)
    t.curvature[k] = 2e-3F;
    rate_update(t.r, t.q, 0);
    assert_true(polish_bits(&t.polish) == t.r->at.bits);
    const size_t moves = polish_moves(&t.polish, INFINITY, t.move);
    for (size_t i = 0; i < moves; i += 97) {
        const size_t at = t.move[i].at;
        const struct quant_weight *w = t.q->weight;
        while (at < w->offset || at >= w->offset + w->count)
            w++;
        if (abs(t.q->code[at]) != 1)
            continue;
        const double d = -(double)t.q->code[at] * (double)w->scale[0];
        assert_true(fabs((1e-3 * d * d) / (double)t.r->slope[at] - (double)t.move[i].price) < 1e-9);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_are_sorted_and_lead_towards_zero),
        cmocka_unit_test(test_what_the_loss_does_not_feel_is_cheapest),
        cmocka_unit_test(test_prices_are_those_of_the_formula),
    };

    return cmocka_run_group_tests_name("worker_polish", tests, NULL, NULL);
}
