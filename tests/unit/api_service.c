/* The service's own pages, the dashboard's files, and what all routes below /v1 have in common. */
#include "tests/unit/api_fixture.h"

#include "api/exchange.h"

#include <sys/stat.h>

static void health(void **state)
{
    struct call c;

    (void)state;
    call_simple(&c, "GET", "/healthz", 200);
    assert_string_equal(c.x.out.data, "ok\n");
    call_end(&c);
    call_simple(&c, "GET", "/readyz", 200);
    assert_true(spec_bool(c.json, "/ready", false));
    call_end(&c);
    fx.unready = "the disk is full";
    call_simple(&c, "GET", "/readyz", 503);
    assert_string_equal(at_text(&c, "/reason"), "the disk is full");
    fx.unready = NULL;
    call_end(&c);
    call_simple(&c, "GET", "/v1/version", 200);
    assert_string_equal(at_text(&c, "/version"), QUANTD_VERSION);
    assert_string_equal(at_text(&c, "/api"), "v1");
    call_end(&c);
}

static void figures(void **state)
{
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    int64_t id = 0;
    make_job(SPEC_SMALL);
    assert_int_equal(job_claim(fx.db, 4, &id, NULL), 0);
    fx.api.requests[202] = 5;
    fx.api.upload_bytes = 12345678901;
    call_simple(&c, "GET", "/metrics", 200);
    assert_non_null(strstr(c.x.out.data, "quantd_jobs{state=\"queued\"} 1\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_requests_total{code=\"202\"} 5\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_jobs{state=\"starting\"} 1\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_jobs{state=\"parked\"} 0\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_attempts_running 1\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_upload_bytes_total 12345678901\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_slots 4\n"));
    assert_non_null(strstr(c.x.out.data, "quantd_streams 3\n"));
    assert_non_null(strstr(c.x.out.data, "process_resident_memory_bytes "));
    assert_non_null(strstr(c.x.content_type, "version=0.0.4"));
    call_end(&c);
}

static void capabilities_and_description(void **state)
{
    struct call c;
    char etag[80];

    (void)state;
    call_simple(&c, "GET", "/v1/capabilities", 200);
    assert_true(json_equal(c.json, fx.api.capabilities));
    strcpy(etag, c.x.etag);
    assert_int_equal(etag[0], '"');
    call_end(&c);
    call_simple(&c, "GET", "/v1/capabilities", 200);
    assert_string_equal(c.x.etag, etag);
    call_end(&c);
    call_simple(&c, "GET", "/openapi.json", 200);
    assert_string_equal(at_text(&c, "/openapi"), "3.1.0");
    call_end(&c);
    fx.api.openapi_path = "/nonexistent/openapi.json";
    call_begin(&c, "GET", "/openapi.json");
    c.x.route->handler(&fx.api, &c.x);
    assert_true(c.x.status >= 400);
    assert_string_equal(c.x.content_type, "application/problem+json");
    call_end(&c);
    fx.api.openapi_path = "api/openapi.json";
}

/* Unknown and repeated query parameters are named, on every route below /v1. */
static void queries(void **state)
{
    char target[200];
    struct call c;

    (void)state;
    for (int i = 0; i < route_count; i++) {
        if (strncmp(route_list[i].pattern, "/v1/", 4) != 0)
            continue;
        snprintf(target, sizeof target, "%s?bogus=1", route_list[i].pattern);
        for (char *p = strchr(target, '{'); p; p = strchr(target, '{')) {
            char *end = strchr(p, '}');
            *p = '1';
            memmove(p + 1, end + 1, strlen(end));
        }
        call_begin(&c, route_list[i].method, target);
        call_json(&c, "{}");
        call_run(&c, 400);
        assert_true(has_error(&c, "?bogus", "malformed"));
        call_end(&c);
    }
    expect_status("GET", "/v1/jobs?limit=3&limit=4", 400);
    expect_status("GET", "/v1/jobs?limit=0", 400);
    expect_status("GET", "/v1/jobs?limit=201", 400);
    expect_status("GET", "/v1/jobs?limit=200", 200);
    expect_status("GET", "/v1/jobs?limit=", 400);
    expect_status("GET", "/v1/jobs?limit", 400);
    expect_status("GET", "/v1/jobs?cursor=xyz", 400);
    expect_status("GET", "/v1/jobs?cursor=000000000000000100000000", 400);
    expect_status("GET", "/v1/jobs?state=sleeping", 400);
}

