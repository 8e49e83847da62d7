/* Convolution by bit planes: in every set the integers of the int8 kernels, bit for bit, for every number of
 * planes on either side, with padding that is in memory or not. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCKS = 2 };

struct shape_case {
    const char *name;
    int C, H, W, O, KH, KW, stride, dilation, top, left, bottom, right;
};

static const struct shape_case shapes[] = {
    { "one weight", 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0 },
    { "four taps a word", 3, 6, 7, 5, 3, 5, 1, 1, 1, 2, 1, 2 },
    { "two taps a word, stride 2", 16, 8, 9, 16, 3, 3, 2, 1, 1, 1, 1, 1 },
    { "two taps a word, dilated", 11, 8, 8, 4, 3, 3, 1, 2, 2, 2, 2, 2 },
    { "a word", 20, 5, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1 },
    { "two words, lopsided", 50, 4, 4, 3, 2, 3, 1, 1, 0, 2, 1, 0 },
    { "more steps than a byte counts", 130, 4, 4, 9, 3, 3, 1, 1, 1, 1, 1, 1 },
    { "matrix", 1203, 1, 1, 10, 1, 1, 1, 1, 0, 0, 0, 0 },
};

static struct conv conv_of(const struct shape_case *k)
{
    struct conv c = { k->C,   k->H,    k->W,      k->O,      0,           0,
                      k->KH,  k->KW,   k->stride, k->stride, k->dilation, k->dilation,
                      k->top, k->left, k->bottom, k->right,  1,           false };
    c.OH = (k->H + k->top + k->bottom - (k->KH - 1) * k->dilation - 1) / k->stride + 1;
    c.OW = (k->W + k->left + k->right - (k->KW - 1) * k->dilation - 1) / k->stride + 1;
    return c;
}

/* Which integers the weights are: [low, high] in steps. */
struct levels {
    int low, high, step;
    int planes;
};

static const struct levels levels[] = {
    { -1, 1, 2, 1 }, { -1, 1, 1, 2 },   { -2, 1, 1, 2 }, { -3, 3, 2, 2 },
    { -3, 3, 1, 3 }, { -15, 15, 2, 4 }, { -7, 7, 1, 4 }, { 0, 3, 1, 2 },
};

static void *room(size_t bytes)
{
    void *p = mem_aligned(64, bytes);
    assert_non_null(p);
    return p;
}

/* One convolution, by both ways. Codes are low..low + 2^bits - 1. */
struct twins {
    struct int8_conv wide;
    struct bits_conv thin;
    uint8_t *x;
    int8_t *packed;
    struct bits_weights bits;
    int32_t *start, *thin_start;
    double *factor, *shift;
};

static uint8_t random_code(struct rng *r, int low, int bits)
{
    return (uint8_t)(low + (int)rng_below(r, 1u << bits));
}

static struct twins twins_new(const struct shape_case *shape, const struct levels *l, int bits, int low)
{
    struct rng r = rng_at(3, (uint64_t)bits, (uint64_t)l->low + 99);
    struct twins t = { .wide = { .conv = conv_of(shape) } };
    const struct conv *c = &t.wide.conv;
    const size_t K = (size_t)c->C * c->KH * c->KW, count = K * c->O, outs = (size_t)quads(c->O) * QUAD;
    const size_t codes = (size_t)BLOCKS * quads(c->C) * c->H * c->W * PIXEL;
    const uint32_t choices = (uint32_t)((l->high - l->low) / l->step + 1);
    int8_t *w = room(count);
    t.wide.zero = (uint8_t)(low + (1 << bits) - 1);
    t.thin = (struct bits_conv){ .conv = *c, .zero = t.wide.zero };
    t.x = room(codes);
    t.packed = room(int8_packed(c));
    t.start = room(outs * sizeof *t.start);
    t.thin_start = room(outs * sizeof *t.thin_start);
    t.factor = room(outs * sizeof *t.factor);
    t.shift = room(outs * sizeof *t.shift);
    for (size_t i = 0; i < codes; i++)
        t.x[i] = random_code(&r, low, bits);
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)(l->low + l->step * (int)(i < choices ? i : rng_below(&r, choices)));
    for (int o = 0; o < c->O; o++) {
        t.start[o] = t.thin_start[o] = (int32_t)rng_below(&r, 2000) - 1000;
        for (size_t i = 0; i < K; i++)
            t.thin_start[o] += low * w[(size_t)o * K + i];
        t.factor[o] = (double)(1 + rng_below(&r, 1 << 20)) / (1 << 24);
        t.shift[o] = ((double)rng_below(&r, 1 << 20) - (1 << 19)) / (1 << 16);
    }
    assert_true(bits_fit(&t.thin, (uint8_t)low, (uint8_t)(low + (1 << bits) - 1), w));
    assert_true(t.thin.x_planes == bits && t.thin.w_planes <= l->planes);
    int8_pack(&t.wide, w, t.packed);
    assert_int_equal(bits_pack(&t.thin, w, &t.bits, NULL), 0);
    free(w);
    return t;
}

