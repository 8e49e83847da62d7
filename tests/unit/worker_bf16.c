/* The backward pass on bf16 pairs against the float kernels: the same numbers where everything is exact, the
 * same within bf16's rounding of the gradient elsewhere; in every set, for any cut. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/bf16.h"
#include "worker/kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/distance.h"

static struct conv layer(int C, int size, int O, int kernel, int pad, int stride, int dilation)
{
    struct conv c = { C,      size,     size,     O,   0,   0,   kernel, kernel, stride,
                      stride, dilation, dilation, pad, pad, pad, pad,    1,      false };
    c.OH = c.OW = (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
    return c;
}

struct example {
    struct conv c;
    int blocks, zero;
    real *x, *dy, *w, *dx, *dw,
        *dbias; /* x, w: values of the codes; the last three: what float kernels say */
    uint8_t *code;
    int8_t *weight;
    size_t in, out, taps;
};

static void *room(size_t bytes)
{
    void *p = mem_aligned(64, bytes + 64);
    assert_non_null(p);
    return p;
}

/* exact: gradients are small integers, so that every sum is exact in float. */
static struct example example(struct conv c, int blocks, int zero, bool exact, const struct kernels *oracle)
{
    struct rng r = rng_at(5, (uint64_t)(c.C * 1000 + c.O), 0);
    const size_t image = (size_t)c.H * c.W, quads = (size_t)(c.C + 3) / 4;
    struct example e = { .c = c, .blocks = blocks, .zero = zero };
    e.in = (size_t)blocks * c.C * image * LANES;
    e.out = (size_t)blocks * c.O * c.OH * c.OW * LANES;
    e.taps = (size_t)c.O * c.C * c.KH * c.KW;
    e.x = room(e.in * sizeof(real));
    e.dx = room(e.in * sizeof(real));
    e.dy = room(e.out * sizeof(real));
    e.w = room(e.taps * sizeof(real));
    e.dw = room(e.taps * sizeof(real));
    e.dbias = room((size_t)c.O * sizeof(real));
    e.code = room((size_t)blocks * quads * 4 * image * LANES);
    e.weight = room(e.taps);
    for (size_t i = 0; i < e.in; i++) {
        size_t lane = i % LANES, pixel = i / LANES % image, channel = i / LANES / image % c.C;
        size_t block = i / LANES / image / c.C;
        uint8_t code = (uint8_t)rng_below(&r, 256);
        e.code[((block * quads + channel / 4) * image + pixel) * LANES * 4 + lane * 4 + channel % 4] = code;
        e.x[i] = (real)code - (real)zero;
    }
    for (size_t i = 0; i < e.out; i++)
        e.dy[i] = exact ? (real)rng_below(&r, 9) - 4 : (real)rng_normal(&r);
    for (size_t i = 0; i < e.taps; i++) {
        e.weight[i] = (int8_t)(rng_below(&r, 31) - 15);
        e.w[i] = (real)e.weight[i];
    }
    void *scratch = room(oracle->conv_scratch(&c));
    oracle->conv_backward_data(&c, e.dy, e.w, e.dx, false, 0, blocks, scratch);
    oracle->conv_backward_weight(&c, blocks, e.x, e.dy, e.dw, e.dbias, 0, c.O, scratch);
    free(scratch);
    return e;
}

