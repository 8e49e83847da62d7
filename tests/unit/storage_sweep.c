/* Sweeps: jobs made together or not at all, one key for all of them, and gone with the last of them. */
#include "tests/unit/store.h"

#include "storage/sweep.h"

static const struct sweep_new new_sweep = { .name = "two", .owner = "", .axes = "{\"train.seed\":[1,2]}" };

static void add(struct store *s, const char *key, struct sweep *out)
{
    const struct job_new jobs[2] = { store_job, store_job };
    bool existed;
    assert_ok(s, sweep_add(s->db, &new_sweep, jobs, 2, key, "hash", out, &existed, &s->e));
    assert_false(existed);
}

static void add_and_get(void **state)
{
    struct store *s = *state;
    struct sweep w, again;
    struct job j;
    int64_t *ids;
    int count;
    store_add(s, 0, 1);
    add(s, NULL, &w);
    assert_string_equal(w.name, "two");
    assert_string_equal(w.axes, new_sweep.axes);
    assert_int_equal(w.jobs, 2);
    assert_int_equal(w.open, 2);
    assert_true(w.created_ms > 0);
    assert_ok(s, sweep_jobs(s->db, w.id, &ids, &count, &s->e));
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], 2);
    assert_ok(s, job_get(s->db, ids[1], &j, &s->e));
    assert_int_equal(j.sweep, w.id);
    assert_int_equal(j.sweep_place, 1);
    job_free(&j);
    assert_ok(s, job_move(s->db, ids[0], JOB_EVENT_CANCEL, "", &s->e));
    assert_ok(s, sweep_get(s->db, w.id, &again, &s->e));
    assert_int_equal(again.open, 1);
    assert_int_not_equal(again.version, w.version);
    free(ids);
    sweep_free(&w);
    sweep_free(&again);
    assert_int_equal(sweep_get(s->db, 9, &w, &s->e), ERR_NOT_FOUND);
}

static void filters_jobs(void **state)
{
    struct store *s = *state;
    struct sweep w;
    struct job *list;
    int count;
    store_add(s, 0, 1);
    add(s, NULL, &w);
    const struct job_filter f = { .state = -1, .sweep = w.id, .limit = 10 };
    assert_ok(s, job_list(s->db, &f, &list, &count, &s->e));
    assert_int_equal(count, 2);
    job_list_free(list, count);
    sweep_free(&w);
}

static void one_key(void **state)
{
    struct store *s = *state;
    const struct job_new jobs[2] = { store_job, store_job };
    struct sweep w, again;
    struct job j;
    bool existed = false;
    add(s, "key", &w);
    assert_ok(s, sweep_add(s->db, &new_sweep, jobs, 2, "key", "hash", &again, &existed, &s->e));
    assert_true(existed);
    assert_int_equal(again.id, w.id);
    assert_int_equal(again.jobs, 2);
    sweep_free(&again);
    assert_int_equal(sweep_add(s->db, &new_sweep, jobs, 2, "key", "other", &again, &existed, &s->e),
                     ERR_IDEMPOTENCY);
    assert_ok(s, job_add(s->db, &store_job, "single", "hash", &j, &existed, &s->e));
    job_free(&j);
    assert_int_equal(sweep_add(s->db, &new_sweep, jobs, 2, "single", "hash", &again, &existed, &s->e),
                     ERR_IDEMPOTENCY);
    sweep_free(&w);
}

static void all_or_none(void **state)
{
    struct store *s = *state;
    struct job_new jobs[2] = { store_job, store_job };
    struct sweep w;
    bool existed;
    int64_t queued;
    jobs[1].priority = 5000; /* the table refuses it */
    assert_true(sweep_add(s->db, &new_sweep, jobs, 2, NULL, NULL, &w, &existed, &s->e) < 0);
    assert_ok(s, job_count(s->db, JOB_QUEUED, &queued, &s->e));
    assert_int_equal(queued, 0);
    assert_int_equal(sweep_get(s->db, 1, &w, &s->e), ERR_NOT_FOUND);
}

static void goes_with_its_last_job(void **state)
{
    struct store *s = *state;
    struct sweep w, *list;
    int count;
    add(s, NULL, &w);
    for (int64_t id = 1; id <= 2; id++) {
        struct sweep left;
        assert_ok(s, sweep_get(s->db, w.id, &left, &s->e));
        assert_int_equal(left.jobs, 3 - id);
        sweep_free(&left);
        assert_ok(s, job_move(s->db, id, JOB_EVENT_CANCEL, "", &s->e));
        assert_ok(s, job_delete(s->db, id, &s->e));
    }
    assert_ok(s, sweep_list(s->db, 0, 10, &list, &count, &s->e));
    assert_int_equal(count, 0);
    sweep_list_free(list, count);
    sweep_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(add_and_get), IN_STORE(filters_jobs),           IN_STORE(one_key),
        IN_STORE(all_or_none), IN_STORE(goes_with_its_last_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
