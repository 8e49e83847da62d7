/* Every instruction set's element passes against the generic ones: quantizers, maxima and what only chooses
 * bit for bit, sums and products to a few units in the last place. NaN and infinity among the numbers. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COUNT = 37 * LANES };

struct arrays {
    real *x, *dy, *out[2]; /* out: generic's, the other's */
};

static struct arrays arrays_new(bool odd)
{
    struct arrays a;
    struct rng r = rng_at(7, 1, 0);
    a.x = mem_aligned(64, COUNT * sizeof *a.x);
    a.dy = mem_aligned(64, COUNT * sizeof *a.dy);
    for (int i = 0; i < COUNT; i++) {
        a.x[i] = (real)(rng_uniform(&r) * 10 - 5);
        a.dy[i] = (real)(rng_uniform(&r) * 2 - 1);
    }
    for (int i = 0; odd && i < 40; i++) /* halves, borders, and what is no number */
        a.x[i] = i < 36    ? (real)(i - 18) / 4
                 : i == 36 ? (real)NAN
                 : i == 37 ? (real)INFINITY
                 : i == 38 ? (real)-INFINITY
                           : 0;
    for (int k = 0; k < 2; k++) {
        a.out[k] = mem_aligned(64, COUNT * sizeof *a.out[k]);
        for (int i = 0; i < COUNT; i++)
            a.out[k][i] = (real)i / COUNT;
    }
    return a;
}

static void arrays_free(struct arrays *a)
{
    free(a->x);
    free(a->dy);
    free(a->out[0]);
    free(a->out[1]);
}

static void same(const char *set, const char *what, const real *a, const real *b, int count, double tolerance)
{
    for (int i = 0; i < count; i++) {
        double off = fabs((double)a[i] - (double)b[i]);
        bool equal = (isnan(a[i]) && isnan(b[i])) || a[i] == b[i];
        if (!equal && !(off <= tolerance * (1 + fabs((double)a[i]))))
            fail_msg("%s, %s: number %d is %.9g, generic's is %.9g", set, what, i, (double)b[i],
                     (double)a[i]);
    }
}

typedef void set_fn(const struct kernels *set);

static void each_set(set_fn *fn)
{
    for (int i = 0; kernels_list[i]; i++)
        if (kernels_list[i]->usable())
            fn(kernels_list[i]);
}

static void check_unary(const struct kernels *set)
{
    static const real a[UNARIES] = {
        [UNARY_LEAKY_RELU] = (real)0.1, [UNARY_HARD_SIGMOID] = (real)0.3, [UNARY_CLIP] = -1
    };
    static const real b[UNARIES] = { [UNARY_HARD_SIGMOID] = (real)0.5, [UNARY_CLIP] = 2 };
    const struct kernels *generic = kernels_find("generic");
    for (int f = 0; f < UNARIES; f++) {
        struct arrays t = arrays_new(true);
        char what[32];
        double exact = f == UNARY_RELU || f == UNARY_CLIP ? 0 : 1e-6;
        snprintf(what, sizeof what, "function %d", f);
        generic->unary[f].forward(t.out[0], t.x, COUNT, a[f], b[f]);
        set->unary[f].forward(t.out[1], t.x, COUNT, a[f], b[f]);
        same(set->name, what, t.out[0], t.out[1], COUNT, exact);
        generic->unary[f].backward(t.out[0], t.dy, t.x, COUNT, a[f], b[f], f % 2);
        set->unary[f].backward(t.out[1], t.dy, t.x, COUNT, a[f], b[f], f % 2);
        same(set->name, what, t.out[0], t.out[1], COUNT, exact);
        arrays_free(&t);
    }
}

