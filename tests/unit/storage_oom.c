/* Memory runs out at the 1st, 2nd, 3rd, ... allocation, ours or SQLite's: each time a clean ERR_NOMEM,
 * nothing half stored, and the same call works afterwards. */
#include "tests/unit/store.h"

#include "base/mem.h"
#include "storage/asset.h"
#include "storage/event.h"
#include "storage/metric.h"

#include <sqlite3.h>

/* --- SQLite's allocator with the same hook ----------------------------------------------------------------
 */

static sqlite3_mem_methods original;
static int64_t countdown = -1; /* allocations that still succeed; negative: all */

static bool refuse(void)
{
    return countdown >= 0 && countdown-- == 0;
}

static void *failing_malloc(int bytes)
{
    return refuse() ? NULL : original.xMalloc(bytes);
}

static void *failing_realloc(void *p, int bytes)
{
    return refuse() ? NULL : original.xRealloc(p, bytes);
}

static int hook_sqlite(void **state)
{
    (void)state;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &original) != SQLITE_OK)
        return -1;
    sqlite3_mem_methods hooked = original;
    hooked.xMalloc = failing_malloc;
    hooked.xRealloc = failing_realloc;
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* small allocations would pass the hook by */
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &hooked) == SQLITE_OK ? 0 : -1;
}

static void fail_ours(int64_t n)
{
    mem_fail_after(n);
}

static void fail_sqlite(int64_t n)
{
    countdown = n;
}

/* --- the loop ---------------------------------------------------------------------------------------------
 */

/* Run `step` with the nth allocation failing, until it goes through; returns how often it failed. */
static int until_it_works(struct store *s, void (*fail_after)(int64_t n), int (*step)(struct store *s))
{
    for (int n = 0; n < 3000; n++) {
        fail_after(n);
        int rc = step(s);
        fail_after(-1);
        if (rc == 0)
            return n;
        if (rc != ERR_NOMEM)
            fail_msg("allocation %d: %s %s", n, err_name(rc), s->e.text);
    }
    fail_msg("it never works");
    return 0;
}

static int open_again(struct store *s)
{
    db_close(s->db);
    return db_open(s->dir, &s->db, &s->e);
}

static int add_job(struct store *s)
{
    struct job j;
    bool existed;
    int rc = job_add(s->db, &store_job, "key", "body", &j, &existed, &s->e);
    if (rc)
        assert_null(j.spec);
    job_free(&j);
    return rc;
}

static int list_jobs(struct store *s)
{
    struct job *list;
    int count;
    int rc =
        job_list(s->db, &(struct job_filter){ .state = -1, .tag = "a", .limit = 100 }, &list, &count, &s->e);
    job_list_free(list, count);
    return rc;
}

static int claim_job(struct store *s)
{
    int64_t id;
    return job_claim(s->db, 1, &id, &s->e);
}

static const char *model_hash;

static int add_model(struct store *s)
{
    struct asset m;
    bool existed;
    const struct asset_new n = { .name = "m", .hash = model_hash, .info = "{}" };
    int rc = asset_add(s->db, ASSET_MODEL, &n, &m, &existed, &s->e);
    assert_true(!existed || rc);
    asset_free(&m);
    return rc;
}

static int list_models(struct store *s)
{
    struct asset *list;
    int count;
    int rc = asset_list(s->db, ASSET_MODEL, 0, 100, &list, &count, &s->e);
    asset_list_free(list, count);
    return rc;
}

static int add_metrics(struct store *s)
{
    const struct metric m[3] = { { "loss", 1, 1 }, { "loss", 2, 1 }, { "top1", 1, 1 } };
    return metric_add(s->db, 1, m, 3, &s->e);
}

static int list_metrics(struct store *s)
{
    struct metric *list;
    int count;
    int rc = metric_list(s->db, 1, NULL, 2, &list, &count, &s->e);
    free(list);
    return rc;
}

static int list_events(struct store *s)
{
    struct event *list;
    int count;
    int rc = event_list(s->db, 0, 0, 100, &list, &count, &s->e);
    event_list_free(list, count);
    return rc;
}

static void every_step(struct store *s, void (*fail_after)(int64_t n))
{
    int64_t queued, last;
    until_it_works(s, fail_after, open_again);
    assert_true(until_it_works(s, fail_after, add_job) > 5);
    assert_ok(s, job_count(s->db, JOB_QUEUED, &queued, &s->e));
    assert_ok(s, event_last(s->db, &last, &s->e));
    assert_int_equal(queued, 1); /* the many failures left neither job nor event nor key */
    assert_int_equal(last, 1);
    until_it_works(s, fail_after, list_jobs);
    until_it_works(s, fail_after, claim_job);
    assert_int_equal(store_state(s, 1), JOB_STARTING);
    until_it_works(s, fail_after, add_metrics);
    until_it_works(s, fail_after, list_metrics);
    until_it_works(s, fail_after, list_events);
}

static void ours(void **state)
{
    every_step(*state, fail_ours);
}

static void sqlites(void **state)
{
    every_step(*state, fail_sqlite);
}

static void models(void **state)
{
    struct store *s = *state;
    struct asset m;
    model_hash = store_blob(s, "model");
    assert_true(until_it_works(s, fail_ours, add_model) >= 1);
    assert_true(until_it_works(s, fail_ours, list_models) >= 1);
    assert_ok(s, asset_get(s->db, ASSET_MODEL, "m", &m, &s->e));
    assert_ok(s, asset_delete(s->db, ASSET_MODEL, m.id, &s->e));
    asset_free(&m);
    assert_true(until_it_works(s, fail_sqlite, add_model) >= 1);
    assert_true(until_it_works(s, fail_sqlite, list_models) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(ours),
        IN_STORE(sqlites),
        IN_STORE(models),
    };
    return cmocka_run_group_tests(tests, hook_sqlite, NULL);
}
