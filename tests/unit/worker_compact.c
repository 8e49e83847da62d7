/* The last rounding: biases in as few bits as a judge likes best. */
#include "base/mem.h"
#include "worker/quant/compact.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct graph *lenet(void)
{
    struct layer *layers;
    struct graph *g;
    int count;

    assert_int_equal(zoo_graph("lenet5", 1, &g, NULL), 0);
    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    for (int i = 0; i < count; i++) {
        const struct value *v = &g->value[layers[i].bias];
        for (int64_t k = 0; k < shape_count(&v->shape); k++)
            g->param[v->offset + (size_t)k] = (real)(sin((double)(k + i)) * (i + 1));
    }
    free(layers);
    return g;
}

/* Bits of all biases, which must be one width; each within half a step of what it was. */
static int width_of(struct graph *g)
{
    struct layer *layers;
    int count, bits = 0;

    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    for (int i = 0; i < count; i++) {
        const struct value *v = &g->value[layers[i].bias];
        const int high = (1 << (v->codes->bits - 1)) - 1;
        const double step = (double)v->codes->scale[0];
        assert_true(!bits || bits == v->codes->bits);
        bits = v->codes->bits;
        for (int64_t k = 0; k < shape_count(&v->shape); k++) {
            const double was = sin((double)(k + i)) * (i + 1), is = (double)g->param[v->offset + (size_t)k];
            assert_true(abs(v->codes->code[k]) <= high);
            assert_true(is == (double)(real)((real)v->codes->code[k] * v->codes->scale[0]));
            assert_true(fabs(is - was) < step * (0.5 + high / 64.0)); /* the step itself is rounded */
        }
    }
    free(layers);
    return bits;
}

/* A cost for each width, as the graph has it when it is asked. */
struct costs {
    struct graph *g;
    double of[16];
    int asked, fails_at;
};

static int cost(void *arg, double *cost, struct err *e)
{
    struct costs *c = arg;
    const int bits = width_of(c->g);

    c->asked++;
    *cost = c->of[bits];
    return bits == c->fails_at ? err_set(e, ERR_NOMEM, "no") : 0;
}

static void test_the_width_that_costs_least(void **state)
{
    static const struct {
        double of[16];
        int best;
    } cases[] = {
        { { [8] = 8, [7] = 7, [6] = 6, [5] = 5, [4] = 4, [3] = 9 }, 4 },
        { { [8] = 3, [7] = 4, [6] = 3, [5] = 4, [4] = 4, [3] = 3 }, 8 }, /* equal ones: the widest */
        { { [8] = 9, [7] = 9, [6] = 2, [5] = 9, [4] = 9, [3] = 1 }, 3 }, /* not the first valley */
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct costs c = { .g = lenet() };
        memcpy(c.of, cases[i].of, sizeof c.of);
        assert_int_equal(compact_graph(c.g, &(struct compact_judge){ &c, cost }, NULL), 0);
        assert_int_equal(width_of(c.g), cases[i].best);
        assert_int_equal(c.asked, 6);
        graph_free(c.g);
    }
}

static void test_without_a_judge_and_with_a_failing_one(void **state)
{
    struct costs c = { .g = lenet(), .fails_at = 6 };
    struct err e = { 0 };
    (void)state;

    assert_int_equal(compact_graph(c.g, &(struct compact_judge){ &c, cost }, &e), ERR_NOMEM);
    graph_free(c.g);
    c.g = lenet();
    assert_int_equal(compact_graph(c.g, NULL, NULL), 0);
    assert_int_equal(width_of(c.g), COMPACT_BIAS_MOST);
    graph_free(c.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_width_that_costs_least),
        cmocka_unit_test(test_without_a_judge_and_with_a_failing_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
