/* Blobs, models and data sets: in, shown, out, deleted. */
#include "tests/unit/api_fixture.h"

#include "api/ingest.h"

#define INFO                                                                                                 \
    "{\"format\":\"onnx\",\"inputs\":[{\"name\":\"x\",\"shape\":[\"N\",1,28,28]}],\"memory_bytes\":12345,"   \
    "\"outputs\":[{\"name\":\"y\",\"shape\":[\"N\",10]}],\"layers\":[{\"name\":\"conv1\"}]}"
#define DATA "{\"format\":\"idx\",\"shape\":[3,8,8],\"classes\":10,\"train\":5,\"test\":2}"

/* POST a file, let the inspector say something, and leave the answered call to the caller. */
static void post(struct call *c, const char *target, const char *content, const char *info, int status)
{
    call_begin(c, "POST", target);
    call_upload(c, content, strlen(content));
    c->x.route->handler(&fx.api, &c->x);
    if (c->x.status == 0) {
        assert_true(c->x.parked);
        inspector_says(info, NULL);
        assert_false(c->x.parked);
    }
    if (c->x.status != status)
        print_error("%s: %s\n", target, c->x.out.data);
    assert_int_equal(c->x.status, status);
    call_answered(c);
}

static void hash_of(const char *content, char text[HASH_TEXT])
{
    unsigned char digest[HASH_BYTES];

    hash_bytes(content, strlen(content), digest);
    hash_text(digest, text);
}

static void blobs(void **state)
{
    char hash[HASH_TEXT], target[120];
    struct call c;

    (void)state;
    hash_of("hello", hash);
    snprintf(target, sizeof target, "/v1/blobs/%s", hash);
    expect_status("GET", target, 404);
    call_begin(&c, "PUT", target);
    call_upload(&c, "hullo", 5);
    call_run(&c, 422);
    assert_int_equal(access(c.x.upload.path, F_OK), 0); /* still http.c's to remove */
    call_end(&c);
    call_begin(&c, "PUT", target);
    call_upload(&c, "hello", 5);
    call_run(&c, 201);
    assert_string_equal(at_text(&c, "/sha256"), hash);
    assert_int_equal(at_int(&c, "/bytes"), 5);
    assert_int_equal(c.x.upload.path[0], 0);
    call_end(&c);
    call_begin(&c, "PUT", target);
    call_upload(&c, "hello", 5);
    call_run(&c, 200);
    call_end(&c);
    call_simple(&c, "GET", target, 200);
    assert_int_equal(c.x.file_bytes, 5);
    assert_non_null(strstr(c.x.etag, hash + 7));
    assert_non_null(strstr(call_added(&c, "Cache-Control"), "immutable"));
    assert_non_null(strstr(call_added(&c, "Content-Disposition"), "attachment"));
    call_end(&c);
    expect_status("PUT", target, 400); /* no body */
    expect_status("GET", "/v1/blobs/sha256:12", 400);
    expect_status("GET", "/v1/blobs/..", 400);
}

static void models(void **state)
{
    char target[120];
    struct call c;
    int64_t id;

    (void)state;
    post(&c, "/v1/models?name=lenet", "onnx one", INFO, 201);
    assert_string_equal(fx.kind, "model");
    assert_string_equal(at_text(&c, "/name"), "lenet");
    assert_string_equal(at_text(&c, "/info/layers/0/name"), "conv1");
    assert_int_equal(at_int(&c, "/bytes"), 8);
    id = at_int(&c, "/id");
    snprintf(target, sizeof target, "/v1/models/%d", (int)id);
    assert_string_equal(call_added(&c, "Location"), target);
    assert_int_equal(fx.readied, 1);
    call_end(&c);
    post(&c, "/v1/models?name=lenet", "onnx one", INFO, 200);
    assert_int_equal(at_int(&c, "/id"), id);
    call_end(&c);
    post(&c, "/v1/models?name=lenet", "onnx two", INFO, 409);
    call_end(&c);
    call_simple(&c, "GET", target, 200);
    assert_true(c.x.etag[0]);
    call_end(&c);
    expect_status("GET", "/v1/models/lenet", 200);
    expect_status("GET", "/v1/models/none", 404);
    call_simple(&c, "GET", "/v1/models/lenet/content", 200);
    assert_int_equal(c.x.file_bytes, 8);
    assert_string_equal(call_added(&c, "Content-Disposition"), "attachment; filename=\"lenet.onnx\"");
    call_end(&c);
    expect_status("DELETE", target, 204);
    expect_status("DELETE", target, 404);
    expect_status("GET", "/v1/models/lenet/content", 404);
}

