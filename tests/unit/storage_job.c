/* Rows of the job table: creation, idempotency, lists, changes by people and by the scheduler. */
#include "tests/unit/store.h"

#include "storage/event.h"

#include <limits.h>

static void add_and_get(void **state)
{
    struct store *s = *state;
    struct job_new n = store_job;
    struct job j;
    bool existed = true;
    n.model_hash = store_blob(s, "model");
    n.priority = -7;
    n.cpus = 2;
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    assert_false(existed);
    assert_int_equal(j.state, JOB_QUEUED);
    assert_string_equal(j.kind, "quantize");
    assert_string_equal(j.name, "test");
    assert_string_equal(j.owner, "");
    assert_string_equal(j.tags, "[\"a\",\"b\"]");
    assert_string_equal(j.spec, n.spec);
    assert_string_equal(j.model_hash, n.model_hash);
    assert_null(j.dataset_hash);
    assert_null(j.result);
    assert_null(j.progress);
    assert_string_equal(j.reason, "");
    assert_int_equal(j.priority, -7);
    assert_int_equal(j.cpus, 2);
    assert_int_equal(j.memory_mb, 100);
    assert_int_equal(j.wall_s, 60);
    assert_int_equal(j.max_attempts, 3);
    assert_int_equal(j.version, 1);
    assert_true(j.created_ms > 0 && j.updated_ms == j.created_ms && !j.started_ms && !j.finished_ms);
    job_free(&j);
    assert_int_equal(job_get(s->db, 99, &j, &s->e), ERR_NOT_FOUND);
    job_free(&j);
    job_free(NULL);
}

static void defaults(void **state)
{
    struct store *s = *state;
    struct job_new n = {
        .kind = "train", .spec = "{}", .cpus = 1, .max_attempts = 1, .memory_mb = 64, .wall_s = 1
    };
    struct job j;
    bool existed;
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    assert_string_equal(j.name, "");
    assert_string_equal(j.tags, "[]");
    job_free(&j);
}

static void refuses(void **state)
{
    struct store *s = *state;
    struct job j;
    bool existed;
    int64_t count;
    struct job_new cases[5] = { store_job, store_job, store_job, store_job, store_job };
    cases[0].tags = "no json";
    cases[1].tags = "{}";
    cases[2].cpus = 0;
    cases[3].model_hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    cases[4].spec = NULL;
    for (int i = 0; i < 5; i++) {
        int rc = job_add(s->db, &cases[i], "key", "hash", &j, &existed, &s->e);
        assert_int_equal(rc, i == 3 ? ERR_CONFLICT : ERR_INVALID);
        assert_null(j.kind);
    }
    assert_ok(s, job_count(s->db, JOB_QUEUED, &count, &s->e));
    assert_int_equal(count, 0);
}

static void idempotency(void **state)
{
    struct store *s = *state;
    struct job_new other = store_job;
    struct job a, b, c;
    bool existed;
    int64_t count;
    assert_ok(s, job_add(s->db, &store_job, "key-1", "body-1", &a, &existed, &s->e));
    assert_false(existed);
    store_reopen(s);
    assert_ok(s, job_add(s->db, &store_job, "key-1", "body-1", &b, &existed, &s->e));
    assert_true(existed);
    assert_int_equal(a.id, b.id);
    assert_int_equal(job_add(s->db, &store_job, "key-1", "body-2", &c, &existed, &s->e), ERR_IDEMPOTENCY);
    assert_false(existed);
    other.owner = "somebody"; /* keys are each owner's own */
    assert_ok(s, job_add(s->db, &other, "key-1", "body-2", &c, &existed, &s->e));
    assert_false(existed);
    assert_ok(s, job_count(s->db, JOB_QUEUED, &count, &s->e));
    assert_int_equal(count, 2);
    job_free(&a);
    job_free(&b);
    job_free(&c);
}

static int listed(struct store *s, struct job_filter f, int64_t *first)
{
    struct job *list;
    int count;
    assert_ok(s, job_list(s->db, &f, &list, &count, &s->e));
    *first = count ? list[0].id : 0;
    for (int i = 1; i < count; i++)
        assert_true(list[i].id < list[i - 1].id);
    job_list_free(list, count);
    return count;
}

