/* Every coder of the list against every kind of data: exact round trips, size against entropy, damage, noise.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/coder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- data ------------------------------------------------------------------------------------------------
 */

static int32_t draw_uniform(struct rng *r, int32_t low, int32_t high)
{
    uint32_t span = (uint32_t)high - (uint32_t)low;
    uint32_t u = span == UINT32_MAX ? rng_u32(r) : rng_below(r, span + 1);
    return (int32_t)((uint32_t)low + u);
}

static int32_t clamp(double x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : (int32_t)x;
}

/* Two-sided geometric: what quantized weights look like. `spread` is its scale in steps. */
static int32_t draw_laplace(struct rng *r, double spread, int32_t low, int32_t high)
{
    double u = rng_uniform(r) - 0.5;
    double x = -spread * copysign(log(1 - 2 * fabs(u)), u);
    return clamp(rint(x), low, high);
}

enum shape_of_data { EMPTY_ROWS, ZERO, UNIFORM, LAPLACE, NORMAL, TERNARY, SPARSE, DISTINCT, COLUMNS };

struct sample {
    const char *name;
    enum shape_of_data kind;
    int64_t rows, columns;
    int32_t low, high;
    double parameter;
    bool independent; /* then cabac must come near the entropy */
};

static const struct sample samples[] = {
    { "no rows", EMPTY_ROWS, 0, 16, -7, 7, 0, false },
    { "no columns", EMPTY_ROWS, 16, 0, -7, 7, 0, false },
    { "one element", UNIFORM, 1, 1, -7, 7, 0, false },
    { "one element, one value", UNIFORM, 1, 1, 3, 3, 0, false },
    { "all zero", ZERO, 100, 100, 0, 0, 0, false },
    { "all zero, wide range", ZERO, 100, 100, -127, 127, 0, false },
    { "a million zeros", ZERO, 1000, 1000, -1, 1, 0, false },
    { "all low", UNIFORM, 10, 10, -8, -8, 0, false },
    { "all distinct, 16 bits", DISTINCT, 256, 256, -32768, 32767, 0, false },
    { "all distinct, one row", DISTINCT, 1, 65536, 0, 65535, 0, false },
    { "ternary, 60 % zeros", TERNARY, 1000, 1000, -1, 1, 0.60, true },
    { "ternary, 60 % zeros, 10 k", TERNARY, 100, 100, -1, 1, 0.60, true },
    { "ternary, 95 % zeros", TERNARY, 500, 800, -1, 1, 0.95, true },
    { "ternary, 99.3 % zeros", TERNARY, 500, 800, -1, 1, 0.993, true },
    { "ternary, one row", TERNARY, 1, 200000, -1, 1, 0.80, true },
    { "ternary, one column", TERNARY, 200000, 1, -1, 1, 0.80, true },
    { "pruned columns", COLUMNS, 500, 800, -1, 1, 0.05, false },
    { "signs", UNIFORM, 100, 300, -1, 1, 0, true },
    { "4 bits Laplace", LAPLACE, 400, 500, -8, 7, 1.5, true },
    { "4 bits Laplace, 12 k", LAPLACE, 120, 100, -8, 7, 1.5, true },
    { "8 bits Laplace", LAPLACE, 400, 500, -127, 127, 12, true },
    { "8 bits normal", NORMAL, 400, 500, -127, 127, 30, true },
    { "unsigned", UNIFORM, 100, 200, 0, 15, 0, true },
    { "negative", UNIFORM, 100, 200, -20, -5, 0, true },
    { "5 sparse bits", SPARSE, 300, 300, -15, 15, 0.9, true },
    { "32 bits", UNIFORM, 10, 100, INT32_MIN, INT32_MAX, 0, false },
    { "bias", NORMAL, 1, 500, -2000000, 2000000, 300000, false },
};
#define SAMPLES (sizeof samples / sizeof *samples)

static int32_t draw(const struct sample *s, struct rng *r, size_t i)
{
    switch (s->kind) {
    case EMPTY_ROWS:
    case ZERO:
        return 0;
    case UNIFORM:
        return draw_uniform(r, s->low, s->high);
    case LAPLACE:
        return draw_laplace(r, s->parameter, s->low, s->high);
    case NORMAL:
        return clamp(rint(rng_normal(r) * s->parameter), s->low, s->high);
    case TERNARY:
        return rng_uniform(r) < s->parameter ? 0 : rng_below(r, 2) ? 1 : -1;
    case SPARSE:
        return rng_uniform(r) < s->parameter ? 0 : draw_laplace(r, 4, s->low, s->high);
    case DISTINCT: /* an odd multiplier permutes 16 bits */
        return s->low + (int32_t)((i * 40503u) & 0xffff);
    case COLUMNS: /* one input in ten lives */
        return i % (size_t)s->columns % 10 || rng_uniform(r) > s->parameter * 10 ? 0
               : rng_below(r, 2)                                                 ? 1
                                                                                 : -1;
    }
    return 0;
}

