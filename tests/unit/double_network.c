/* Gradients of a whole network with branches, shared memory and two outputs against central differences: what
 * the planner puts in one place must never be alive twice. */
#include "tests/unit/worker_nets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SAMPLES = 21, BLOCKS = 2 };

static double loss(struct graph *g, struct net *n)
{
    double sum = 0;
    net_forward(n, SAMPLES, true, 1);
    for (int k = 0; k < g->outputs; k++) {
        size_t count = BLOCKS * features_of(g, g->output[k]) * LANES;
        real *r = mem_array(count, sizeof *r);
        fill_lanes(r, count / BLOCKS / LANES, BLOCKS, SAMPLES, 2 + k);
        for (size_t i = 0; i < count; i++)
            sum += r[i] * net_output(n, k)[i];
        free(r);
    }
    return sum;
}

static void against_differences(void **state)
{
    struct graph *g = branches();
    struct err e = { 0 };
    struct net *n;
    const double h = 1e-5;
    (void)state;
    assert_int_equal(graph_finish(g, &e), 0);
    assert_int_equal(net_new(g, &(struct net_options){ .batch = SAMPLES, .train = true, .seed = 1 }, &n, &e),
                     0);
    step_net(g, n, SAMPLES, 1);
    real *gradient = mem_array(g->param_count, sizeof *gradient);
    memcpy(gradient, net_gradients(n), g->param_count * sizeof *gradient);
    for (int v = 0; v < g->values; v++) {
        const struct value *value = &g->value[v];
        if (value->kind != VALUE_PARAM || !value->trainable)
            continue;
        for (size_t i = 0; i < features_of(g, v); i += 7) {
            real *at = g->param + value->offset + i, kept = *at;
            *at = kept + h;
            double above = loss(g, n);
            *at = kept - h;
            double below = loss(g, n);
            *at = kept;
            double numeric = (above - below) / (2 * h), exact = gradient[value->offset + i];
            if (!(fabs(exact - numeric) <= 1e-6 * (fabs(exact) + fabs(numeric)) + 1e-7))
                fail_msg("%s[%zu]: gradient %.10g, the difference says %.10g", value->name, i, exact,
                         numeric);
        }
    }
    free(gradient);
    net_free(n);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(against_differences) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