static void check_quantizers(const struct kernels *set)
{
    const struct quant_range range = { (real)0.37, 3, -8, 7, 0 }, fake = { (real)0.25, 0, -8, 7, 0 };
    const struct element *k[2] = { kernels_find("generic")->element, set->element };
    struct arrays t = arrays_new(true), u = arrays_new(false);
    double slope[2];
    for (int i = 0; i < 2; i++)
        k[i]->quantize(t.out[i], t.x, COUNT, &range);
    same(set->name, "quantize", t.out[0], t.out[1], COUNT, 0);
    for (int i = 0; i < 2; i++)
        k[i]->dequantize(t.out[i], t.x, COUNT, &range);
    same(set->name, "dequantize", t.out[0], t.out[1], COUNT, 0);
    for (int i = 0; i < 2; i++)
        k[i]->fake_quantize(t.out[i], t.x, COUNT, &fake);
    same(set->name, "fake_quantize", t.out[0], t.out[1], COUNT, 0);
    for (int i = 0; i < 2; i++)
        k[i]->quantize_back(t.out[i], t.dy, t.x, COUNT, &range, 1);
    same(set->name, "quantize_back", t.out[0], t.out[1], COUNT, 0);
    for (int add = 0; add < 2; add++) {
        for (int i = 0; i < 2; i++)
            slope[i] = k[i]->fake_back(u.out[i], u.dy, u.x, COUNT, &fake, add);
        assert_true(fabs(slope[0] - slope[1]) < 1e-4);
        assert_true(fabs(slope[0] - k[1]->fake_back(NULL, u.dy, u.x, COUNT, &fake, false)) < 1e-4);
        same(set->name, "fake_back", u.out[0], u.out[1], COUNT, 0);
    }
    arrays_free(&t);
    arrays_free(&u);
}

/* All ways through a normalization: with and without ReLU, its ceiling, and something added; the gradient
 * written and added. */
static void check_norm(const struct kernels *set)
{
    const struct element *k[2] = { kernels_find("generic")->element, set->element };
    struct arrays t = arrays_new(false), u = arrays_new(false);
    for (int way = 0; way < 16; way++) {
        const struct norm n = {
            (real)0.1, (real)1.7, (real)0.2, way & 1, way & 8 ? (real)0.7 : INFINITY, NULL
        };
        struct norm_slope slope = { { 0 }, (real)0.1, (real)0.2 };
        const real *other = way & 2 ? u.dy : NULL;
        real sums[2][2][LANES] = { 0 };
        for (int l = 0; l < LANES - 3; l++)
            slope.factor[l] = (real)1.5;
        for (int i = 0; i < 2; i++)
            k[i]->norm(u.out[i], t.x, other, COUNT, &n);
        same(set->name, "norm", u.out[0], u.out[1], COUNT, 1e-6);
        for (int i = 0; i < 2; i++) {
            k[i]->norm_back_sum(sums[i][0], sums[i][1], t.dy, t.x, COUNT, &n);
            k[i]->norm_back(t.out[i], t.dy, t.x, COUNT, &n, &slope, way & 4);
        }
        same(set->name, "norm_back", t.out[0], t.out[1], COUNT, 1e-5);
        same(set->name, "norm_back_sum", sums[0][0], sums[1][0], 2 * LANES, 1e-5);
    }
    arrays_free(&t);
    arrays_free(&u);
}

