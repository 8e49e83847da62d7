/* The disk is full after the 1st, 2nd, 3rd, ... page that a step would need: each time ERR_FULL, nothing half
 * stored, and the same step goes through once there is room. SQLite's limit of pages plays the disk. */
#include "tests/unit/store.h"

#include "storage/asset.h"
#include "storage/event.h"
#include "storage/metric.h"
#include "storage/sql.h"

static char large[40000]; /* several pages in whatever row it stands */
static const char *hash;

/* What could be half there, in one number per table and the jobs in full. */
static void fingerprint(struct store *s, char out[400])
{
    struct sql q;
    sql_open(&q, s->db,
             "SELECT format('%d %d %d %d %d %d %d %d %s',"
             " (SELECT count(*) FROM job), (SELECT count(*) FROM attempt), (SELECT count(*) FROM event),"
             " (SELECT count(*) FROM idempotency), (SELECT count(*) FROM metric),"
             " (SELECT count(*) FROM series), (SELECT count(*) FROM artifact), (SELECT count(*) FROM model),"
             " (SELECT group_concat(id || state || version || length(coalesce(result, ''))) FROM job))");
    assert_true(sql_next(&q));
    sql_copy(&q, 0, out, 400);
    assert_ok(s, sql_close(&q, &s->e));
}

static void limit_pages(struct store *s, int64_t most)
{
    char text[60];
    snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)most);
    assert_int_equal(sqlite3_exec(s->db->handle, text, NULL, NULL, NULL), SQLITE_OK);
}

static void until_there_is_room(struct store *s, const char *name, int (*step)(struct store *s))
{
    char before[400], after[400];
    int64_t pages = 0;
    int refusals = 0, rc;
    fingerprint(s, before);
    assert_ok(s, sql_run(s->db, &s->e, "VACUUM")); /* no free pages inside the file */
    assert_ok(s, sql_value(s->db, &pages, &s->e, "PRAGMA page_count"));
    for (;; refusals++) {
        limit_pages(s, pages + refusals);
        rc = step(s);
        if (rc == 0)
            break;
        fingerprint(s, after);
        if (rc != ERR_FULL || strcmp(before, after) != 0)
            fail_msg("%s with %d pages: %s %s\nbefore %s\nafter  %s", name, refusals, err_name(rc), s->e.text,
                     before, after);
    }
    limit_pages(s, 1 << 30);
    fingerprint(s, after);
    assert_string_not_equal(before, after);
    if (refusals == 0)
        fail_msg("%s needed no room: the test shows nothing", name);
}

static int add_job(struct store *s)
{
    struct job_new n = store_job;
    struct job j;
    bool existed;
    n.spec = large;
    int rc = job_add(s->db, &n, "key", "body", &j, &existed, &s->e);
    assert_true(rc || !existed);
    job_free(&j);
    return rc;
}

static int claim(struct store *s)
{
    int64_t id = 0;
    int rc = job_claim(s->db, 1, &id, &s->e);
    assert_true(rc ? id == 0 : id == 1);
    return rc;
}

static int add_model(struct store *s)
{
    const struct asset_new n = { .name = "m", .hash = hash, .info = large };
    struct asset a;
    bool existed;
    int rc = asset_add(s->db, ASSET_MODEL, &n, &a, &existed, &s->e);
    asset_free(&a);
    return rc;
}

static int add_metrics(struct store *s)
{
    static struct metric m[600];
    for (int i = 0; i < 600; i++)
        m[i] = (struct metric){ .series = "loss", .step = i };
    return metric_add(s->db, 1, m, 600, &s->e);
}

/* As the daemon concludes an attempt. */
static int finish_all(struct store *s)
{
    int rc = artifact_add(s->db, 1, "model.onnx", hash, &s->e);
    if (!rc)
        rc = job_set_result(s->db, 1, large, &s->e);
    if (!rc)
        rc = attempt_end(s->db, 1, 1, "done", 0, 0, false, &s->e);
    return rc ? rc : job_move(s->db, 1, JOB_EVENT_FINISH, "", &s->e);
}

static int finish(struct store *s)
{
    int rc = db_begin(s->db, &s->e);
    if (rc)
        return rc;
    rc = finish_all(s);
    if (!rc)
        return db_commit(s->db, &s->e);
    db_rollback(s->db);
    return rc;
}

static int add_event(struct store *s)
{
    return event_add(s->db, 1, "log", large, NULL, &s->e);
}

static void every_step(void **state)
{
    struct store *s = *state;
    memset(large, ' ', sizeof large - 1);
    memcpy(large, "{}", 2);
    hash = store_blob(s, "content");
    until_there_is_room(s, "job_add", add_job);
    /* Small changes find room in pages that are there, until those are full. */
    assert_ok(s, claim(s));
    assert_ok(s, job_move(s->db, 1, JOB_EVENT_START, NULL, &s->e));
    until_there_is_room(s, "asset_add", add_model);
    until_there_is_room(s, "metric_add", add_metrics);
    until_there_is_room(s, "the end of an attempt", finish);
    until_there_is_room(s, "event_add", add_event);
    assert_int_equal(store_state(s, 1), JOB_SUCCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
