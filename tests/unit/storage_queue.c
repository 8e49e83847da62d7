/* The queue: who is claimed next, attempts and what they are charged, times and events of each move. */
#include "tests/unit/store.h"

#include "base/clock.h"
#include "storage/event.h"

static int64_t claim(struct store *s, int cpus)
{
    int64_t id = -1;
    assert_ok(s, job_claim(s->db, cpus, &id, &s->e));
    return id;
}

static void order(void **state)
{
    struct store *s = *state;
    int64_t low = store_add(s, -1, 1), old = store_add(s, 0, 1), big = store_add(s, 9, 4),
            young = store_add(s, 0, 1);
    int64_t ahead, head;
    const int64_t rank[] = { big, old, young, low };
    for (int i = 0; i < 4; i++) {
        assert_ok(s, job_position(s->db, rank[i], &ahead, &s->e));
        assert_int_equal(ahead, i);
    }
    assert_int_equal(job_position(s->db, 99, &ahead, &s->e), ERR_NOT_FOUND);
    assert_ok(s, job_head(s->db, &head, &s->e));
    assert_int_equal(head, big);
    assert_int_equal(claim(s, 2), old); /* big has the higher priority and does not fit */
    assert_int_equal(claim(s, 4), big);
    assert_int_equal(claim(s, 0), 0);
    assert_int_equal(claim(s, 1), young);
    assert_int_equal(claim(s, 1), low);
    assert_int_equal(claim(s, 1), 0);
    assert_ok(s, job_head(s->db, &head, &s->e));
    assert_int_equal(head, 0);
}

static void times_and_reasons(void **state)
{
    struct store *s = *state;
    struct job j;
    int64_t id = store_add(s, 0, 1), started;
    assert_ok(s, job_set_reason(s->db, id, "waits", &s->e));
    claim(s, 1);
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    assert_string_equal(j.reason, ""); /* it does not wait any more */
    assert_int_equal(j.started_ms, 0);
    assert_int_equal(j.attempts, 1);
    job_free(&j);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_START, NULL, &s->e));
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    started = j.started_ms;
    assert_true(started > 0);
    job_free(&j);
    assert_ok(s, attempt_end(s->db, id, 1, "lost", -1, 9, false, &s->e));
    assert_ok(s, job_move(s->db, id, JOB_EVENT_LOSE, "the machine \"x\" was lost", &s->e));
    claim(s, 1);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_START, NULL, &s->e));
    assert_ok(s, attempt_end(s->db, id, 2, "failed", 1, 0, true, &s->e));
    assert_ok(s, job_move(s->db, id, JOB_EVENT_FAIL, "diverged", &s->e));
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    assert_int_equal(j.started_ms, started);
    assert_true(j.finished_ms >= started);
    assert_int_equal(j.attempts, 2);
    assert_int_equal(j.charged, 1); /* a lost attempt costs nothing */
    assert_string_equal(j.reason, "diverged");
    job_free(&j);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_RETRY, "", &s->e));
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    assert_int_equal(j.state, JOB_QUEUED);
    assert_true(j.finished_ms == 0 && j.charged == 0 && j.attempts == 2 && j.started_ms == started);
    assert_string_equal(j.reason, "");
    job_free(&j);
}

static void moves_are_told(void **state)
{
    struct store *s = *state;
    static const char *const told[] = {
        "{\"job\":1,\"state\":\"queued\",\"reason\":\"\"}",
        "{\"job\":1,\"state\":\"starting\",\"reason\":\"\"}",
        "{\"job\":1,\"state\":\"failed\",\"reason\":\"node \\\"a\\\"\\n\"}",
    };
    struct event *list;
    int count;
    int64_t id = store_add(s, 0, 1);
    claim(s, 1);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_FAIL, "node \"a\"\n", &s->e));
    assert_int_equal(job_move(s->db, id, JOB_EVENT_FAIL, NULL, &s->e), ERR_STATE);
    assert_int_equal(job_move(s->db, 99, JOB_EVENT_FAIL, NULL, &s->e), ERR_NOT_FOUND);
    assert_ok(s, event_list(s->db, id, 0, 100, &list, &count, &s->e));
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++) {
        assert_string_equal(list[i].type, "state");
        assert_string_equal(list[i].data, told[i]);
        event_free(&list[i]);
    }
    free(list);
}