static struct code_block make(const struct sample *s)
{
    struct code_block b = { .rows = s->rows, .columns = s->columns, .low = s->low, .high = s->high };
    size_t count = (size_t)(b.rows * b.columns);
    b.code = mem_array(count, sizeof *b.code);
    assert_non_null(b.code);
    struct rng r = rng_at(7, 1, 0);
    for (size_t i = 0; i < count; i++)
        b.code[i] = draw(s, &r, i);
    return b;
}

/* A block of the same size with other contents, for the decoder to fill. */
static struct code_block blank(const struct code_block *b)
{
    struct code_block copy = *b;
    size_t count = (size_t)(b->rows * b->columns);
    copy.code = malloc(count * sizeof *copy.code + 1); /* exact for ASan, but for the empty ones */
    assert_non_null(copy.code);
    memset(copy.code, 0xa5, count * sizeof *copy.code);
    return copy;
}

static void assert_codes_fit(const struct code_block *b)
{
    for (int64_t i = 0; i < b->rows * b->columns; i++)
        assert_true(b->code[i] >= b->low && b->code[i] <= b->high);
}

/* Decode bytes that were copied to a heap block of exactly their size, so that ASan sees an overread. */
static int decode_exactly(const struct coder *c, struct code_block *b, const void *data, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    if (length)
        memcpy(copy, data, length);
    struct err e = { 0 };
    int rc = c->decode(b, copy, length, &e);
    if (rc) {
        assert_int_equal(rc, ERR_CORRUPT);
        assert_int_equal(e.code, rc);
    }
    free(copy);
    return rc;
}

/* --- tests -----------------------------------------------------------------------------------------------
 */

static void round_trip(const struct coder *c, const struct sample *s)
{
    struct code_block b = make(s), back = blank(&b);
    size_t count = (size_t)(b.rows * b.columns);
    struct buf out;
    buf_init(&out, 0);
    struct err e = { 0 };
    if (c->encode(&b, &out, &e))
        fail_msg("%s: %s: %s", c->name, s->name, e.text);
    if (decode_exactly(c, &back, out.data, out.length))
        fail_msg("%s: %s: does not decode", c->name, s->name);
    assert_memory_equal(b.code, back.code, count * sizeof *b.code);

    double h0 = coder_entropy(&b), bound = h0 * (double)count / 8;
    print_message("%-8s %-28s %9zu codes  H0 %7.4f bit  %8zu bytes  %.4f x H0\n", c->name, s->name, count, h0,
                  out.length, bound > 0 ? (double)out.length / bound : 0);
    if (s->independent && !strcmp(c->name, "cabac"))
        assert_true((double)out.length <= 1.02 * bound + 64);
    if (s->independent &&
        !strcmp(c->name, "huffman")) /* at least a bit a symbol, at most one more than entropy */
        assert_true((double)out.length <= bound + (double)count / 8 + 2048);
    buf_free(&out);
    free(b.code);
    free(back.code);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int c = 0; coder_list[c]; c++)
        for (size_t s = 0; s < SAMPLES; s++)
            round_trip(coder_list[c], &samples[s]);
}

static void test_every_width(void **state)
{
    (void)state;
    for (int c = 0; coder_list[c]; c++)
        for (int bits = 1; bits <= 32; bits++)
            for (int sign = 0; sign < 2; sign++) {
                int64_t span = ((int64_t)1 << bits) - 1;
                int64_t low = sign || bits == 32 ? -((span + 1) / 2) : 0;
                struct sample s = { "width", UNIFORM, 7, 61, (int32_t)low, (int32_t)(low + span), 0, false };
                struct code_block b = make(&s), back = blank(&b);
                struct buf out;
                buf_init(&out, 0);
                assert_int_equal(coder_list[c]->encode(&b, &out, NULL), 0);
                assert_int_equal(decode_exactly(coder_list[c], &back, out.data, out.length), 0);
                assert_memory_equal(b.code, back.code, 7 * 61 * sizeof *b.code);
                buf_free(&out);
                free(b.code);
                free(back.code);
            }
}

/* Structure is worth something: dead columns must make the payload much shorter than order-0 entropy. */
static void test_columns_are_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (samples[i].kind != COLUMNS)
            continue;
        struct code_block b = make(&samples[i]);
        struct buf out;
        buf_init(&out, 0);
        assert_int_equal(coder_find("cabac")->encode(&b, &out, NULL), 0);
        assert_true((double)out.length < 0.75 * coder_entropy(&b) * (double)(b.rows * b.columns) / 8);
        buf_free(&out);
        free(b.code);
    }
}

