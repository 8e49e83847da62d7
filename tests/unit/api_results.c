/* What a job gives while it runs and afterwards: streams, curves, log, artifacts. */
#include "tests/unit/api_fixture.h"

#include "api/stream.h"
#include "storage/event.h"
#include "storage/metric.h"

static void streams(void **state)
{
    struct call c;
    int64_t seq = 0;

    (void)state;
    make_job(SPEC_SMALL);
    assert_int_equal(event_add(fx.db, 1, "log", "{\"text\":\"x\"}", &seq, NULL), 0);
    call_simple(&c, "GET", "/v1/jobs/1/events", 200);
    assert_true(c.x.is_stream);
    assert_string_equal(c.x.content_type, "text/event-stream");
    assert_int_equal(c.x.stream.job, 1);
    assert_int_equal(c.x.stream.after, 0);
    call_end(&c);
    call_simple(&c, "GET", "/v1/events", 200);
    assert_int_equal(c.x.stream.job, 0);
    assert_int_equal(c.x.stream.after, seq); /* only what is to come */
    call_end(&c);
    call_simple(&c, "GET", "/v1/events?after=1", 200);
    assert_int_equal(c.x.stream.after, 1);
    call_end(&c);
    call_begin(&c, "GET", "/v1/events?after=0");
    call_set(&c, "Last-Event-ID", "1");
    call_run(&c, 200);
    assert_int_equal(c.x.stream.after, 1);
    call_end(&c);
    call_simple(&c, "GET", "/v1/jobs/1/events?after=999999", 200); /* of another database */
    assert_int_equal(c.x.stream.after, seq);
    call_end(&c);
    expect_status("GET", "/v1/events?after=-1", 400);
    expect_status("GET", "/v1/events?after=x", 400);
    expect_status("GET", "/v1/jobs/2/events", 404);
    call_begin(&c, "GET", "/v1/events");
    call_set(&c, "Last-Event-ID", "one");
    call_run(&c, 400);
    assert_false(c.x.is_stream);
    call_end(&c);
}

static void event_text(void **state)
{
    char data[] = "{\"seq\":4,\n \"job\":77,\"text\":\"two\\nlines\"}", broken[] = "{";
    struct event ev = { .seq = 12, .job = 3, .type = "log", .data = data };
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    assert_int_equal(stream_format(&ev, &b), 0);
    assert_string_equal(b.data,
                        "id: 12\nevent: log\ndata: {\"job\":3,\"seq\":12,\"text\":\"two\\nlines\"}\n\n");
    buf_clear(&b);
    ev.data = broken;
    assert_int_equal(stream_format(&ev, &b), 0);
    assert_string_equal(b.data, "id: 12\nevent: log\ndata: {\"job\":3,\"seq\":12}\n\n");
    buf_free(&b);
}

static void curves(void **state)
{
    struct metric m[100];
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    for (int i = 0; i < 100; i++) {
        strcpy(m[i].series, i % 2 ? "loss" : "top1");
        m[i].step = i;
        m[i].value = i / 8.0;
    }
    assert_int_equal(metric_add(fx.db, 1, m, 100, NULL), 0);
    call_simple(&c, "GET", "/v1/jobs/1/metrics", 200);
    assert_int_equal(json_object_size(json_object_get(c.json, "series")), 2);
    assert_int_equal(json_array_size(spec_at(c.json, "/series/loss/steps")), 50);
    assert_true(spec_double(c.json, "/series/loss/values/0", 0) == 0.125);
    call_end(&c);
    call_simple(&c, "GET", "/v1/jobs/1/metrics?series=loss,none&points=5", 200);
    assert_int_equal(json_object_size(json_object_get(c.json, "series")), 1);
    assert_true(json_array_size(spec_at(c.json, "/series/loss/steps")) <= 5);
    assert_int_equal(spec_int(c.json, "/series/loss/steps/0", -1), 1);
    call_end(&c);
    call_simple(&c, "GET", "/v1/jobs/1/metrics?format=csv&series=top1", 200);
    assert_string_equal(c.x.content_type, "text/csv; charset=utf-8");
    assert_int_equal(strncmp(c.x.out.data, "series,step,value\ntop1,0,0\ntop1,2,0.25\n", 39), 0);
    assert_null(strstr(c.x.out.data, "loss"));
    call_end(&c);
    expect_status("GET", "/v1/jobs/1/metrics?format=xml", 400);
    expect_status("GET", "/v1/jobs/1/metrics?points=1", 400);
    expect_status("GET", "/v1/jobs/1/metrics?points=x", 400);
    expect_status("GET", "/v1/jobs/2/metrics", 404);
    call_simple(&c, "GET", "/v1/jobs/1/metrics?series=", 200);
    assert_int_equal(json_object_size(json_object_get(c.json, "series")), 0);
    call_end(&c);
}

static void say(const char *type, const char *data)
{
    assert_int_equal(event_add(fx.db, 1, type, data, NULL, NULL), 0);
}

