/* The decoder against every boundary of RFC 3629, and back and forth over all characters. */
#include "tests/unit/temp.h"

#include "base/utf8.h"

static size_t encode(uint32_t point, char out[5])
{
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    memset(out, 0, 5);
    for (size_t i = n - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[n] | point);
    return n;
}

static void all_characters(void **state)
{
    (void)state;
    for (uint32_t p = 0; p < 0x110400; p++) {
        char text[5];
        uint32_t back = 0;
        size_t n = encode(p, text), got = utf8_next(text, 4, &back);
        bool is_one = p < 0x110000 && (p < 0xd800 || p > 0xdfff);
        if (got != (is_one ? n : 0) || (is_one && back != p))
            fail_msg("U+%04X: %zu bytes, U+%04X", p, got, back);
    }
}

static void malformed(void **state)
{
    static const char *const bad[] = { "\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc3",
                                       "\xc3(",
                                       "\xe0\x9f\xbf",
                                       "\xe2\x82",
                                       "\xed\xa0\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "\xe2(\xa1",
                                       "\xf0\x9f\x98" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(utf8_next(bad[i], strlen(bad[i]), NULL), 0);
        assert_int_equal(utf8_next(bad[i], SIZE_MAX, NULL), 0);
        assert_false(utf8_plain(bad[i]));
    }
    assert_int_equal(utf8_next("\xc3\xa9", 1, NULL), 0); /* cut short by the length */
    assert_int_equal(utf8_next("x", 0, NULL), 0);
}

static void plain(void **state)
{
    static const char *const good[] = { "", "anna", "Grüße 你好 😀", "\xc2\xa0" };
    static const char *const controls[] = { "a\nb",         "\t",           "\x7f",        "\xc2\x85",
                                            "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6" };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(utf8_plain(good[i]));
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++)
        assert_false(utf8_plain(controls[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_characters),
        cmocka_unit_test(malformed),
        cmocka_unit_test(plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
