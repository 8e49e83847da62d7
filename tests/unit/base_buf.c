/* The growable buffer: ceiling, escapes, and what is left after a failure. */
#include "tests/unit/temp.h"

#include "base/buf.h"
#include "base/mem.h"

static void grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_null(b.data);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&b, "%d,", i), 0);
    assert_int_equal(strlen(b.data), b.length);
    assert_int_equal(buf_append(&b, "\0z", 2), 0);
    assert_int_equal(b.data[b.length], 0);
    buf_clear(&b);
    assert_int_equal(b.length, 0);
    assert_string_equal(b.data, "");
    buf_text(&b, "new");
    char *text = buf_take(&b);
    assert_string_equal(text, "new");
    assert_null(b.data);
    assert_null(buf_take(&b));
    free(text);
    buf_free(&b);
    buf_free(NULL);
}

static void ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_text(&b, "12345"), 0);
    assert_int_equal(buf_text(&b, "67890"), 0);
    assert_int_equal(buf_text(&b, "x"), ERR_TOO_LARGE);
    assert_true(b.failed);
    assert_string_equal(b.data, "1234567890");
    assert_int_not_equal(buf_text(&b, ""), 0); /* no holes: it stays failed */
    assert_null(buf_take(&b));
    assert_null(b.data);
    buf_clear(&b);
    assert_false(b.failed);
    assert_int_equal(buf_printf(&b, "%s", "12345678901"), ERR_TOO_LARGE);
    buf_free(&b);
}

static void json(const char *text, const char *expected)
{
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_json_string(&b, text), 0);
    assert_string_equal(b.data, expected);
    buf_free(&b);
}

static void json_strings(void **state)
{
    (void)state;
    json("", "\"\"");
    json("plain", "\"plain\"");
    json("a\"b\\c", "\"a\\\"b\\\\c\"");
    json("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
    json("\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"");
    json("é € 😀", "\"é € 😀\"");
    json("\xff", "\"\xef\xbf\xbd\"");
    json("a\xc3", "\"a\xef\xbf\xbd\"");                                               /* cut short */
    json("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                 /* overlong */
    json("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");                 /* surrogate */
    json("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* beyond U+10FFFF */
    json("\xe2\x82z", "\"\xef\xbf\xbd\xef\xbf\xbdz\"");
}

static void html(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_html(&b, "a<b & \"c\" 'd'>"), 0);
    assert_string_equal(b.data, "a&lt;b &amp; &quot;c&quot; &#39;d&#39;&gt;");
    buf_free(&b);
}

static void out_of_memory(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        struct buf b;
        buf_init(&b, 0);
        mem_fail_after(n);
        for (int i = 0; i < 200; i++)
            buf_json_string(&b, "some text that makes it grow");
        mem_fail_after(-1);
        bool failed = b.failed;
        if (failed)
            assert_null(buf_take(&b));
        buf_free(&b);
        if (!failed)
            break;
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows), cmocka_unit_test(ceiling),       cmocka_unit_test(json_strings),
        cmocka_unit_test(html),  cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
