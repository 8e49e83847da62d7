/* Strict numbers and times: the whole text or nothing. */
#include "tests/unit/temp.h"

#include "base/clock.h"
#include "base/num.h"

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-5", true, -5 },
        { "007", true, 7 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1.0", false, 0 },
        { "0x10", false, 0 },
        { "--1", false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 42;
        assert_int_equal(num_int64(cases[i].text, INT64_MIN, INT64_MAX, &value), cases[i].ok);
        assert_int_equal(value, cases[i].ok ? cases[i].value : 42);
    }
    int64_t value;
    assert_true(num_int64("10", 1, 10, &value));
    assert_false(num_int64("11", 1, 10, &value));
    assert_false(num_int64("0", 1, 10, &value));
}

static void reals(void **state)
{
    (void)state;
    static const char *const good[] = { "0", "-1.5", "1e-4", "2E+3", "0.1", "123456789.25" };
    static const char *const bad[] = { "",    ".5", "1.", "nan", "inf",   "0x1p3", "1e",
                                       "1e+", " 1", "1 ", "1,5", "1e999", "--1",   "+1" };
    double value;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(num_double(good[i], -1e9, 1e9, &value));
        assert_true(value == strtod(good[i], NULL));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(num_double(bad[i], -1e308, 1e308, &value));
    assert_false(num_double("1.01", 0, 1, &value));
    assert_false(num_double("-0.01", 0, 1, &value));
}

static void hex(void **state)
{
    (void)state;
    unsigned char bytes[3];
    char text[7];
    assert_true(num_hex("00ff1a", bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\x1a", 3);
    num_to_hex(bytes, 3, text);
    assert_string_equal(text, "00ff1a");
    assert_false(num_hex("00FF1A", bytes, 3));
    assert_false(num_hex("00ff1", bytes, 3));
    assert_false(num_hex("00ff1a0", bytes, 3));
    assert_false(num_hex("00ff1g", bytes, 3));
    assert_false(num_hex("", bytes, 3));
}

static void times(void **state)
{
    (void)state;
    char text[CLOCK_TEXT];
    int64_t ms = 0;
    clock_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_text(1709210096789, text);
    assert_string_equal(text, "2024-02-29T12:34:56.789Z");
    assert_int_equal(clock_parse(text, &ms), 0);
    assert_int_equal(ms, 1709210096789);
    assert_int_equal(clock_parse("2024-02-29T12:34:56Z", &ms), 0);
    assert_int_equal(ms, 1709210096000);
    assert_int_equal(clock_parse("2024-02-29T12:34:56.5Z", &ms), 0);
    assert_int_equal(ms, 1709210096500);
    assert_int_equal(clock_parse("2024-02-29T12:34:56.123456789Z", &ms), 0);
    assert_int_equal(ms, 1709210096123);
    clock_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_text(-5, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void bad_times(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2024",
        "2024-02-29",
        "2024-02-29T12:34:56",
        "2024-02-29 12:34:56Z",
        "2023-02-29T12:34:56Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-02-29T12:34:56.Z",
        "2024-02-29T12:34:56.1",
        "2024-02-29T12:34:56Zx",
        "2024-02-29T12:34:56+01:00",
        "1969-12-31T23:59:59Z",
    };
    int64_t ms;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(clock_parse(bad[i], &ms) < 0);
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t a = clock_mono_ns(), b = clock_mono_ns();
    assert_true(b >= a && a > 0);
    assert_true(clock_wall_ms() > 1600000000000);
    assert_true(clock_cpu_s() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(reals),     cmocka_unit_test(hex),
        cmocka_unit_test(times),    cmocka_unit_test(bad_times), cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