static void problems(void **state)
{
    struct exchange x = { .file = -1 };
    struct err e = { 0 };
    json_t *body;

    (void)state;
    buf_init(&x.out, 0);
    strcpy(x.path, "/v1/jobs/\"7\"");
    strcpy(x.request_id, "abc");
    err_set(&e, ERR_CORRUPT, "bytes that are not UTF-8: \xff\xfe and \"quotes\"");
    err_at(&e, "node conv1 (Conv)");
    exchange_problem(&x, &e);
    assert_int_equal(x.status, 422);
    assert_string_equal(x.content_type, "application/problem+json");
    body = json_loadb(x.out.data, x.out.length, 0, NULL);
    assert_non_null(body);
    assert_string_equal(spec_text(body, "/type", ""), "https://quantd.invalid/problems/unreadable");
    assert_int_equal(spec_int(body, "/status", 0), 422);
    assert_string_equal(spec_text(body, "/instance", ""), "/v1/jobs/\"7\"");
    assert_string_equal(spec_text(body, "/request_id", ""), "abc");
    assert_string_equal(spec_text(body, "/errors/0/pointer", ""), "node conv1 (Conv)");
    json_decref(body);
    /* A later answer replaces an earlier one. */
    exchange_json(&x, 200, json_pack("{s:i}", "a", 1));
    assert_string_equal(x.out.data, "{\"a\":1}\n");
    exchange_json(&x, 200, NULL);
    assert_int_equal(x.status, 503);
    buf_free(&x.out);
}

static void write_file(const char *path, const char *text)
{
    char full[200];

    snprintf(full, sizeof full, "%s/web/%s", fx.dir, path);
    assert_int_equal(file_publish(full, text, strlen(text), 0644, NULL), 0);
}

static void dashboard(void **state)
{
    char dir[100], link[120];
    struct call c;

    (void)state;
    snprintf(dir, sizeof dir, "%s/web/lib", fx.dir);
    assert_int_equal(file_make_dirs(dir, NULL), 0);
    snprintf(dir, sizeof dir, "%s/web", fx.dir);
    write_file("index.html", "<p>hi");
    write_file("app.js", "1");
    write_file("lib/htm.mjs", "22");
    write_file("odd.bin", "x");
    snprintf(link, sizeof link, "%s/web/link.js", fx.dir);
    assert_int_equal(symlink("/etc/hostname", link), 0);
    snprintf(link, sizeof link, "%s/web/etc", fx.dir);
    assert_int_equal(symlink("/etc", link), 0);
    fx.api.webui_dir = dir;

    call_simple(&c, "GET", "/", 200);
    assert_string_equal(c.x.content_type, "text/html; charset=utf-8");
    assert_int_equal(c.x.file_bytes, 5);
    assert_true(c.x.etag[0] == '"');
    assert_non_null(
        strstr(call_added(&c, "Content-Security-Policy"), "default-src 'none'; script-src 'self'"));
    assert_non_null(strstr(call_added(&c, "Content-Security-Policy"), "frame-ancestors 'none'"));
    assert_string_equal(call_added(&c, "Referrer-Policy"), "no-referrer");
    call_end(&c);
    call_simple(&c, "GET", "/ui/lib/htm.mjs", 200);
    assert_string_equal(c.x.content_type, "text/javascript; charset=utf-8");
    assert_int_equal(c.x.file_bytes, 2);
    call_end(&c);
    call_simple(&c, "GET", "/ui/odd.bin", 200);
    assert_string_equal(c.x.content_type, "application/octet-stream");
    call_end(&c);
    static const char *const outside[] = { "/ui/none.js",          "/ui/..",           "/ui/../quantd.db",
                                           "/ui/%2e%2e/quantd.db", "/ui/lib",          "/ui/lib/",
                                           "/ui/lib//htm.mjs",     "/ui/link.js",      "/ui/etc/hosts",
                                           "/ui//etc/passwd",      "/ui/%2fetc/hosts", "/ui/.hidden" };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        expect_status("GET", outside[i], 404);
    /* Without a built dashboard "/" says how to get one. */
    static const char *const missing[] = { NULL, "/nonexistent", "base" };
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        fx.api.webui_dir = missing[i];
        call_simple(&c, "GET", "/", 404);
        assert_string_equal(c.x.content_type, "text/plain; charset=utf-8");
        assert_non_null(strstr(c.x.out.data, "`make` builds it"));
        call_end(&c);
        expect_status("GET", "/ui/app.js", 404);
    }
    fx.api.webui_dir = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(figures, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(capabilities_and_description, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(queries, fixture_open, fixture_close),
        cmocka_unit_test(problems),
        cmocka_unit_test_setup_teardown(dashboard, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
