/* The error idiom: codes, texts, context and place. */
#include "tests/unit/temp.h"

#include "base/err.h"

#include <errno.h>

static void set_and_wrap(void **state)
{
    (void)state;
    struct err e;
    memset(&e, 0xff, sizeof e); /* a fresh struct need not be initialized */
    assert_int_equal(err_set(&e, ERR_INVALID, "bits is %d", 9), ERR_INVALID);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "bits is 9");
    assert_string_equal(e.place, "");
    assert_int_equal(err_wrap(&e, "job %d", 3), ERR_INVALID);
    assert_string_equal(e.text, "job 3: bits is 9");
    assert_int_equal(err_at(&e, "/quantize/%s", "bits"), ERR_INVALID);
    err_at(&e, "/quantize");
    assert_string_equal(e.place, "/quantize/bits");
}

static void null_is_fine(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_IO, "x"), ERR_IO);
    assert_int_equal(err_sys(NULL, ERR_IO, "x"), ERR_IO);
    assert_int_equal(err_wrap(NULL, "x"), ERR_INTERNAL);
    assert_int_equal(err_at(NULL, "x"), ERR_INTERNAL);
}

static void system_error(void **state)
{
    (void)state;
    struct err e;
    errno = ENOENT;
    assert_int_equal(err_sys(&e, ERR_NOT_FOUND, "can't open %s", "x"), ERR_NOT_FOUND);
    assert_string_equal(e.text, "can't open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct err e;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_wrap(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_at(&e, "%s", text);
    assert_int_equal(strlen(e.place), sizeof e.place - 1);
    errno = EIO;
    err_sys(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void one_line_and_own_text(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "two\nlines\r");
    assert_string_equal(e.text, "two lines ");
    err_set(&e, ERR_IO, "again: %s", e.text);
    assert_string_equal(e.text, "again: two lines ");
}

static void map(void **state)
{
    (void)state;
    static const int all[] = {
#define NUMBER(name, number, status, type, title) number,
        ERR_MAP(NUMBER)
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(all[i], -(int)i - 1);
        assert_int_equal(err_by_name(err_name(all[i])), all[i]);
        assert_in_range(err_status(all[i]), 400, 599);
        assert_true(strlen(err_type(all[i])) > 0 && strlen(err_title(all[i])) > 0);
    }
    assert_string_equal(err_name(ERR_INVALID), "INVALID");
    assert_string_equal(err_name(-999), "UNKNOWN");
    assert_int_equal(err_status(-999), 500);
    assert_string_equal(err_type(-999), "internal");
    assert_string_equal(err_title(-999), "Internal error");
    assert_int_equal(err_by_name("NOPE"), ERR_INTERNAL);
    assert_int_equal(err_by_name(NULL), ERR_INTERNAL);
}

static void test_text_is_always_whole_utf8(void **state)
{
    struct err e = { 0 };
    char longer[1000];
    (void)state;

    err_set(&e, ERR_INVALID, "a\xffz \xc3\xa9 \xe2\x82 \xed\xa0\x80 \xc0\x80");
    assert_string_equal(e.text, "a?z \xc3\xa9 ?? ??? ??");
    for (size_t offset = 0; offset < 4; offset++) {
        memset(longer, 'x', offset);
        for (size_t i = offset; i + 3 < sizeof longer; i += 3)
            memcpy(longer + i, "\xe2\x82\xac", 4);
        err_set(&e, ERR_INVALID, "%s", longer);
        size_t length = strlen(e.text);
        assert_true(length + 4 > sizeof e.text);
        assert_int_equal((length - offset) % 3, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_always_whole_utf8),
        cmocka_unit_test(set_and_wrap),
        cmocka_unit_test(null_is_fine),
        cmocka_unit_test(system_error),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(one_line_and_own_text),
        cmocka_unit_test(map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
