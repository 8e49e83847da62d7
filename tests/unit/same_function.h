/* same_function.h - do two networks compute the same? */
#ifndef TESTS_UNIT_SAME_FUNCTION_H
#define TESTS_UNIT_SAME_FUNCTION_H

#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline struct graph *make(const char *name)
{
    struct graph *g;

    assert_int_equal(zoo_graph(name, 3, &g, NULL), 0);
    return g;
}

/* Outputs for 16 random inputs; owned by the caller. */
static inline real *answers(struct graph *g, size_t *count)
{
    struct err e = { 0 };
    struct net *n;
    struct rng r = rng_at(5, 6, 7);

    if (net_new(g, &(struct net_options){ .batch = LANES }, &n, &e))
        fail_msg("%s", e.text);
    const size_t inputs = (size_t)shape_count(&g->value[g->input].shape) * LANES;
    for (size_t i = 0; i < inputs; i++)
        net_input(n)[i] = (real)rng_uniform(&r);
    net_forward(n, LANES, false, 0);
    *count = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES;
    real *y = mem_array(*count, sizeof *y);
    assert_non_null(y);
    memcpy(y, net_output(n, 0), *count * sizeof *y);
    net_free(n);
    return y;
}

static inline void assert_same_function(struct graph *a, struct graph *b)
{
    size_t count, other;
    real *x = answers(a, &count), *y = answers(b, &other), most = 0;

    assert_int_equal(count, other);
    for (size_t i = 0; i < count; i++)
        most = real_fabs(x[i]) > most ? real_fabs(x[i]) : most;
    for (size_t i = 0; i < count; i++)
        assert_true(real_fabs(x[i] - y[i]) <= (real)2e-5 * (most + 1));
    assert_true(most > 0);
    free(x);
    free(y);
}

/* Every bias a random number, so that constants matter. */
static inline void shake_biases(struct graph *g)
{
    struct rng r = rng_at(9, 9, 9);

    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].shape.rank == 1)
            for (int64_t i = 0; i < shape_count(&g->value[v].shape); i++)
                g->param[g->value[v].offset + (size_t)i] += (real)(0.2 * rng_uniform(&r));
}

#endif