static void logs(void **state)
{
    char path[120];
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    say("phase", "{\"time\":1000,\"phase\":\"train\"}");
    say("metric", "{\"time\":1000,\"series\":\"loss\"}");
    say("log", "{\"time\":2000,\"level\":\"debug\",\"text\":\"two\\nlines\\u001b[2J\"}");
    say("warning", "{\"time\":2000,\"text\":\"hm\"}");
    say("error", "{\"time\":3000,\"text\":\"no\",\"code\":\"CORRUPT\",\"place\":\"node a\"}");
    call_simple(&c, "GET", "/v1/jobs/1/log", 200);
    assert_string_equal(c.x.content_type, "text/plain; charset=utf-8");
    assert_string_equal(c.x.out.data, "1970-01-01T00:00:01.000Z info phase train\n"
                                      "1970-01-01T00:00:02.000Z debug two lines [2J\n"
                                      "1970-01-01T00:00:02.000Z warning hm\n"
                                      "1970-01-01T00:00:03.000Z error no (node a)\n");
    call_end(&c);

    snprintf(path, sizeof path, "%s/jobs/1", fx.dir);
    assert_int_equal(file_make_dirs(path, NULL), 0);
    snprintf(path, sizeof path, "%s/jobs/1/stderr.log", fx.dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    call_simple(&c, "GET", "/v1/jobs/1/log", 200);
    assert_null(strstr(c.x.out.data, "root"));
    call_end(&c);
    unlink(path);
    char *big = malloc(100000);
    memset(big, 'x', 100000);
    assert_int_equal(file_publish(path, big, 100000, 0600, NULL), 0);
    free(big);
    call_simple(&c, "GET", "/v1/jobs/1/log", 200);
    assert_non_null(strstr(c.x.out.data, "--- the last 64 KiB of stderr\n"));
    assert_int_equal(strlen(strstr(c.x.out.data, "xxxx")), 65536);
    call_end(&c);
    expect_status("GET", "/v1/jobs/2/log", 404);
}

static void long_logs(void **state)
{
    char line[1200], text[1001];
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    memset(text, 'a', 1000);
    text[1000] = 0;
    assert_int_equal(db_begin(fx.db, NULL), 0);
    for (int i = 0; i < 1500; i++) {
        snprintf(line, sizeof line, "{\"time\":%d,\"text\":\"%d %s\"}", i + 1, i, text);
        say("log", line);
    }
    assert_int_equal(db_commit(fx.db, NULL), 0);
    call_simple(&c, "GET", "/v1/jobs/1/log", 200);
    assert_true(c.x.out.length <= (1 << 20) + 100);
    assert_int_equal(strncmp(c.x.out.data, "(earlier lines are left out)\n1970-01-01T", 40), 0);
    assert_non_null(strstr(c.x.out.data, " info 1499 aaa"));
    call_end(&c);
}

static void adopt(const char *name, const char *content)
{
    struct call c;
    struct err e = { 0 };

    call_begin(&c, "GET", "/");
    call_upload(&c, content, strlen(content));
    assert_int_equal(blob_adopt(fx.db, c.x.upload.path, c.x.upload.hash, c.x.upload.size, &e), 0);
    assert_int_equal(artifact_add(fx.db, 1, name, c.x.upload.hash, &e), 0);
    call_end(&c);
}

static void artifacts(void **state)
{
    static const struct {
        const char *name, *type;
        bool shown;
    } list[] = {
        { "model.onnx", "application/octet-stream", false },
        { "model.qdz", "application/octet-stream", false },
        { "curves.csv", "text/csv; charset=utf-8", false },
        { "curves.svg", "image/svg+xml", true },
        { "report.html", "text/html; charset=utf-8", true },
        { "other.html", "text/html; charset=utf-8", false },
        { "log.txt", "text/plain; charset=utf-8", false },
        { "result.json", "application/json", false },
    };
    char target[100];
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        adopt(list[i].name, list[i].name);
    call_simple(&c, "GET", "/v1/jobs/1/artifacts", 200);
    assert_int_equal(json_array_size(json_object_get(c.json, "items")), sizeof list / sizeof *list);
    assert_int_equal(strncmp(at_text(&c, "/items/0/url"), "/v1/jobs/1/artifacts/", 21), 0);
    assert_int_equal(strncmp(at_text(&c, "/items/0/sha256"), "sha256:", 7), 0);
    call_end(&c);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        snprintf(target, sizeof target, "/v1/jobs/1/artifacts/%s", list[i].name);
        call_begin(&c, "GET", target);
        c.x.route->handler(&fx.api, &c.x);
        assert_int_equal(c.x.status, 200);
        assert_string_equal(c.x.content_type, list[i].type);
        assert_int_equal(c.x.file_bytes, strlen(list[i].name));
        assert_int_equal(c.x.etag[0], '"');
        assert_null(call_added(&c, "Cache-Control")); /* asked for again each time, by its tag */
        const char *policy = call_added(&c, "Content-Security-Policy");
        assert_true((policy != NULL) == list[i].shown);
        if (policy)
            assert_non_null(
                strstr(policy, "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"));
        assert_int_equal(
            strncmp(call_added(&c, "Content-Disposition"), list[i].shown ? "inline" : "attachment", 6), 0);
        call_end(&c);
    }
    expect_status("GET", "/v1/jobs/1/artifacts/none", 404);
    expect_status("GET", "/v1/jobs/1/artifacts/..", 404);
    expect_status("GET", "/v1/jobs/2/artifacts", 404);
    expect_status("GET", "/v1/jobs/2/artifacts/log.txt", 404);
    /* A file that has vanished behind the database's back is an error and not an empty answer. */
    struct artifact a;
    char path[300];
    assert_int_equal(artifact_get(fx.db, 1, "log.txt", &a, NULL), 0);
    blob_path(fx.db, a.hash, path, sizeof path);
    assert_int_equal(unlink(path), 0);
    expect_status("GET", "/v1/jobs/1/artifacts/log.txt", 404);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(streams),   cmocka_unit_test(event_text), WITH(curves), WITH(logs), WITH(long_logs),
        WITH(artifacts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