/* Behind an addition, with and without ReLU and quantizer, against the passes that it consists of. */
static void check_norm_add(const struct kernels *set)
{
    const struct element *k[2] = { kernels_find("generic")->element, set->element };
    for (int way = 0; way < 8; way++) {
        const real ceiling = way & 4 ? (real)1.3 : INFINITY;
        const struct quant_range range = { (real)0.25, 0, -8, way & 4 ? ceiling / (real)0.25 : 7,
                                           way & 4 ? ceiling / (real)0.25 : 0 };
        struct arrays t = arrays_new(false), u = arrays_new(false), y = arrays_new(true);
        const struct norm n = { (real)0.1, (real)1.7, (real)0.2, way & 1, ceiling, way & 2 ? &range : NULL };
        const struct norm open = { n.mean, n.factor, n.shift, false, INFINITY, NULL };
        real sums[2][3][LANES] = { 0 }, slope = 0;
        for (int i = 0; i < COUNT; i++)
            y.x[i] = isfinite(y.x[i]) ? y.x[i] : 1;
        memcpy(u.out[0], u.dy, COUNT * sizeof(real));
        memcpy(u.out[1], u.dy, COUNT * sizeof(real));
        if (n.quant)
            slope = (real)k[0]->fake_back(u.out[0], t.dy, y.x, COUNT, &range, true);
        if (n.relu)
            for (int i = 0; i < COUNT; i++)
                u.out[0][i] = y.x[i] > 0 && y.x[i] < ceiling ? u.out[0][i] : 0;
        k[0]->norm_back_sum(sums[0][0], sums[0][1], u.out[0], t.x, COUNT, &open);
        k[1]->norm_add_back_sum(sums[1][0], sums[1][1], sums[1][2], u.out[1], n.quant ? t.dy : NULL, t.x, y.x,
                                COUNT, &n);
        for (int l = 0; l < LANES; l++)
            slope -= sums[1][2][l];
        same(set->name, "norm_add_back_sum, gradient", u.out[0], u.out[1], COUNT, 0);
        same(set->name, "norm_add_back_sum", sums[0][0], sums[1][0], 2 * LANES, 1e-5);
        assert_true(fabs((double)slope) < 1e-3);
        arrays_free(&t);
        arrays_free(&u);
        arrays_free(&y);
    }
}

static void check_sums(const struct kernels *set)
{
    const struct element *k[2] = { kernels_find("generic")->element, set->element };
    struct arrays t = arrays_new(false);
    real sums[2][LANES] = { 0 };
    for (int i = 0; i < 2; i++) {
        k[i]->sum(t.out[i], t.x, t.dy, COUNT, -1);
        k[i]->add(t.out[i], t.dy, COUNT, (real)0.3);
        k[i]->norm_sum(sums[i], t.x, COUNT, (real)0.5, 1);
        k[i]->norm_sum(sums[i], t.x, COUNT, (real)0.5, 2);
    }
    same(set->name, "sums", t.out[0], t.out[1], COUNT, 2e-6);
    same(set->name, "statistics", sums[0], sums[1], LANES, 1e-5);
    arrays_free(&t);
}

static void check_pools(const struct kernels *set)
{
    /* 3x2 taps in an image of 6 columns, five windows */
    const struct taps taps = { 3, 2, 6 * LANES, LANES, 4, 3 };
    const struct pool_pass *k[2] = { kernels_find("generic")->pool, set->pool };
    struct arrays t = arrays_new(true);
    real_mask *won[2];
    for (int i = 0; i < 2; i++) {
        won[i] = mem_aligned(64, 5 * LANES * sizeof *won[i]);
        k[i]->max(&taps, t.x, LANES, t.out[i], won[i], 5);
    }
    same(set->name, "max", t.out[0], t.out[1], COUNT, 0);
    assert_memory_equal(won[0], won[1], 5 * LANES * sizeof *won[0]);
    for (int i = 0; i < 2; i++) {
        k[i]->max_back(&taps, t.out[i], LANES, t.dy, won[i], 5);
        k[i]->mean_back(&taps, t.out[i], LANES, t.dy, (real)0.3, 5);
    }
    same(set->name, "max_back", t.out[0], t.out[1], COUNT, 1e-6);
    for (int i = 0; i < 2; i++)
        k[i]->mean(&taps, t.dy, LANES, t.out[i], (real)0.3, 5);
    same(set->name, "mean", t.out[0], t.out[1], COUNT, 1e-6);
    free(won[0]);
    free(won[1]);
    arrays_free(&t);
}

static void unary(void **state)
{
    (void)state;
    each_set(check_unary);
}

static void quantizers(void **state)
{
    (void)state;
    each_set(check_quantizers);
}

static void sums(void **state)
{
    (void)state;
    each_set(check_sums);
    each_set(check_norm);
    each_set(check_norm_add);
}

static void pools(void **state)
{
    (void)state;
    each_set(check_pools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary),
        cmocka_unit_test(quantizers),
        cmocka_unit_test(sums),
        cmocka_unit_test(pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