static void twins_free(struct twins *t)
{
    free(t->x);
    free(t->packed);
    free(t->start);
    free(t->thin_start);
    free(t->factor);
    free(t->shift);
    bits_free(&t->bits);
}

/* Results of one form from both ways, from an input with or without its margins. */
static void compare(const struct twins *t, const struct kernels *set, enum int8_form form,
                    const struct int8_in *x)
{
    const struct conv *c = &t->wide.conv;
    const struct bits_kernels *thin = bits_of(set);
    const size_t bytes = (size_t)BLOCKS * quads(c->O) * QUAD * c->OH * c->OW * LANES * 8;
    const size_t want_bytes = form == INT8_CODES ? bytes / 8 : form == INT8_NUMBERS ? bytes : bytes / 2;
    void *got = room(bytes), *want = room(bytes);
    void *scratch = room(thin->scratch(&t->thin)), *wide_scratch = room(set->int8->scratch(&t->wide));
    struct int8_out y = int8_dense_out(c, form, want);
    y.start = t->start;
    y.factor = t->factor;
    y.shift = t->shift;
    y.low = 3;
    y.high = 250;
    y.least = -500.5;
    y.most = 700.25;
    set->int8->conv(&t->wide, x, t->packed, &y, 0, BLOCKS, wide_scratch);
    y.at = got;
    y.start = t->thin_start;
    thin->conv(&t->thin, x, &t->bits, &y, 0, 1, scratch);
    thin->conv(&t->thin, x, &t->bits, &y, 1, BLOCKS, scratch);
    assert_memory_equal(got, want, want_bytes);
    free(got);
    free(want);
    free(scratch);
    free(wide_scratch);
}

/* The same pictures with wider margins around them than are needed. */
static uint8_t *with_margins(const struct twins *t, struct int8_in *x)
{
    const struct conv *c = &t->wide.conv;
    const ptrdiff_t W = c->W + c->left + c->right + 2, H = c->H + c->top + c->bottom + 1, in = quads(c->C);
    uint8_t *wide = room((size_t)(BLOCKS * in * H * W) * PIXEL);
    memset(wide, t->wide.zero, (size_t)(BLOCKS * in * H * W) * PIXEL);
    for (ptrdiff_t q = 0; q < BLOCKS * in; q++)
        for (int h = 0; h < c->H; h++)
            memcpy(wide + ((q * H + h + c->top) * W + c->left) * PIXEL, t->x + (q * c->H + h) * c->W * PIXEL,
                   (size_t)c->W * PIXEL);
    *x = (struct int8_in){ wide + (c->top * W + c->left) * PIXEL, W, H * W, in * H * W, true };
    return wide;
}

static void check(const struct twins *t)
{
    const struct int8_in x = int8_dense_in(&t->wide.conv, t->x);
    struct int8_in around;
    uint8_t *wide = with_margins(t, &around);
    for (int k = 0; kernels_list[k]; k++)
        if (kernels_list[k]->usable()) {
            compare(t, kernels_list[k], INT8_SUMS, &x);
            compare(t, kernels_list[k], INT8_CODES, &around);
            compare(t, kernels_list[k], INT8_NUMBERS, &around);
            compare(t, kernels_list[k], INT8_REALS, &x);
        }
    free(wide);
}

static void test_same_integers(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
            for (int bits = 1; bits <= BITS_PLANES; bits++) {
                struct twins t = twins_new(&shapes[s], &levels[l], bits, bits == 2 ? 126 : 0);
                print_message("%s, weights %d to %d, %d bits\n", shapes[s].name, levels[l].low,
                              levels[l].high, bits);
                check(&t);
                twins_free(&t);
            }
}

/* Bases as LQ-Nets has them: each plane of the weights is worth what its output says, with no power of two.
 */
