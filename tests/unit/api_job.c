/* Jobs over the interface: made, listed, changed, cancelled, tried again, deleted. */
#include "tests/unit/api_fixture.h"

#include <sys/stat.h>

static void post(struct call *c, const char *target, const char *body, int status)
{
    call_begin(c, "POST", target);
    call_json(c, body);
    call_run(c, status);
}

static void create(void **state)
{
    struct call c;

    (void)state;
    post(&c, "/v1/jobs", SPEC_SMALL, 202);
    assert_string_equal(call_added(&c, "Location"), "/v1/jobs/1");
    assert_string_equal(at_text(&c, "/state"), "queued");
    assert_int_equal(at_int(&c, "/position"), 0);
    assert_string_equal(at_text(&c, "/spec/model"), "zoo:lenet5");
    assert_string_equal(at_text(&c, "/inputs/model/zoo"), "lenet5");
    assert_string_equal(at_text(&c, "/inputs/dataset/builtin"), "glyphs");
    assert_null(spec_at(c.json, "/spec/inputs"));
    assert_int_equal(at_int(&c, "/spec/quantize/weights/bits"), 4);
    assert_string_equal(at_text(&c, "/links/artifacts"), "/v1/jobs/1/artifacts");
    assert_true(json_is_null(spec_at(c.json, "/started")));
    assert_int_equal(json_array_size(spec_at(c.json, "/attempts")), 0);
    assert_int_equal(strncmp(c.x.etag, "W/\"", 3), 0);
    assert_int_equal(fx.kicks, 1);
    assert_int_equal(fx.wakes, 1);
    call_end(&c);
    post(&c, "/v1/jobs", SPEC_SMALL, 202);
    assert_int_equal(at_int(&c, "/position"), 1);
    call_end(&c);
    expect_status("GET", "/v1/jobs/2", 200);
    expect_status("GET", "/v1/jobs/3", 404);
    expect_status("GET", "/v1/jobs/x", 404);
    expect_status("GET", "/v1/jobs/-1", 404);
    /* What is shown can be posted again. */
    call_simple(&c, "GET", "/v1/jobs/2", 200);
    char *again = json_dumps(json_object_get(c.json, "spec"), 0);
    call_end(&c);
    assert_int_equal(make_job(again), 3);
    free(again);
}

static void stored_specification(void **state)
{
    struct job j = { 0 };
    json_t *spec;

    (void)state;
    add_input(true, "mine", "m", "{\"layers\":[{\"name\":\"c1\"}]}");
    add_input(false, "pics", "d", "{\"shape\":[1,28,28],\"mean\":[0.5],\"std\":[0.25]}");
    make_job("{\"kind\":\"quantize\",\"model\":\"mine\",\"dataset\":\"pics\",\"name\":\"n\",\"tags\":[\"t\"],"
             "\"priority\":5,\"resources\":{\"cpus\":2,\"memory_mb\":100,\"wall_s\":60}}");
    assert_int_equal(job_get(fx.db, 1, &j, NULL), 0);
    spec = json_loads(j.spec, 0, NULL);
    assert_string_equal(spec_text(spec, "/inputs/model/path", ""), "in/model.onnx");
    assert_string_equal(spec_text(spec, "/inputs/dataset/path", ""), "in/dataset");
    assert_string_equal(spec_text(spec, "/inputs/dataset/format", ""), "idx");
    assert_true(spec_double(spec, "/inputs/dataset/std/0", 0) == 0.25);
    assert_string_equal(spec_text(spec, "/model", ""), j.model_hash);
    assert_string_equal(spec_text(spec, "/inputs/model/sha256", ""), j.model_hash);
    assert_string_equal(spec_text(spec, "/dataset", ""), j.dataset_hash);
    assert_int_equal(j.cpus, 2);
    assert_int_equal(j.memory_mb, 100);
    assert_int_equal(j.wall_s, 60);
    assert_int_equal(j.priority, 5);
    json_decref(spec);
    job_free(&j);
}

