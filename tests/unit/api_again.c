/* POST /v1/jobs sent again: with an Idempotency-Key, after its model has gone, and when there was no room. */
#include "tests/unit/api_fixture.h"

#include "storage/sql.h"

static void idempotency_one(const char *user, const char *key, const char *body, int status, int64_t id)
{
    struct call c;

    call_begin(&c, "POST", "/v1/jobs");
    strcpy(c.x.user, user);
    call_set(&c, "Idempotency-Key", key);
    call_json(&c, body);
    call_run(&c, status);
    if (id)
        assert_int_equal(at_int(&c, "/id"), id);
    call_end(&c);
}

static void idempotency(void **state)
{
    static const char other[] =
        "{\"kind\":\"train\",\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\"}";
    char key[260];

    (void)state;
    idempotency_one("", "k1", SPEC_SMALL, 202, 1);
    idempotency_one("", "k1", SPEC_SMALL, 202, 1);
    assert_int_equal(fx.kicks, 1);
    idempotency_one("", "k1", other, 422, 0);
    idempotency_one("", "k2", other, 202, 2);
    idempotency_one("ann", "k1", other, 202, 3);
    idempotency_one("", "", SPEC_SMALL, 400, 0);
    idempotency_one("", "a b", SPEC_SMALL, 400, 0);
    idempotency_one("", "\xc3\xa9", SPEC_SMALL, 400, 0);
    memset(key, 'k', sizeof key);
    key[255] = 0;
    idempotency_one("", key, SPEC_SMALL, 202, 4);
    key[255] = 'k', key[256] = 0;
    idempotency_one("", key, SPEC_SMALL, 400, 0);
}

/* What the first request made is the answer to the second, also when it could not be made any more. */
static void replay_after_delete(void **state)
{
    static const char body[] = "{\"kind\":\"evaluate\",\"model\":\"mine\",\"dataset\":\"builtin:glyphs\"}";

    (void)state;
    add_input(true, "mine", "m", "{}");
    idempotency_one("", "k", body, 202, 1);
    expect_status("POST", "/v1/jobs/1/cancel", 202);
    expect_status("DELETE", "/v1/models/mine", 204);
    idempotency_one("", "k", body, 202, 1);
    idempotency_one("", "other", body, 422, 0);
    idempotency_one("", "k", SPEC_SMALL, 422, 0);
    expect_status("DELETE", "/v1/jobs/1", 204); /* and the key with it */
    idempotency_one("", "k", SPEC_SMALL, 202, 2);
}

static int64_t number(const char *query)
{
    int64_t n = -1;

    assert_int_equal(sql_value(fx.db, &n, NULL, query), 0);
    return n;
}

/* The database is full: 507, nothing of that job is there, and it can be sent again when there is room. */
static void full(void **state)
{
    struct call c;
    char limit[60], key[20];
    int accepted = 0, status;

    (void)state;
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %d", (int)number("PRAGMA page_count"));
    sqlite3_exec(fx.db->handle, limit, NULL, NULL, NULL);
    for (;; accepted++) {
        call_begin(&c, "POST", "/v1/jobs");
        snprintf(key, sizeof key, "k%d", accepted);
        call_set(&c, "Idempotency-Key", key);
        call_json(&c, SPEC_SMALL);
        c.x.route->handler(&fx.api, &c.x);
        status = c.x.status;
        call_answered(&c);
        if (status != 202)
            break;
        call_end(&c);
    }
    assert_int_equal(status, 507);
    assert_string_equal(at_text(&c, "/type"), "https://quantd.invalid/problems/insufficient-storage");
    call_end(&c);
    assert_true(accepted > 0);
    assert_int_equal(number("SELECT count(*) FROM job"), accepted);
    assert_int_equal(number("SELECT count(*) FROM event"), accepted);
    assert_int_equal(number("SELECT count(*) FROM idempotency"), accepted);
    assert_int_equal(fx.kicks, accepted);
    sqlite3_exec(fx.db->handle, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL);
    idempotency_one("", key, SPEC_SMALL, 202, 0);
    assert_int_equal(number("SELECT count(*) FROM job"), accepted + 1);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(idempotency),
        WITH(replay_after_delete),
        WITH(full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
