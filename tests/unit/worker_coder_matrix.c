/* The model of a tensor and the mixing of decisions: round trips, size against entropy, numbers and texts. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/coder.h"
#include "worker/coder/matrix.h"
#include "worker/coder/matrix_pass.h"
#include "worker/coder/stream.h"
#include "worker/coder/wire.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int32_t laplace(struct rng *r, double spread, int32_t limit)
{
    const double u = rng_uniform(r) - 0.5, x = rint(-spread * copysign(log(1 - 2 * fabs(u)), u));
    return x > limit ? limit : x < -limit ? -limit : (int32_t)x;
}

struct sample {
    const char *name;
    int64_t rows, inputs, inner, width;
    double density, spread; /* spread 0: signs */
    int32_t limit;
    bool dead;    /* two rows, inputs and blocks of three are zero */
    double bound; /* of the bytes over order-0 entropy, plus 64 bytes */
};

static const struct sample samples[] = {
    { "ternary, 60 % zeros", 400, 500, 1, 1, 0.4, 0, 1, false, 1.004 },
    { "ternary pictures, 90 % zeros", 50, 200, 25, 5, 0.1, 0, 1, false, 1.004 },
    { "ternary pictures, 99 % zeros", 500, 50, 16, 4, 0.01, 0, 1, false, 1.004 },
    { "ternary, 99 % zeros", 500, 800, 1, 1, 0.01, 0, 1, false, 1.004 },
    { "ternary, 99.7 % zeros", 500, 800, 1, 1, 0.003, 0, 1, false, 1.004 },
    { "4 bits", 200, 200, 1, 1, 1, 1.5, 7, false, 1.004 },
    { "8 bits", 300, 300, 1, 1, 1, 12, 127, false, 1.004 },
    { "a vector", 1, 20000, 1, 1, 0.5, 0, 1, false, 1.004 },
    { "dead lines", 300, 90, 9, 3, 0.3, 0, 1, true, 0.55 },
    { "one", 1, 1, 1, 1, 1, 0, 1, false, 1 },
};

static void fill(const struct sample *s, struct matrix *x)
{
    struct rng r = rng_at(11, 1, 0);
    *x = (struct matrix){ .rows = s->rows, .inputs = s->inputs, .inner = s->inner, .width = s->width };
    x->low = -s->limit;
    x->high = s->limit;
    x->code = mem_array((size_t)(s->rows * s->inputs * s->inner), sizeof *x->code);
    assert_non_null(x->code);
    for (int64_t i = 0; i < s->rows * s->inputs * s->inner; i++) {
        const int64_t row = i / (s->inputs * s->inner), input = i / s->inner % s->inputs;
        const bool gone = s->dead && (row % 3 || input % 3);
        const double u = rng_uniform(&r);
        const int32_t v = s->spread > 0 ? laplace(&r, s->spread, s->limit) : rng_below(&r, 2) ? 1 : -1;
        x->code[i] = u < s->density && !gone ? v : 0;
    }
}

static void test_round_trips_near_the_entropy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        const size_t count = (size_t)(s->rows * s->inputs * s->inner);
        struct matrix x, y;
        struct mixing m, back;
        fill(s, &x);
        matrix_choose(&x);
        assert_true(x.dead_rows == s->dead && x.dead_inputs == s->dead);
        assert_true(x.dead_blocks == s->dead);
        y = x;
        y.code = malloc(count * sizeof *y.code);
        assert_non_null(y.code);
        assert_int_equal(mixing_init(&m, NULL, 0, NULL), 0);
        assert_int_equal(matrix_code(&m, &x, NULL), 0);
        assert_int_equal(range_encoder_finish(&m.encoder, NULL), 0);
        assert_int_equal(mixing_init(&back, m.encoder.data, m.encoder.length, NULL), 0);
        assert_int_equal(matrix_code(&back, &y, NULL), 0);
        assert_true(range_decoder_finished(&back.decoder));
        assert_memory_equal(x.code, y.code, count * sizeof *x.code);
        const struct code_block b = { 1, (int64_t)count, x.low, x.high, x.code };
        const double entropy = coder_entropy(&b) * (double)count / 8;
        print_message("%-30s %8zu bytes, %.4f of the entropy\n", s->name, m.encoder.length,
                      (double)m.encoder.length / entropy);
        assert_true((double)m.encoder.length <= s->bound * entropy + 64);
        mixing_deinit(&m);
        mixing_deinit(&back);
        free(x.code);
        free(y.code);
    }
}

/* Every instruction set's walk writes the same bytes, and reads them: also with more lines than have contexts
 * of their own, ranges of one sign, sizes beyond the unary ones, counters that have seen all they can. */
static const struct sample odd_samples[] = {
    { "likely bits", 300, 300, 1, 1, 0.0005, 0, 1, false, 0 },
    { "many inputs", 2, 20000, 1, 1, 0.3, 1.5, 7, false, 0 },
    { "many rows", 17000, 2, 1, 1, 0.3, 1.5, 7, false, 0 },
    { "a large block", 2, 1, 33000, 150, 0.3, 0, 1, false, 0 },
    { "5 bits", 100, 100, 9, 3, 1, 4, 15, false, 0 },
    { "6 bits", 100, 100, 4, 4, 1, 6, 31, false, 0 },
    { "a row of blocks", 1, 3, 2, 1, 0.5, 0, 1, false, 0 },
    { "nothing", 20, 20, 1, 1, 0, 0, 1, false, 0 },
};