static void refused(void **state)
{
    static const struct {
        const char *members; /* after the kind */
        const char *pointer, *code;
    } list[] = {
        { "\"model\":\"zoo:none\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"none\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"99\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:none\"", "/dataset", "not_found" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"zoo:lenet5\"", "/dataset", "not_found" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\",\"overrides\":[{\"match\":\"x*\"}]",
          "/overrides/0/match", "no_match" },
        { "\"model\":\"zoo:tiny3\",\"dataset\":\"builtin:glyphs\"", "/dataset", "mismatch" },
        { "\"model\":\"zoo:lenet5@1x28\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:lenet5@1x28x28/\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:lenet5@01x28x28\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:lenet5x@1x28x28\",\"dataset\":\"builtin:glyphs\"", "/model", "not_found" },
        { "\"model\":\"zoo:lenet5@1x15x28\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:lenet5@65x28x28\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:lenet5@1x28x1025\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:lenet5/65537\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:tiny3@1x28x28\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:finer/10\",\"dataset\":\"builtin:glyphs\"", "/model", "limit" },
        { "\"model\":\"zoo:finer\",\"dataset\":\"builtin:glyphs\"", "/model", "mismatch" },
        { "\"model\":\"zoo:lenet5@1x32x32\",\"dataset\":\"builtin:glyphs\"", "/dataset", "mismatch" },
        { "\"model\":\"zoo:lenet5/5\",\"dataset\":\"builtin:glyphs\"", "/dataset", "mismatch" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"few\"", "/dataset", "mismatch" },
        { "\"model\":\"mine\",\"dataset\":\"builtin:glyphs\",\"overrides\":[{\"match\":\"conv1\"}]",
          "/overrides/0/match", "no_match" },
        { "\"model\":\"mine\",\"dataset\":\"colour\"", "/dataset", "mismatch" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\",\"resources\":{\"cpus\":5}",
          "/resources/cpus", "range" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\",\"not_before\":\"tomorrow\"",
          "/not_before", "format" },
        { "\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\",\"normalize\":{\"mean\":[1,2],\"std\":[1,"
          "2]}",
          "/normalize/mean", "mismatch" },
    };
    char body[400];
    struct call c;
    int64_t count;

    (void)state;
    add_input(true, "mine", "m",
              "{\"inputs\":[{\"shape\":[\"N\",28,28,1]}],\"outputs\":[{\"shape\":[1,10]}],"
              "\"layers\":[{\"name\":\"c1\"}]}");
    add_input(false, "few", "f", "{\"shape\":[1,28,28],\"classes\":3}");
    add_input(false, "colour", "c", "{\"shape\":[3,28,28],\"classes\":10}");
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        snprintf(body, sizeof body, "{\"kind\":\"quantize\",%s}", list[i].members);
        post(&c, "/v1/jobs", body, 422);
        if (!has_error(&c, list[i].pointer, list[i].code))
            print_error("%s\n%s\n", body, c.x.out.data);
        assert_true(has_error(&c, list[i].pointer, list[i].code));
        assert_string_equal(at_text(&c, "/type"), "https://quantd.invalid/problems/invalid");
        call_end(&c);
    }
    /* (H,W,C) is as good as (C,H,W). */
    post(&c, "/v1/jobs?dry_run=1",
         "{\"kind\":\"evaluate\",\"model\":\"mine\",\"dataset\":\"builtin:glyphs\"}", 200);
    call_end(&c);
    assert_int_equal(job_count(fx.db, JOB_QUEUED, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(fx.kicks, 0);
}

/* An architecture of the zoo at another size: the data set must have that one. */
static void zoo_variants(void **state)
{
    static const char *const good[] = { "lenet5@1x28x28/10", "lenet5@3x28x28/10", "lenet5@3x28x28" };
    char body[400], want[80];
    struct call c;

    (void)state;
    add_input(false, "colour", "c", "{\"shape\":[3,28,28],\"classes\":10}");
    for (int i = 0; i < 3; i++) {
        snprintf(body, sizeof body,
                 "{\"kind\":\"quantize\",\"model\":\"zoo:%s\",\"dataset\":\"%s\","
                 "\"overrides\":[{\"match\":\"fc1\",\"weights\":{\"bits\":8}}]}",
                 good[i], i ? "colour" : "builtin:glyphs");
        snprintf(want, sizeof want, "zoo:%s", good[i]);
        post(&c, "/v1/jobs", body, 202);
        assert_string_equal(at_text(&c, "/spec/model"), want);
        assert_string_equal(at_text(&c, "/inputs/model/zoo"), good[i]);
        call_end(&c);
    }
}

static void bodies(void **state)
{
    static const struct {
        const char *type, *body;
        int status;
    } list[] = {
        { "text/plain", SPEC_SMALL, 415 },
        { NULL, SPEC_SMALL, 415 },
        { "application/jsonp", SPEC_SMALL, 415 },
        { "application/json; charset=utf-8", "{", 400 },
        { "application/json", "", 400 },
        { "application/json", "{\"kind\":\"quantize\",\"kind\":\"train\"}", 400 },
        { "application/json", "{\"a\":\"\xff\"}", 400 },
        { "application/json", "[]", 422 },
        { "application/json", "null", 422 },
        { "application/json", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
          400 },
    };
    struct call c;

    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        call_begin(&c, "POST", "/v1/jobs");
        if (list[i].type)
            call_set(&c, "Content-Type", list[i].type);
        c.x.body = list[i].body;
        c.x.body_length = strlen(list[i].body);
        call_run(&c, list[i].status);
        call_end(&c);
    }
}