static void test_worths_of_any_kind(void **state)
{
    const struct shape_case shape = { "lq", 40, 3, 3, 6, 3, 3, 1, 1, 1, 1, 1, 1 };
    static const int x_worth[2] = { 3, 5 }, w_worth[2] = { 7, -11 };
    struct twins t = twins_new(&shape, &levels[1], 2, 0);
    const struct conv *c = &t.thin.conv;
    const size_t count = (size_t)c->O * c->C * 9;
    const int outs = quads(c->O) * QUAD;
    int8_t *w = room(count);
    int32_t *worth = mem_array((size_t)outs * 4, sizeof *worth);
    struct rng r = rng_at(1, 2, 3);
    (void)state;
    /* patterns 0..3 as codes; what they stand for goes to the int8 kernel */
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)(i < 4 ? i : rng_below(&r, 4));
    bits_free(&t.bits);
    assert_true(bits_fit(&t.thin, 0, 3, w));
    assert_int_equal(bits_pack(&t.thin, w, &t.bits, NULL), 0);
    free(t.bits.worth);
    t.bits.worth = worth;
    t.thin.terms = 4;
    for (int k = 0; k < 4; k++) {
        t.thin.term[k] =
            (struct bits_term){ .x = (uint8_t)(k & 1), .w = (uint8_t)(k >> 1), .flush = true, .worth = k };
        for (int o = 0; o < outs; o++)
            worth[k * outs + o] = x_worth[k & 1] * w_worth[k >> 1] * (o + 1);
    }
    const struct int8_in x = int8_dense_in(c, t.x);
    int32_t *sums = room((size_t)BLOCKS * outs * 9 * LANES * sizeof *sums);
    struct int8_out y = int8_dense_out(c, INT8_SUMS, sums);
    void *scratch = room(bits_generic.scratch(&t.thin));
    for (int k = 0; kernels_list[k]; k++) {
        if (!kernels_list[k]->usable())
            continue;
        bits_of(kernels_list[k])->conv(&t.thin, &x, &t.bits, &y, 0, BLOCKS, scratch);
        for (int o = 0; o < c->O; o++) { /* the centre of block 1, sample 5 */
            int64_t want = 0;
            for (int i = 0; i < c->C * 9; i++) {
                const int at = ((1 * quads(c->C) + i / 9 / QUAD) * 9 + i % 9) * LANES + 5;
                const int code = t.x[at * QUAD + i / 9 % QUAD], weight = w[o * c->C * 9 + i];
                want += ((code & 1) * x_worth[0] + (code >> 1) * x_worth[1]) *
                        ((weight & 1) * w_worth[0] + (weight >> 1) * w_worth[1]) * (o + 1);
            }
            assert_int_equal(sums[((c->O + o) * 9 + 4) * LANES + 5], want);
        }
    }
    free(sums);
    free(scratch);
    free(w);
    twins_free(&t);
}

static void test_what_has_no_planes(void **state)
{
    int8_t w[4 * 9] = { -8, 8, 1 };
    struct bits_conv c = { .conv = { 4, 3, 3, 4, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, false }, .zero = 0 };
    (void)state;
    w[1] = 7;
    assert_false(bits_fit(&c, 0, 3, w)); /* groups */
    c.conv.groups = 1;
    c.conv.C = 1;
    assert_true(bits_fit(&c, 0, 15, w));
    assert_false(bits_fit(&c, 0, 16, w)); /* five planes */
    w[1] = 8;
    assert_false(bits_fit(&c, 0, 15, w));
    w[1] = 7;
    c.zero = 2;
    assert_false(bits_fit(&c, 3, 5, w)); /* padding has no code */
}

/* Wide layers of one-bit weights are faster by planes in every set, the first layer of a picture in none. */
static void test_where_planes_pay(void **state)
{
    struct bits_conv c = { .conv = { 64, 8, 8, 1, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, false } };
    int8_t w[64 * 9];
    (void)state;
    for (int k = 0; kernels_list[k]; k++) {
        for (size_t i = 0; i < sizeof w; i++)
            w[i] = i % 3 ? -1 : 1;
        c.conv.C = 64;
        assert_true(bits_fit(&c, 0, 3, w));
        assert_true(bits_pay(&c, kernels_list[k]));
        for (size_t i = 0; i < sizeof w; i++)
            w[i] = (int8_t)(i % 15) - 7;
        c.conv.C = 3;
        assert_true(bits_fit(&c, 0, 15, w));
        assert_false(bits_pay(&c, kernels_list[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_integers),
        cmocka_unit_test(test_worths_of_any_kind),
        cmocka_unit_test(test_what_has_no_planes),
        cmocka_unit_test(test_where_planes_pay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
