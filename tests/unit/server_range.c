/* The Range header, conditional requests, and what an answer becomes. */
#include "tests/unit/temp.h"

#include "server/http_answer.h"
#include "server/range.h"

#include <fcntl.h>
#include <unistd.h>

static const struct {
    const char *header;
    int64_t size;
    enum range_kind kind;
    int64_t first, last;
} rows[] = {
    { NULL, 100, RANGE_WHOLE, 0, 0 },
    { "bytes=0-0", 100, RANGE_PART, 0, 0 },
    { "bytes=0-99", 100, RANGE_PART, 0, 99 },
    { "bytes=10-", 100, RANGE_PART, 10, 99 },
    { "bytes=10-1000", 100, RANGE_PART, 10, 99 },
    { "BYTES = 10-20 ", 100, RANGE_PART, 10, 20 },
    { "bytes=-1", 100, RANGE_PART, 99, 99 },
    { "bytes=-1000", 100, RANGE_PART, 0, 99 },
    { "bytes=100-", 100, RANGE_NONE, 0, 0 },
    { "bytes=100-200", 100, RANGE_NONE, 0, 0 },
    { "bytes=-0", 100, RANGE_NONE, 0, 0 },
    { "bytes=0-", 0, RANGE_NONE, 0, 0 },
    { "bytes=-5", 0, RANGE_NONE, 0, 0 },
    { "bytes=99999999999999999999-", 100, RANGE_NONE, 0, 0 },
    { "bytes=0-99999999999999999999", 100, RANGE_PART, 0, 99 },
    { "bytes=9223372036854775807-", INT64_MAX, RANGE_NONE, 0, 0 },
    { "bytes=20-10", 100, RANGE_WHOLE, 0, 0 },
    { "bytes=0-1,5-6", 100, RANGE_WHOLE, 0, 0 },
    { "bytes=-", 100, RANGE_WHOLE, 0, 0 },
    { "bytes=", 100, RANGE_WHOLE, 0, 0 },
    { "bytes", 100, RANGE_WHOLE, 0, 0 },
    { "bytes=a-b", 100, RANGE_WHOLE, 0, 0 },
    { "bytes=+1-2", 100, RANGE_WHOLE, 0, 0 },
    { "items=0-1", 100, RANGE_WHOLE, 0, 0 },
    { "", 100, RANGE_WHOLE, 0, 0 },
};

static void ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct range r = { 0, 0 };
        enum range_kind kind = range_parse(rows[i].header, rows[i].size, &r);
        if (kind != rows[i].kind || r.first != rows[i].first || r.last != rows[i].last)
            fail_msg("%s of %lld: %d %lld-%lld", rows[i].header, (long long)rows[i].size, (int)kind,
                     (long long)r.first, (long long)r.last);
    }
}

static void tags(void **state)
{
    (void)state;
    assert_true(http_answer_matches("*", "\"a\""));
    assert_true(http_answer_matches("\"a\"", "\"a\""));
    assert_true(http_answer_matches("W/\"a\"", "\"a\""));
    assert_true(http_answer_matches("\"b\" , W/\"a\"", "W/\"a\""));
    assert_false(http_answer_matches("\"ab\"", "\"a\""));
    assert_false(http_answer_matches("\"a\"b", "\"a\""));
    assert_false(http_answer_matches("", "\"a\""));
    assert_false(http_answer_matches(", ,", "\"a\""));
}

/* --- plans: an exchange whose request headers come from a small table ----------------------------- */

static const char *given[4][2];

static const char *header(const struct exchange *x, const char *name)
{
    (void)x;
    for (size_t i = 0; i < 4 && given[i][0]; i++)
        if (strcmp(given[i][0], name) == 0)
            return given[i][1];
    return NULL;
}