static void dry_run(void **state)
{
    struct call c;

    (void)state;
    add_input(true, "mine", "m", "{\"memory_bytes\":4096}");
    post(&c, "/v1/jobs?dry_run=1",
         "{\"kind\":\"evaluate\",\"model\":\"mine\",\"dataset\":\"builtin:glyphs\"}", 200);
    assert_int_equal(at_int(&c, "/estimate/memory_bytes"), 4096);
    assert_int_equal(strncmp(at_text(&c, "/spec/model"), "sha256:", 7), 0);
    assert_int_equal(at_int(&c, "/spec/resources/cpus"), 1);
    call_end(&c);
    post(&c, "/v1/jobs?dry_run=1", SPEC_SMALL, 200);
    assert_true(json_is_null(spec_at(c.json, "/estimate/memory_bytes")));
    call_end(&c);
    expect_status("GET", "/v1/jobs/1", 404);
    post(&c, "/v1/jobs?dry_run=yes", SPEC_SMALL, 400);
    call_end(&c);
    post(&c, "/v1/jobs?dry_run", SPEC_SMALL, 400);
    call_end(&c);
    post(&c, "/v1/jobs?dry_run=0", SPEC_SMALL, 202);
    call_end(&c);
}

static int listed(const char *target)
{
    struct call c;
    int n;

    call_simple(&c, "GET", target, 200);
    n = (int)json_array_size(json_object_get(c.json, "items"));
    call_end(&c);
    return n;
}

static void lists(void **state)
{
    struct call c;

    (void)state;
    for (int i = 0; i < 5; i++)
        make_job(i % 2 ? SPEC_SMALL
                       : "{\"kind\":\"train\",\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\","
                         "\"tags\":[\"a b\"]}");
    assert_int_equal(listed("/v1/jobs"), 5);
    assert_int_equal(listed("/v1/jobs?kind=train"), 3);
    assert_int_equal(listed("/v1/jobs?state=queued"), 5);
    assert_int_equal(listed("/v1/jobs?state=running"), 0);
    assert_int_equal(listed("/v1/jobs?tag=none"), 0);
    assert_int_equal(listed("/v1/jobs?owner=ann"), 0);
    call_simple(&c, "GET", "/v1/jobs?limit=2&kind=train&tag=a b", 200);
    assert_int_equal(json_array_size(json_object_get(c.json, "items")), 2);
    assert_null(spec_at(c.json, "/items/0/spec"));
    assert_null(spec_at(c.json, "/items/0/attempts"));
    /* The filters go on to the next page. */
    assert_non_null(strstr(at_text(&c, "/next"), "&kind=train"));
    assert_non_null(strstr(at_text(&c, "/next"), "&tag=a%20b"));
    call_end(&c);
}

static void patch_one(const char *match, const char *body, int status)
{
    struct call c;

    call_begin(&c, "PATCH", "/v1/jobs/1");
    if (match)
        call_set(&c, "If-Match", match);
    call_json(&c, body);
    call_run(&c, status);
    call_end(&c);
}