static void lists(void **state)
{
    struct store *s = *state;
    struct job_new n = store_job;
    struct job j;
    bool existed;
    int64_t first;
    for (int i = 1; i <= 40; i++) {
        n.kind = i % 2 ? "quantize" : "train";
        n.owner = i % 4 ? "ann" : "bob";
        n.tags = i % 5 ? "[\"x\"]" : "[\"x\",\"fi've\"]";
        assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
        job_free(&j);
    }
    assert_ok(s, job_move(s->db, 3, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .limit = 200 }, &first), 40);
    assert_int_equal(first, 40);
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .limit = 10, .before = 21 }, &first), 10);
    assert_int_equal(first, 20);
    assert_int_equal(listed(s, (struct job_filter){ .state = JOB_CANCELLED, .limit = 9 }, &first), 1);
    assert_int_equal(first, 3);
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .kind = "train", .limit = 99 }, &first), 20);
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .owner = "bob", .limit = 99 }, &first), 10);
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .tag = "fi've", .limit = 99 }, &first), 8);
    assert_int_equal(listed(s, (struct job_filter){ .state = -1, .tag = "fi", .limit = 99 }, &first), 0);
    assert_int_equal(
        listed(s,
               (struct job_filter){
                   .state = JOB_QUEUED, .kind = "train", .owner = "bob", .tag = "x", .limit = 99 },
               &first),
        10);
}

static void patch(void **state)
{
    struct store *s = *state;
    struct job j;
    int64_t id = store_add(s, 0, 1);
    assert_ok(s, job_patch(s->db, id, 1, "new", NULL, INT_MIN, &s->e));
    assert_ok(s, job_patch(s->db, id, 0, NULL, "[]", 7, &s->e));
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    assert_string_equal(j.name, "new");
    assert_string_equal(j.tags, "[]");
    assert_int_equal(j.priority, 7);
    assert_int_equal(j.version, 3);
    job_free(&j);
    assert_int_equal(job_patch(s->db, id, 2, "late", NULL, INT_MIN, &s->e), ERR_PRECONDITION);
    assert_int_equal(job_patch(s->db, id, 0, NULL, NULL, 5000, &s->e), ERR_INVALID);
    assert_int_equal(job_patch(s->db, 99, 0, "x", NULL, INT_MIN, &s->e), ERR_NOT_FOUND);
}

static void setters(void **state)
{
    struct store *s = *state;
    struct job j;
    int64_t id = store_add(s, 0, 1);
    assert_ok(s, job_set_reason(s->db, id, "waits for 2 cpus", &s->e));
    assert_ok(s, job_set_reason(s->db, id, "waits for 2 cpus", &s->e));
    assert_ok(s, job_set_result(s->db, id, "{\"value\":1}", &s->e));
    assert_ok(s, job_set_progress(s->db, id, "{\"step\":1}", &s->e));
    assert_ok(s, job_set_offset(s->db, id, 1234, 9, &s->e));
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    assert_string_equal(j.reason, "waits for 2 cpus");
    assert_string_equal(j.result, "{\"value\":1}");
    assert_string_equal(j.progress, "{\"step\":1}");
    assert_int_equal(j.events_offset, 1234);
    assert_int_equal(j.events_seq, 9);
    assert_int_equal(j.version, 4); /* what changed nothing counted nothing */
    job_free(&j);
    assert_int_equal(job_set_reason(s->db, 99, "x", &s->e), ERR_NOT_FOUND);
    assert_int_equal(job_set_result(s->db, 99, "x", &s->e), ERR_NOT_FOUND);
    assert_int_equal(job_set_progress(s->db, 99, "x", &s->e), ERR_NOT_FOUND);
    assert_int_equal(job_set_offset(s->db, 99, 1, 1, &s->e), ERR_NOT_FOUND);
}

static void delete (void **state)
{
    struct store *s = *state;
    struct job j, again;
    bool existed;
    struct event *events;
    int count;
    assert_ok(s, job_add(s->db, &store_job, "key", "body", &j, &existed, &s->e));
    assert_int_equal(job_delete(s->db, j.id, &s->e), ERR_STATE);
    assert_non_null(strstr(s->e.text, "queued"));
    assert_ok(s, job_move(s->db, j.id, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_ok(s, job_delete(s->db, j.id, &s->e));
    assert_int_equal(job_delete(s->db, j.id, &s->e), ERR_NOT_FOUND);
    assert_ok(s, event_list(s->db, 0, 0, 10, &events, &count, &s->e));
    assert_int_equal(count, 0);
    free(events);
    assert_ok(s, job_add(s->db, &store_job, "key", "body", &again, &existed, &s->e));
    assert_false(existed);
    assert_int_equal(again.id, j.id + 1); /* ids are never used twice */
    job_free(&j);
    job_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(add_and_get), IN_STORE(defaults), IN_STORE(refuses), IN_STORE(idempotency),
        IN_STORE(lists),       IN_STORE(patch),    IN_STORE(setters), IN_STORE(delete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