static struct exchange ask(const char *method, const char *name, const char *value)
{
    struct exchange x = {
        .header = header, .status = 200, .file = open("/dev/null", O_RDONLY), .file_bytes = 100
    };
    snprintf(x.method, sizeof x.method, "%s", method);
    snprintf(x.etag, sizeof x.etag, "\"tag\"");
    buf_init(&x.out, 0);
    memset(given, 0, sizeof given);
    given[0][0] = name;
    given[0][1] = value;
    return x;
}

static void done(struct exchange *x)
{
    if (x->file >= 0)
        close(x->file);
    buf_free(&x->out);
}

static void plan_whole(void **state)
{
    (void)state;
    struct answer a;
    struct exchange x = ask("GET", NULL, NULL);
    http_answer_plan(&x, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body, ANSWER_FILE);
    assert_int_equal(a.length, 100);
    assert_true(a.accept_ranges);
    assert_string_equal(a.cache_control, "no-cache");
    done(&x);
}

static void plan_part(void **state)
{
    (void)state;
    struct answer a;
    struct exchange x = ask("GET", "Range", "bytes=10-19");
    http_answer_plan(&x, &a);
    assert_int_equal(a.status, 206);
    assert_int_equal(a.offset, 10);
    assert_int_equal(a.length, 10);
    assert_string_equal(a.content_range, "bytes 10-19/100");
    done(&x);
    x = ask("HEAD", "Range", "bytes=10-19"); /* ranges are for GET */
    http_answer_plan(&x, &a);
    assert_int_equal(a.status, 200);
    done(&x);
}

static void plan_if_range(void **state)
{
    (void)state;
    struct answer a;
    static const struct {
        const char *tag;
        int status;
    } cases[] = {
        { "\"tag\"", 206 }, { "\"old\"", 200 }, { "W/\"tag\"", 200 }, { "Sat, 01 Jan 2022 00:00:00 GMT", 200 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct exchange x = ask("GET", "Range", "bytes=0-0");
        given[1][0] = "If-Range";
        given[1][1] = cases[i].tag;
        http_answer_plan(&x, &a);
        assert_int_equal(a.status, cases[i].status);
        done(&x);
    }
}

static void plan_nothing_there(void **state)
{
    (void)state;
    struct answer a;
    struct exchange x = ask("GET", "Range", "bytes=100-");
    exchange_header(&x, "Cache-Control", "private, max-age=31536000, immutable");
    exchange_header(&x, "Content-Disposition", "attachment; filename=\"x\"");
    http_answer_plan(&x, &a);
    assert_int_equal(x.adds, 0); /* an error is not kept for a year */
    assert_int_equal(a.status, 416);
    assert_int_equal(a.body, ANSWER_MEMORY);
    assert_int_equal(x.file, -1);
    assert_string_equal(a.content_range, "bytes */100");
    assert_string_equal(a.cache_control, "no-store");
    done(&x);
}

static void plan_unchanged(void **state)
{
    (void)state;
    struct answer a;
    struct exchange x = ask("GET", "If-None-Match", "\"x\", \"tag\"");
    http_answer_plan(&x, &a);
    assert_int_equal(a.status, 304);
    assert_int_equal(x.file, -1);
    done(&x);
    x = ask("POST", "If-None-Match", "\"tag\"");
    http_answer_plan(&x, &a);
    assert_int_equal(a.status, 200);
    done(&x);
}

static void plan_keeps_the_handlers_word(void **state)
{
    (void)state;
    struct answer a;
    struct exchange x = ask("GET", NULL, NULL);
    exchange_header(&x, "cache-control", "immutable");
    http_answer_plan(&x, &a);
    assert_null(a.cache_control);
    done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),         cmocka_unit_test(tags),
        cmocka_unit_test(plan_whole),     cmocka_unit_test(plan_part),
        cmocka_unit_test(plan_if_range),  cmocka_unit_test(plan_nothing_there),
        cmocka_unit_test(plan_unchanged), cmocka_unit_test(plan_keeps_the_handlers_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