static void encode_by(const struct matrix_walk *walk, const struct matrix *x, struct mixing *m)
{
    assert_int_equal(mixing_init(m, NULL, 0, NULL), 0);
    assert_int_equal(matrix_code_by(walk, m, x, NULL), 0);
    assert_int_equal(range_encoder_finish(&m->encoder, NULL), 0);
}

static void walks_agree(struct matrix *x)
{
    const size_t count = (size_t)(x->rows * x->inputs * x->inner);
    struct mixing first, m, back;
    struct matrix y = *x;
    y.code = malloc(count * sizeof *y.code);
    assert_non_null(y.code);
    encode_by(matrix_walks[0]->usable() ? matrix_walks[0] : matrix_walks[1], x, &first);
    for (int i = 0; matrix_walks[i]; i++) {
        if (!matrix_walks[i]->usable())
            continue;
        encode_by(matrix_walks[i], x, &m);
        assert_int_equal(m.encoder.length, first.encoder.length);
        assert_memory_equal(m.encoder.data, first.encoder.data, m.encoder.length);
        mixing_deinit(&m);
        memset(y.code, 1, count * sizeof *y.code);
        assert_int_equal(mixing_init(&back, first.encoder.data, first.encoder.length, NULL), 0);
        assert_int_equal(matrix_code_by(matrix_walks[i], &back, &y, NULL), 0);
        assert_true(range_decoder_finished(&back.decoder));
        assert_memory_equal(x->code, y.code, count * sizeof *x->code);
        mixing_deinit(&back);
    }
    mixing_deinit(&first);
    free(y.code);
}

static void test_every_walk_has_the_same_bytes(void **state)
{
    enum { ODD = sizeof odd_samples / sizeof *odd_samples, ALL = ODD + sizeof samples / sizeof *samples };
    (void)state;

    for (size_t i = 0; i < ALL; i++) {
        const struct sample *s = i < ODD ? &odd_samples[i] : &samples[i - ODD];
        const size_t count = (size_t)(s->rows * s->inputs * s->inner);
        struct matrix x;
        fill(s, &x);
        walks_agree(&x); /* nothing is said to be dead */
        x.alone = true;
        walks_agree(&x);
        x.alone = false;
        matrix_choose(&x);
        walks_agree(&x);
        for (size_t k = 0; k < count; k++)
            x.code[k] = abs(x.code[k]);
        x.low = 0;
        walks_agree(&x);
        for (size_t k = 0; k < count; k++)
            x.code[k] = -x.code[k];
        x.low = -x.high;
        x.high = 0;
        walks_agree(&x);
        /* sizes in unary on one side of zero only, as biases have it */
        for (int side = -1; side <= 1; side += 2) {
            for (size_t k = 0; k < count; k++) {
                const int32_t sign = k % 2 ? side : -side, most = k % 2 ? 19 : 14, c = 3 * abs(x.code[k]);
                x.code[k] = sign * (c > most ? most : c);
            }
            x.low = side > 0 ? -14 : -19;
            x.high = side > 0 ? 19 : 14;
            walks_agree(&x);
        }
        free(x.code);
    }
}

/* The bytes of versions 3 and 4, whatever computes them: lengths and check sums of what the program wrote
 * that version 3 began with. Codes are differences of sums of bits: no machine rounds them. */
static const struct {
    int64_t rows, inputs, inner, width;
    int zeros;      /* of 16 */
    int32_t factor; /* of codes in [-7, 7] */
    int32_t low, high;
    size_t length;
    uint16_t sum;
} written[] = {
    { 100, 400, 1, 1, 8, 1, -7, 7, 9520, 0xaa43 },  { 40, 40, 9, 3, 14, 1, -7, 7, 1191, 0xa854 },
    { 60, 200, 1, 1, 0, 9, -63, 63, 5774, 0xeade }, { 300, 300, 1, 1, 15, 1, -1, 1, 3467, 0x57b0 },
    { 50, 90, 6, 2, 4, 1, 0, 7, 4405, 0xc744 },     { 40, 200, 1, 1, 2, 1, -7, 0, 1433, 0xc751 }
};

static void fill_whole(size_t i, struct matrix *x)
{
    struct rng r = rng_at(12, 1, i);
    *x = (struct matrix){ .rows = written[i].rows,
                          .inputs = written[i].inputs,
                          .inner = written[i].inner,
                          .width = written[i].width,
                          .low = written[i].low,
                          .high = written[i].high };
    const size_t count = (size_t)(x->rows * x->inputs * x->inner);
    x->code = mem_array(count, sizeof *x->code);
    assert_non_null(x->code);
    for (size_t k = 0; k < count; k++) {
        const uint32_t bits = rng_below(&r, 1 << 14);
        const int32_t v = __builtin_popcount(bits & 127) - __builtin_popcount(bits >> 7);
        const bool zero = (int)rng_below(&r, 16) < written[i].zeros || k % 50 < 5;
        x->code[k] = zero ? 0 : v * written[i].factor;
        x->code[k] = x->code[k] < x->low ? x->low : x->code[k] > x->high ? x->high : x->code[k];
    }
}