static void test_damage(void **state)
{
    (void)state;
    struct sample s = { "damage", LAPLACE, 12, 25, -8, 7, 1.5, false };
    for (int c = 0; coder_list[c]; c++) {
        struct code_block b = make(&s), back = blank(&b);
        struct buf out;
        buf_init(&out, 0);
        assert_int_equal(coder_list[c]->encode(&b, &out, NULL), 0);
        for (size_t i = 0; i < out.length; i++)
            for (int bit = 0; bit < 8; bit++) {
                out.data[i] = (char)(out.data[i] ^ 1 << bit);
                if (!decode_exactly(coder_list[c], &back, out.data, out.length))
                    assert_codes_fit(&back);
                out.data[i] = (char)(out.data[i] ^ 1 << bit);
            }
        for (size_t length = 0; length < out.length; length++)
            if (!decode_exactly(coder_list[c], &back, out.data, length))
                assert_codes_fit(&back);
        buf_append(&out, "\1", 1);
        assert_int_equal(decode_exactly(coder_list[c], &back, out.data, out.length), ERR_CORRUPT);
        buf_free(&out);
        free(b.code);
        free(back.code);
    }
}

static void test_noise(void **state)
{
    (void)state;
    static const struct sample blocks[] = {
        { "ternary", UNIFORM, 4, 9, -1, 1, 0, false },
        { "4 bits", UNIFORM, 3, 7, -8, 7, 0, false },
        { "32 bits", UNIFORM, 2, 5, INT32_MIN, INT32_MAX, 0, false },
        { "bytes", UNIFORM, 1, 20, 0, 255, 0, false },
        { "nothing", EMPTY_ROWS, 0, 0, 0, 0, 0, false },
    };
    struct rng r = rng_at(3, 2, 0);
    for (int c = 0; coder_list[c]; c++)
        for (int round = 0; round < 100000; round++) {
            struct code_block b = make(&blocks[round % 5]);
            uint8_t noise[40];
            size_t length = rng_below(&r, sizeof noise);
            for (size_t i = 0; i < length; i++)
                noise[i] = (uint8_t)rng_u32(&r);
            if (length && round & 8)
                noise[0] &= 7; /* a plausible model or packing */
            if (!decode_exactly(coder_list[c], &b, noise, length))
                assert_codes_fit(&b);
            free(b.code);
        }
}

static void test_bad_blocks(void **state)
{
    (void)state;
    int32_t code[4] = { 0, 1, 2, 9 };
    struct code_block outside = { 2, 2, 0, 7, code }, negative = { -1, 2, 0, 7, code },
                      empty_range = { 2, 2, 7, 0, code }, huge = { INT64_MAX, 2, 0, 7, code };
    struct code_block *bad[] = { &outside, &negative, &empty_range, &huge };
    for (int c = 0; coder_list[c]; c++)
        for (size_t i = 0; i < 4; i++) {
            struct buf out;
            buf_init(&out, 0);
            assert_int_equal(coder_list[c]->encode(bad[i], &out, NULL), ERR_INVALID);
            if (bad[i] != &outside)
                assert_int_equal(coder_list[c]->decode(bad[i], (const uint8_t *)"x", 1, NULL), ERR_INVALID);
            buf_free(&out);
        }
}

/* Fail every allocation in turn: an error each time, no leak, and success in the end. */
static void test_without_memory(void **state)
{
    (void)state;
    struct sample s = { "memory", LAPLACE, 40, 50, -8, 7, 1.5, false };
    struct code_block b = make(&s), back = blank(&b);
    for (int c = 0; coder_list[c]; c++) {
        int rc = ERR_NOMEM;
        for (int n = 0; rc && n < 200; n++) {
            struct buf out;
            buf_init(&out, 0);
            mem_fail_after(n);
            rc = coder_list[c]->encode(&b, &out, NULL);
            if (!rc)
                rc = coder_list[c]->decode(&back, (const uint8_t *)out.data, out.length, NULL);
            mem_fail_after(-1);
            assert_true(rc == 0 || rc == ERR_NOMEM);
            buf_free(&out);
        }
        assert_int_equal(rc, 0);
    }
    free(b.code);
    free(back.code);
}

static void test_list(void **state)
{
    (void)state;
    for (int i = 0; coder_list[i]; i++) {
        assert_ptr_equal(coder_find(coder_list[i]->name), coder_list[i]);
        assert_true(strlen(coder_list[i]->title) > 0);
    }
    assert_string_equal(coder_list[0]->name, "cabac"); /* the default stands first */
    assert_null(coder_find("zip"));
    assert_null(coder_find(NULL));
}

static void test_entropy(void **state)
{
    (void)state;
    int32_t code[8] = { 0, 0, 0, 0, 1, 1, -1, 5 };
    struct code_block b = { 2, 4, -1, 5, code };
    assert_true(fabs(coder_entropy(&b) - 1.75) < 1e-12);
    b.low = INT32_MIN;
    b.high = INT32_MAX;
    assert_true(fabs(coder_entropy(&b) - 1.75) < 1e-12);
    b.rows = 0;
    assert_true(coder_entropy(&b) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_entropy),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_every_width),
        cmocka_unit_test(test_columns_are_seen),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_bad_blocks),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