static void example_free(struct example *e)
{
    void *owned[] = { e->x, e->dy, e->w, e->dx, e->dw, e->dbias, e->code, e->weight };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

/* In steps of `cut` blocks (pairs of them where that is the unit) and groups of outputs. */
static void run(const struct bf16 *k, const struct example *e, int cut, const real *scale, int scales,
                bool add, real *dx, real *dw, real *dbias)
{
    const struct conv *c = &e->c;
    const struct coded x = { e->code, e->zero };
    void *all = room(bf16_room(c, e->blocks).bytes), *scratch = room(k->scratch(c));
    const int two = (e->blocks + 1) / 2;
    for (int lo = 0; lo < two; lo += cut) {
        int hi = lo + cut < two ? lo + cut : two;
        k->pack_dy(c, e->blocks, e->dy, scale, scales, all, true, lo, hi);
        k->pack_x(c, e->blocks, &x, all, lo, hi);
    }
    for (int lo = 0; lo < c->C; lo += 8)
        k->pack_weights(c, e->blocks, e->weight, all, lo, lo + 8 < c->C ? lo + 8 : c->C);
    for (int lo = 0; lo < c->O; lo += 4 * cut) {
        int hi = lo + 4 * cut < c->O ? lo + 4 * cut : c->O;
        k->weight(c, e->blocks, all, 0.5f, dw, lo, hi, scratch);
        k->bias(c, e->blocks, all, dbias, lo, hi);
    }
    for (int lo = 0; lo < e->blocks; lo += cut)
        k->data(c, e->blocks, all, dx, add, lo, lo + cut < e->blocks ? lo + cut : e->blocks, scratch);
    free(all);
    free(scratch);
}

static const struct {
    int C, size, O, kernel, pad, stride, dilation, blocks;
} layers[] = {
    { 3, 5, 7, 3, 1, 1, 1, 1 },    { 4, 12, 9, 5, 0, 1, 1, 3 },   { 16, 9, 16, 3, 1, 1, 1, 2 },
    { 5, 8, 3, 3, 1, 2, 1, 3 },    { 8, 7, 6, 1, 0, 2, 1, 2 },    { 33, 1, 10, 1, 0, 1, 1, 4 },
    { 19, 2, 21, 1, 0, 1, 1, 3 },  { 2, 9, 2, 3, 2, 1, 2, 1 },    { 6, 10, 5, 2, 0, 3, 1, 2 },
    { 1, 6, 1, 6, 0, 1, 1, 5 },    { 20, 4, 13, 1, 0, 1, 1, 2 },  { 20, 33, 5, 3, 1, 1, 1, 3 },
    { 197, 6, 68, 1, 0, 1, 1, 3 }, { 192, 5, 67, 1, 0, 1, 1, 1 },
};

static void compare_exact(const struct example *e, bool add, const real *dx, const real *dw,
                          const real *dbias)
{
    for (size_t i = 0; i < e->in; i++)
        assert_true(dx[i] == (real)add + e->dx[i]);
    for (size_t i = 0; i < e->taps; i++)
        assert_true(dw[i] == 1 + e->dw[i] / 2);
    for (int o = 0; o < e->c.O; o++)
        assert_true(dbias[o] == 1 + e->dbias[o]);
}

static void fill_ones(real *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 1;
}

static void test_integers_are_exact_for_any_cut(void **state)
{
    const struct kernels *oracle = kernels_find("generic");
    (void)state;
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        struct example e = example(layer(layers[l].C, layers[l].size, layers[l].O, layers[l].kernel,
                                         layers[l].pad, layers[l].stride, layers[l].dilation),
                                   layers[l].blocks, l % 2 ? 128 : 0, true, oracle);
        real *dx = room(e.in * sizeof(real)), *dw = room(e.taps * sizeof(real)),
             *dbias = room(e.c.O * sizeof(real));
        for (const struct kernels *const *k = kernels_list; *k; k++)
            for (int cut = 1; cut < 4 && (*k)->usable(); cut++) {
                const real one = 1;
                fill_ones(dx, e.in);
                fill_ones(dw, e.taps);
                fill_ones(dbias, (size_t)e.c.O);
                run((*k)->bf16, &e, cut, &one, 1, cut != 2, dx, dw, dbias);
                compare_exact(&e, cut != 2, dx, dw, dbias);
            }
        free(dx);
        free(dw);
        free(dbias);
        example_free(&e);
    }
}

/* A scale per output goes into the gradient before it is rounded. */
static void test_rounding_is_that_of_bf16(void **state)
{
    struct example e = example(layer(12, 9, 14, 3, 1, 1, 1), 3, 0, false, kernels_find("generic"));
    real scale[14], *dx = room(e.in * sizeof(real)), *dw = room(e.taps * sizeof(real)), dbias[14];
    real *wise = room(e.in * sizeof(real)), *scaled = room(e.taps * sizeof(real));
    void *scratch = room(kernels_find("generic")->conv_scratch(&e.c));
    (void)state;
    for (int o = 0; o < 14; o++)
        scale[o] = (real)0.01 * (real)(o + 1);
    for (size_t i = 0; i < e.taps; i++)
        scaled[i] = e.w[i] * scale[i / (e.taps / 14)];
    for (size_t i = 0; i < e.taps; i++)
        e.dw[i] /= 2;
    kernels_find("generic")->conv_backward_data(&e.c, e.dy, scaled, wise, false, 0, e.blocks, scratch);
    for (const struct kernels *const *k = kernels_list; *k; k++) {
        if (!(*k)->usable())
            continue;
        memset(dx, 0, e.in * sizeof(real));
        memset(dw, 0, e.taps * sizeof(real));
        memset(dbias, 0, sizeof dbias);
        run((*k)->bf16, &e, 2, scale, 14, true, dx, dw, dbias);
        /* one rounding of relative size up to 2^-9, about 2^-9 / sqrt(3) on average; not exact either */
        assert_true(distance(dx, wise, e.in) < 0.0022 && distance(dx, wise, e.in) > 0.0008);
        assert_true(distance(dw, e.dw, e.taps) < 0.0022 && distance(dw, e.dw, e.taps) > 0.0008);
        assert_true(distance(dbias, e.dbias, 14) < 1e-5);
    }
    free(dx);
    free(dw);
    free(wise);
    free(scaled);
    free(scratch);
    example_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_exact_for_any_cut),
        cmocka_unit_test(test_rounding_is_that_of_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