static void model_names(void **state)
{
    static const char *const bad[] = {
        "",
        "12",
        "sha256:x",
        "zoo:lenet5",
        "builtin:x",
        "a/b",
        "a\nb",
        "\xff",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    struct call c;
    char target[200];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(target, sizeof target, "/v1/models?name=%s", bad[i]);
        call_begin(&c, "POST", target);
        call_upload(&c, "content", 7);
        call_run(&c, 422);
        assert_true(has_error(&c, "?name", "invalid"));
        call_end(&c);
    }
    assert_int_equal(asset_name_check("LeNet 5 (\xc3\xa9), 2", NULL), 0);
    assert_int_equal(asset_name_check("5b", NULL), 0);
}

static void from_a_blob(void **state)
{
    static const struct {
        const char *body;
        int status;
    } list[] = {
        { "{\"blob\":\"sha256:12\"}", 422 },
        { "{\"blob\":\"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", 422 },
        { "{}", 422 },
        { "[]", 422 },
        { "{\"blob\":", 400 },
        { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 400 },
    };
    char hash[HASH_TEXT], target[120], body[120];
    struct call c;

    (void)state;
    hash_of("big model", hash);
    snprintf(target, sizeof target, "/v1/blobs/%s", hash);
    call_begin(&c, "PUT", target);
    call_upload(&c, "big model", 9);
    call_run(&c, 201);
    call_end(&c);
    snprintf(body, sizeof body, "{\"blob\":\"%s\"}", hash);
    call_begin(&c, "POST", "/v1/models?name=big");
    call_set(&c, "Content-Type", "application/json");
    call_upload(&c, body, strlen(body));
    c.x.route->handler(&fx.api, &c.x);
    inspector_says(INFO, NULL);
    assert_int_equal(c.x.status, 201);
    call_answered(&c);
    assert_string_equal(at_text(&c, "/sha256"), hash);
    assert_true(c.x.upload.path[0]); /* the JSON itself is not adopted */
    call_end(&c);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        call_begin(&c, "POST", "/v1/models");
        call_set(&c, "Content-Type", "application/json");
        call_upload(&c, list[i].body, strlen(list[i].body));
        call_run(&c, list[i].status);
        call_end(&c);
    }
}

static void inspector_trouble(void **state)
{
    struct err e = { 0 };
    struct call c;

    (void)state;
    /* What it says about a bad file reaches the client with its place. */
    call_begin(&c, "POST", "/v1/models");
    call_upload(&c, "junk", 4);
    c.x.route->handler(&fx.api, &c.x);
    err_set(&e, ERR_UNSUPPORTED, "the operator Foo is not supported");
    err_at(&e, "node foo1 (Foo)");
    inspector_says(NULL, &e);
    assert_int_equal(c.x.status, 422);
    call_answered(&c);
    assert_true(has_error(&c, "node foo1 (Foo)", "unsupported"));
    call_end(&c);
    /* It says something that can't be used. */
    post(&c, "/v1/models", "a", "not json", 500);
    call_end(&c);
    post(&c, "/v1/models", "b", "", 500);
    call_end(&c);
    post(&c, "/v1/datasets?mean=1&std=1", "c", "[]", 500);
    call_end(&c);
    /* It can't be started. */
    fx.inspector_full = true;
    post(&c, "/v1/models", "d", NULL, 503);
    assert_non_null(call_added(&c, "Retry-After"));
    call_end(&c);
    fx.inspector_full = false;
    expect_status("POST", "/v1/models", 400);
    /* The client goes away meanwhile. */
    call_begin(&c, "POST", "/v1/models");
    call_upload(&c, "slow", 4);
    c.x.route->handler(&fx.api, &c.x);
    assert_non_null(c.x.abandoned);
    c.x.abandoned(c.x.arg);
    assert_true(fx.forgotten);
    call_end(&c);
}

