/* A worker's lines become rows, once; and what happens to lines that are no events. */
#include "tests/unit/store.h"

#include "server/apply.h"
#include "server/outcome.h"
#include "storage/event.h"
#include "storage/metric.h"

#include <fcntl.h>
#include <unistd.h>

static int64_t running_job(struct store *s)
{
    int64_t id = store_add(s, 0, 1), claimed;
    assert_ok(s, job_claim(s->db, 1, &claimed, &s->e));
    return id;
}

static int count_events(struct store *s, int64_t job, const char *type)
{
    struct event *list;
    int count, n = 0;
    assert_ok(s, event_list(s->db, job, 0, 1000, &list, &count, &s->e));
    for (int i = 0; i < count; i++) {
        n += strcmp(list[i].type, type) == 0;
        event_free(&list[i]);
    }
    free(list);
    return n;
}

static void apply(struct store *s, struct apply *a, const char *text, bool flush)
{
    assert_ok(s, apply_lines(s->db, a, text, strlen(text), flush, &s->e));
}

static const char hello[] = "{\"seq\":1,\"t\":\"hello\",\"time\":5,\"attempt\":1}\n";
static const char metric[] =
    "{\"seq\":2,\"t\":\"metric\",\"time\":6,\"attempt\":1,\"series\":\"loss\",\"step\":1,\"value\":0.5}\n";

static void once(void **state)
{
    struct store *s = *state;
    struct apply a = { .job = running_job(s), .attempt = 1 };
    struct metric *list;
    int count;
    apply(s, &a, hello, false);
    assert_int_equal(store_state(s, a.job), JOB_RUNNING);
    for (int i = 0; i < 3; i++) /* the same number again changes nothing, wherever it stands */
        apply(s, &a, metric, false);
    assert_int_equal(count_events(s, a.job, "metric"), 1);
    assert_ok(s, metric_list(s->db, a.job, "loss", 0, &list, &count, &s->e));
    assert_int_equal(count, 1);
    assert_true(list[0].value > 0.49 && list[0].value < 0.51);
    free(list);
    struct job j;
    assert_ok(s, job_get(s->db, a.job, &j, &s->e));
    assert_int_equal(j.events_seq, 2);
    assert_int_equal(j.events_offset, sizeof hello - 1 + 3 * (sizeof metric - 1));
    assert_int_equal(j.events_offset, a.offset);
    job_free(&j);
}

static void other_attempts_do_not_start_it(void **state)
{
    struct store *s = *state;
    struct apply a = { .job = running_job(s), .attempt = 2 };
    apply(s, &a, hello, false);
    assert_int_equal(store_state(s, a.job), JOB_STARTING);
}

static void progress_is_thinned(void **state)
{
    struct store *s = *state;
    struct apply a = { .job = running_job(s), .attempt = 1 };
    struct job j;
    char line[200];
    for (int i = 1; i <= 50; i++) {
        snprintf(
            line, sizeof line,
            "{\"seq\":%d,\"t\":\"progress\",\"time\":1,\"attempt\":1,\"step\":%d,\"steps\":50,\"eta_s\":1}\n",
            i, i);
        apply(s, &a, line, false);
    }
    assert_true(count_events(s, a.job, "progress") <= 5);
    apply(s, &a, "", true);
    assert_ok(s, job_get(s->db, a.job, &j, &s->e));
    assert_non_null(strstr(j.progress, "\"step\":50,\"steps\":50"));
    job_free(&j);
    struct attempt attempt;
    assert_ok(s, attempt_get(s->db, a.job, 1, &attempt, &s->e));
    assert_int_equal(attempt.steps, 50);
}

static void rubbish(void **state)
{
    struct store *s = *state;
    struct apply a = { .job = running_job(s), .attempt = 1 };
    apply(s, &a, "rubbish\n{}\n\n[1]\n{\"seq\":9,\"t\":\"strange\",\"time\":1,\"attempt\":1}\n", false);
    assert_int_equal(a.bad, 4);
    assert_int_equal(a.seq, 0);
    apply(s, &a, metric, false);
    assert_int_equal(count_events(s, a.job, "metric"), 1);
}

static void a_failed_batch_leaves_nothing(void **state)
{
    struct store *s = *state;
    struct apply a = { .job = 4711, .attempt = 1 }, before = a; /* no such job */
    struct err e = { 0 };
    assert_true(apply_lines(s->db, &a, metric, strlen(metric), false, &e) < 0);
    assert_memory_equal(&a, &before, sizeof a);
    assert_ok(s, db_begin(s->db, &s->e)); /* no transaction was left open */
    assert_ok(s, db_commit(s->db, &s->e));
}

static void outcome(void **state)
{
    struct store *s = *state;
    struct outcome o;
    const char *path = temp_path(s->dir, "events.jsonl");
    outcome_read(s->dir, 1, &o);
    assert_false(o.done || o.error);
    static const char text[] =
        "{\"seq\":1,\"t\":\"error\",\"time\":1,\"attempt\":1,\"code\":\"CORRUPT\",\"text\":\"bad\",\"place\":"
        "\"node a\"}\n"
        "{\"seq\":2,\"t\":\"hello\",\"time\":1,\"attempt\":2}\n"
        "{\"seq\":3,\"t\":\"done\",\"time\":1,\"attempt\":2}\n"
        "{\"seq\":4,\"t\":\"error\",\"time\":1,\"attempt\":2,\"code\":\"IO\",\"text\":\"torn";
    assert_ok(s, file_publish(path, text, sizeof text - 1, 0600, &s->e));
    outcome_read(s->dir, 1, &o);
    assert_true(o.error && !o.done);
    assert_string_equal(o.reason, "bad (node a)");
    outcome_read(s->dir, 2, &o);
    assert_true(o.done && !o.error);
    outcome_read(s->dir, 3, &o);
    assert_false(o.done || o.error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(once),    IN_STORE(other_attempts_do_not_start_it), IN_STORE(progress_is_thinned),
        IN_STORE(rubbish), IN_STORE(a_failed_batch_leaves_nothing),  IN_STORE(outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