static void test_the_bytes_of_the_version(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct mixing m;
        struct matrix x;
        fill_whole(i, &x);
        assert_int_equal(mixing_init(&m, NULL, 0, NULL), 0);
        assert_int_equal(matrix_code(&m, &x, NULL), 0);
        assert_int_equal(range_encoder_finish(&m.encoder, NULL), 0);
        assert_int_equal(m.encoder.length, written[i].length);
        assert_int_equal(wire_crc16(m.encoder.data, m.encoder.length), written[i].sum);
        mixing_deinit(&m);
        free(x.code);
    }
}

/* Mixing is what large matrices go without when they are independent, and keep when rows differ. */
static void test_mixing_where_it_pays(void **state)
{
    (void)state;

    for (int way = 0; way < 2; way++) {
        struct matrix x;
        size_t length[2];
        fill(&samples[0], &x);
        for (int64_t i = 0; way && i < x.rows * x.inputs; i++)
            if (i / x.inputs % 4 == 0 && i % 3)
                x.code[i] = 0;
        assert_int_equal(matrix_choose_alone(&x, NULL), 0);
        assert_int_equal(x.alone, !way);
        for (int alone = 0; alone < 2; alone++) {
            struct mixing m;
            x.alone = alone;
            encode_by(matrix_walks[1], &x, &m);
            length[alone] = m.encoder.length;
            mixing_deinit(&m);
        }
        if (way)
            assert_true((double)length[0] < 0.99 * (double)length[1]);
        else
            assert_true((double)length[1] < 1.001 * (double)length[0]);
        free(x.code);
    }
}

static void test_numbers_and_texts_come_back(void **state)
{
    static const uint32_t numbers[] = {
        0, 1, 2, 3, 4, 5, 100, 65535, 65536, INT32_MAX, UINT32_MAX - 1, UINT32_MAX
    };
    static const int32_t signs[] = { 0, -1, 1, INT32_MIN, INT32_MAX, -128, 255 };
    struct stream s, t;
    char text[4097];
    (void)state;

    assert_int_equal(stream_init(&s, NULL, 0, NULL), 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        stream_count(&s, numbers[i]);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        stream_signed(&s, &s.exponent, signs[i]);
    assert_int_equal(stream_text(&s, "a näme", NULL, NULL), 0);
    assert_int_equal(stream_text(&s, "", NULL, NULL), 0);
    assert_int_equal(range_encoder_finish(&s.m.encoder, NULL), 0);
    assert_int_equal(stream_init(&t, s.m.encoder.data, s.m.encoder.length, NULL), 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(stream_count(&t, 0) == numbers[i]);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        assert_int_equal(stream_signed(&t, &t.exponent, 0), signs[i]);
    assert_int_equal(stream_text(&t, NULL, text, NULL), 0);
    assert_string_equal(text, "a näme");
    assert_int_equal(stream_text(&t, NULL, text, NULL), 0);
    assert_string_equal(text, "");
    assert_true(range_decoder_finished(&t.m.decoder));
    stream_deinit(&s);
    stream_deinit(&t);
}

static void test_wire(void **state)
{
    (void)state;
    static const int64_t numbers[] = { 0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buf b;
        buf_init(&b, 0);
        wire_put_signed(&b, numbers[i]);
        wire_put_number(&b, (uint64_t)numbers[i]);
        struct wire w = { .data = (const uint8_t *)b.data, .length = b.length };
        assert_int_equal(wire_signed(&w), numbers[i]);
        assert_true(wire_number(&w, UINT64_MAX) == (uint64_t)numbers[i]);
        assert_false(w.bad);
        assert_int_equal(wire_left(&w), 0);
        assert_int_equal(wire_byte(&w), 0);
        assert_true(w.bad);
        buf_free(&b);
    }
    static const char *const bad[] = { "\x80", "\x80\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" };
    static const uint64_t most[] = { 1000, 100, UINT64_MAX, UINT64_MAX };
    for (size_t i = 0; i < 4; i++) {
        struct wire w = { .data = (const uint8_t *)bad[i], .length = strlen(bad[i]) };
        wire_number(&w, most[i]);
        assert_true(w.bad);
    }
    struct wire overlong = { .data = (const uint8_t *)"\x81\x00", .length = 2 };
    wire_number(&overlong, 1000);
    assert_true(overlong.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips_near_the_entropy),
        cmocka_unit_test(test_every_walk_has_the_same_bytes),
        cmocka_unit_test(test_the_bytes_of_the_version),
        cmocka_unit_test(test_mixing_where_it_pays),
        cmocka_unit_test(test_numbers_and_texts_come_back),
        cmocka_unit_test(test_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