static void patch(void **state)
{
    char etag[80];
    struct call c;

    (void)state;
    make_job(SPEC_SMALL);
    call_simple(&c, "GET", "/v1/jobs/1", 200);
    strcpy(etag, c.x.etag);
    call_end(&c);
    patch_one(etag, "{\"priority\":7,\"name\":\"new\",\"tags\":[\"x\"]}", 200);
    patch_one(etag, "{\"priority\":8}", 412);
    patch_one("\"abc\"", "{\"priority\":8}", 412);
    patch_one("7", "{\"priority\":8}", 412);
    patch_one("*", "{\"priority\":8}", 200);
    patch_one(NULL, "{}", 200);
    patch_one(NULL, "{\"priority\":1.5}", 422);
    patch_one(NULL, "{\"priority\":1001}", 422);
    patch_one(NULL, "{\"priority\":null}", 422);
    patch_one(NULL, "{\"tags\":\"x\"}", 422);
    patch_one(NULL, "{\"state\":\"running\"}", 422);
    patch_one(NULL, "[]", 422);
    patch_one(NULL, "{", 400);
    call_simple(&c, "GET", "/v1/jobs/1", 200);
    assert_int_equal(at_int(&c, "/priority"), 8);
    assert_string_equal(at_text(&c, "/name"), "new");
    assert_string_equal(at_text(&c, "/tags/0"), "x");
    assert_string_not_equal(c.x.etag, etag);
    call_end(&c);
    call_begin(&c, "PATCH", "/v1/jobs/9");
    call_json(&c, "{}");
    call_run(&c, 404);
    call_end(&c);
}

static void lifecycle(void **state)
{
    struct call c;
    char dir[100];
    int64_t id;

    (void)state;
    make_job(SPEC_SMALL);
    expect_status("POST", "/v1/jobs/1/retry", 409);
    expect_status("DELETE", "/v1/jobs/1", 409);
    /* Waiting: gone at once. */
    call_begin(&c, "POST", "/v1/jobs/1/cancel");
    strcpy(c.x.user, "ann");
    call_run(&c, 202);
    assert_string_equal(at_text(&c, "/state"), "cancelled");
    assert_string_equal(at_text(&c, "/reason"), "cancelled by ann");
    assert_true(json_is_null(spec_at(c.json, "/position")));
    assert_int_equal(fx.stopped, 0);
    call_end(&c);
    expect_status("POST", "/v1/jobs/1/cancel", 409);
    call_simple(&c, "POST", "/v1/jobs/1/retry", 202);
    assert_string_equal(at_text(&c, "/state"), "queued");
    assert_string_equal(at_text(&c, "/reason"), "");
    call_end(&c);
    /* Running: its worker must be told. */
    assert_int_equal(job_claim(fx.db, 4, &id, NULL), 0);
    assert_int_equal(id, 1);
    assert_int_equal(job_move(fx.db, 1, JOB_EVENT_START, NULL, NULL), 0);
    call_simple(&c, "POST", "/v1/jobs/1/cancel", 202);
    assert_string_equal(at_text(&c, "/state"), "cancelling");
    assert_int_equal(fx.stopped, 1);
    assert_int_equal(json_array_size(spec_at(c.json, "/attempts")), 1);
    assert_int_equal(at_int(&c, "/attempts/0/number"), 1);
    call_end(&c);
    expect_status("DELETE", "/v1/jobs/1", 409);
    assert_int_equal(job_move(fx.db, 1, JOB_EVENT_STOPPED, NULL, NULL), 0);
    snprintf(dir, sizeof dir, "%s/jobs/1/out", fx.dir);
    assert_int_equal(file_make_dirs(dir, NULL), 0);
    expect_status("DELETE", "/v1/jobs/1", 204);
    snprintf(dir, sizeof dir, "%s/jobs/1", fx.dir);
    assert_int_not_equal(access(dir, F_OK), 0);
    expect_status("DELETE", "/v1/jobs/1", 404);
    expect_status("POST", "/v1/jobs/1/cancel", 404);
}

static void scheduled(void **state)
{
    struct call c;

    (void)state;
    post(&c, "/v1/jobs",
         "{\"kind\":\"evaluate\",\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\","
         "\"not_before\":\"2999-01-31T10:00:00Z\"}",
         202);
    assert_string_equal(at_text(&c, "/state"), "scheduled");
    assert_string_equal(at_text(&c, "/not_before"), "2999-01-31T10:00:00.000Z");
    call_end(&c);
    expect_status("POST", "/v1/jobs/1/cancel", 202);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(create),    WITH(stored_specification),
        WITH(refused),   WITH(zoo_variants),
        WITH(bodies),    WITH(dry_run),
        WITH(lists),     WITH(patch),
        WITH(lifecycle), WITH(scheduled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
