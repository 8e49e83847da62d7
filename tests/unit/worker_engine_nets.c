/* Whole networks as they are exported, on integers: one picture in tiles has the bits of its lane in a block,
 * and every set of kernels has those of the first, by bit planes or not. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/bench_model.h"
#include "worker/engine/engine.h"
#include "worker/kernels/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FEW = 2 };

static struct err failure;

static void ok(int status)
{
    if (status < 0)
        fail_msg("%s (%s)", failure.text, failure.place);
}

static struct graph *stored(const char *model, const char *shape, int bits)
{
    const struct bench_options o = {
        .model = model, .shape = shape, .weight_bits = bits, .activation_bits = bits
    };
    struct graph *g = NULL;
    struct quant *q = NULL;
    ok(bench_model_load(&o, &g, &failure));
    ok(bench_model_quantize(&o, g, &q, &failure));
    ok(bench_model_stored(&g, q, &failure));
    quant_free(q);
    return g;
}

static void fill(real *x, size_t count)
{
    struct rng r = rng_at(3, 1, 0);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)(rng_uniform(&r) * 4 - 2);
}

/* A block into `y`, and a few of its samples alone. */
static void run(const struct graph *g, const struct engine_options *o, int bits, const real *x, real *y,
                size_t outputs)
{
    struct engine *n;
    real *few = mem_aligned(64, outputs * LANES * sizeof *few);
    ok(engine_new(g, o, &n, &failure));
    if (o->bits != BITS_WHERE_THEY_PAY)
        assert_int_equal(engine_bit_layers(n) > 0, o->bits == BITS_ALWAYS && bits <= BITS_PLANES);
    assert_true(engine_step(n, 1, 0).tiled);
    assert_false(engine_step(n, LANES, 0).tiled);
    engine_run(n, x, LANES, y);
    engine_run(n, x, FEW, few);
    for (size_t i = 0; i < outputs * LANES; i++)
        if (i % LANES < FEW && few[i] != y[i])
            fail_msg("%s: output %zu is %g in tiles, %g in lanes", o->kernels->name, i, (double)few[i],
                     (double)y[i]);
    free(few);
    engine_free(n);
}

static void check(const char *model, const char *shape, int bits)
{
    struct graph *g = stored(model, shape, bits);
    const size_t inputs = (size_t)shape_count(&g->value[g->input].shape),
                 outputs = (size_t)shape_count(&g->value[g->output[0]].shape);
    real *x = mem_aligned(64, inputs * LANES * sizeof *x), *y = mem_aligned(64, outputs * LANES * sizeof *y),
         *first = mem_aligned(64, outputs * LANES * sizeof *first);
    bool begun = false;
    fill(x, inputs * LANES);
    for (int k = 0; kernels_list[k]; k++)
        for (enum engine_bits planes = BITS_NEVER; planes <= BITS_ALWAYS && kernels_list[k]->usable();
             planes++) {
            const struct engine_options o = { .kernels = kernels_list[k], .bits = planes };
            run(g, &o, bits, x, begun ? y : first, outputs);
            if (begun)
                assert_memory_equal(first, y, outputs * LANES * sizeof *y);
            begun = true;
        }
    for (size_t i = 0; i < outputs; i++) /* a network whose samples come out alike would show nothing */
        assert_true(first[i * LANES] != first[i * LANES + 1]);
    free(x);
    free(y);
    free(first);
    graph_free(g);
}

static void test_lenet5(void **state)
{
    (void)state;
    check("zoo:lenet5", NULL, 8);
    check("zoo:lenet5", NULL, 2);
}

static void test_resnet20(void **state)
{
    (void)state;
    check("zoo:resnet20", NULL, 8);
    check("zoo:resnet20", "3x18x22", 4); /* ragged tiles, and strides that leave them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lenet5),
        cmocka_unit_test(test_resnet20),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