static void due(void **state)
{
    struct store *s = *state;
    struct job_new n = store_job;
    struct job j;
    bool existed;
    int64_t now = clock_wall_ms(), next = -1;
    const int64_t delays[] = { 60000, 120000, 30000 };
    for (int i = 0; i < 3; i++) {
        n.not_before_ms = now + delays[i];
        assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
        assert_int_equal(j.state, JOB_SCHEDULED);
        job_free(&j);
    }
    assert_int_equal(claim(s, 9), 0);
    assert_ok(s, job_release_due(s->db, now, &next, &s->e));
    assert_int_equal(next, now + 30000);
    assert_ok(s, job_release_due(s->db, now + 60000, &next, &s->e));
    assert_int_equal(next, now + 120000);
    assert_int_equal(store_state(s, 1), JOB_QUEUED);
    assert_int_equal(store_state(s, 2), JOB_SCHEDULED);
    assert_int_equal(store_state(s, 3), JOB_QUEUED);
    assert_ok(s, job_release_due(s->db, now + 120000, &next, &s->e));
    assert_int_equal(next, 0);
}

static void active(void **state)
{
    struct store *s = *state;
    struct job *list;
    int count;
    for (int i = 0; i < 5; i++)
        store_add(s, 0, 1);
    claim(s, 1);
    claim(s, 1);
    claim(s, 1);
    assert_ok(s, job_move(s->db, 1, JOB_EVENT_START, NULL, &s->e));
    assert_ok(s, job_move(s->db, 2, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_ok(s, job_move(s->db, 4, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_ok(s, job_active(s->db, &list, &count, &s->e));
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++) {
        assert_int_equal(list[i].id, i + 1);
        job_free(&list[i]);
    }
    free(list);
}

static void attempts(void **state)
{
    struct store *s = *state;
    struct attempt a, b, *list;
    int count;
    int64_t id = store_add(s, 0, 1);
    assert_int_equal(attempt_get(s->db, id, 0, &a, &s->e), ERR_NOT_FOUND);
    claim(s, 1);
    assert_ok(s, attempt_get(s->db, id, 0, &a, &s->e));
    assert_int_equal(a.number, 1);
    assert_int_equal(strspn(a.token, "0123456789abcdef"), 32);
    assert_true(a.started_ms > 0 && a.ended_ms == 0 && a.exit_code == -1);
    assert_ok(s, attempt_set_handle(s->db, id, 1, "local", "123:456", "host", &s->e));
    assert_ok(s, attempt_set_usage(s->db, id, 1, 5000, 1.5, 10, &s->e));
    assert_ok(s, attempt_set_usage(s->db, id, 1, 4000, 2.5, 20, &s->e));
    assert_ok(s, attempt_end(s->db, id, 1, "lost", -1, 9, false, &s->e));
    assert_int_equal(attempt_end(s->db, id, 1, "lost", -1, 9, true, &s->e), ERR_STATE);
    assert_int_equal(attempt_end(s->db, id, 7, "lost", -1, 9, true, &s->e), ERR_NOT_FOUND);
    assert_int_equal(attempt_set_handle(s->db, id, 7, "", "", "", &s->e), ERR_NOT_FOUND);
    assert_int_equal(attempt_set_usage(s->db, id, 7, 1, 1, 1, &s->e), ERR_NOT_FOUND);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_LOSE, NULL, &s->e));
    claim(s, 1);
    assert_ok(s, attempt_get(s->db, id, 0, &b, &s->e));
    assert_int_equal(b.number, 2);
    assert_string_not_equal(a.token, b.token);
    assert_ok(s, attempt_list(s->db, id, &list, &count, &s->e));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].handle, "123:456");
    assert_string_equal(list[0].end, "lost");
    assert_int_equal(list[0].signal, 9);
    assert_int_equal(list[0].peak_kb, 5000);
    assert_int_equal(list[0].steps, 20);
    assert_true(list[0].cpu_s == 2.5 && list[0].ended_ms >= list[0].started_ms);
    free(list);
}

/* Two attempts of one job can't be open at once, whatever the caller does. */
static void one_open_attempt(void **state)
{
    struct store *s = *state;
    int64_t id = store_add(s, 0, 1), again = -1;
    claim(s, 1);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_LOSE, NULL, &s->e)); /* and forgets to end the attempt */
    assert_int_equal(job_claim(s->db, 1, &again, &s->e), ERR_CONFLICT);
    assert_int_equal(again, 0);
    assert_int_equal(store_state(s, id), JOB_QUEUED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(order),  IN_STORE(times_and_reasons), IN_STORE(moves_are_told),   IN_STORE(due),
        IN_STORE(active), IN_STORE(attempts),          IN_STORE(one_open_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