static void datasets(void **state)
{
    struct call c;

    (void)state;
    post(&c, "/v1/datasets?name=shapes&format=idx&mean=0.1,0.2,0.3&std=1,1,2", "tar", DATA, 201);
    assert_string_equal(fx.kind, "dataset");
    assert_string_equal(fx.format, "idx");
    assert_string_equal(at_text(&c, "/format"), "idx");
    assert_true(spec_double(c.json, "/info/std/2", 0) == 2);
    assert_int_equal(at_int(&c, "/info/train"), 5);
    call_end(&c);
    expect_status("GET", "/v1/datasets/shapes", 200);
    expect_status("GET", "/v1/datasets/shapes/content", 200);
    expect_status("GET", "/v1/datasets/1000", 404);
    static const struct {
        const char *target;
        int status;
    } bad[] = {
        { "/v1/datasets?format=xyz", 422 },
        { "/v1/datasets?mean=0.5", 400 },
        { "/v1/datasets?std=0.5", 400 },
        { "/v1/datasets?mean=0.5&std=0", 400 },
        { "/v1/datasets?mean=0.5,&std=1", 400 },
        { "/v1/datasets?mean=&std=", 400 },
        { "/v1/datasets?mean=a&std=1", 400 },
        { "/v1/datasets?mean=1,2&std=1", 400 },
        { "/v1/datasets?mean=nan&std=1", 400 },
        { "/v1/datasets?mean=1,1&std=1,1", 422 }, /* three channels */
        { "/v1/datasets?name=7", 422 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        post(&c, bad[i].target, "other", DATA, bad[i].status);
        call_end(&c);
    }
    expect_status("DELETE", "/v1/datasets/shapes", 204);
    expect_status("DELETE", "/v1/datasets/shapes", 404);
}

static void pages(void **state)
{
    char target[200], content[20], last[40] = "";
    struct call c;
    int seen = 0, rounds = 0;

    (void)state;
    for (int i = 0; i < 7; i++) {
        snprintf(content, sizeof content, "model %d", i);
        snprintf(target, sizeof target, "/v1/models?name=m%d", i);
        post(&c, target, content, INFO, 201);
        call_end(&c);
    }
    strcpy(target, "/v1/models?limit=3");
    while (target[0]) {
        call_simple(&c, "GET", target, 200);
        size_t n = json_array_size(json_object_get(c.json, "items"));
        seen += (int)n;
        assert_true(n == 3 || !json_is_string(json_object_get(c.json, "next")));
        assert_string_not_equal(at_text(&c, "/items/0/name"), last);
        snprintf(last, sizeof last, "%s", at_text(&c, "/items/0/name"));
        snprintf(target, sizeof target, "%s", spec_text(c.json, "/next", ""));
        call_end(&c);
        assert_true(++rounds < 10);
    }
    assert_int_equal(seen, 7);
    assert_int_equal(rounds, 3);
    call_simple(&c, "GET", "/v1/models?limit=7", 200);
    assert_true(json_is_null(json_object_get(c.json, "next")));
    assert_string_equal(at_text(&c, "/items/0/name"), "m6");
    call_end(&c);
    call_simple(&c, "GET", "/v1/datasets", 200);
    assert_int_equal(json_array_size(json_object_get(c.json, "items")), 0);
    call_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blobs, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(models, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(model_names, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(from_a_blob, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(inspector_trouble, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(datasets, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(pages, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
