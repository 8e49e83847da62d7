/* What the end of an attempt means: the table, row by row. */
#include "tests/unit/temp.h"

#include "server/verdict.h"

#include <signal.h>

static const struct {
    const char *what;
    struct ending ending; /* exit, signal, cause, done, error, charged, max, losses */
    enum job_event event;
    const char *end;
    bool charged;
} rows[] = {
    { "done", { 0, 0, STOP_NOTHING, true, false, 0, 3, 1 }, JOB_EVENT_FINISH, "done", false },
    { "done, exit not known",
      { -1, 0, STOP_NOTHING, true, false, 0, 3, 1 },
      JOB_EVENT_FINISH,
      "done",
      false },
    { "done before the kill",
      { -1, SIGKILL, STOP_CANCEL, true, false, 0, 3, 1 },
      JOB_EVENT_FINISH,
      "done",
      false },
    { "cancelled", { 75, 0, STOP_CANCEL, false, false, 0, 3, 1 }, JOB_EVENT_STOPPED, "cancelled", false },
    { "wall", { 75, 0, STOP_WALL, false, false, 0, 3, 1 }, JOB_EVENT_FAIL, "timeout", true },
    { "memory", { -1, SIGKILL, STOP_MEMORY, false, false, 0, 3, 1 }, JOB_EVENT_FAIL, "memory", true },
    { "events", { -1, SIGKILL, STOP_EVENTS, false, false, 0, 3, 1 }, JOB_EVENT_FAIL, "failed", true },
    { "error", { 1, 0, STOP_NOTHING, false, true, 0, 3, 1 }, JOB_EVENT_FAIL, "failed", true },
    { "error, exit not known",
      { -1, 0, STOP_NOTHING, false, true, 0, 3, 1 },
      JOB_EVENT_FAIL,
      "failed",
      true },
    { "again", { 75, 0, STOP_NOTHING, false, false, 0, 3, 1 }, JOB_EVENT_LOSE, "stopped", false },
    { "killed", { -1, SIGKILL, STOP_NOTHING, false, false, 2, 3, 1 }, JOB_EVENT_LOSE, "lost", false },
    { "gone", { -1, 0, STOP_NOTHING, false, false, 2, 3, 9 }, JOB_EVENT_LOSE, "lost", false },
    { "gone for the tenth time",
      { -1, 0, STOP_NOTHING, false, false, 0, 3, 10 },
      JOB_EVENT_PARK,
      "lost",
      false },
    { "the eleventh, after a retry",
      { -1, 0, STOP_NOTHING, false, false, 0, 3, 11 },
      JOB_EVENT_LOSE,
      "lost",
      false },
    { "first crash", { -1, SIGSEGV, STOP_NOTHING, false, false, 0, 3, 1 }, JOB_EVENT_LOSE, "failed", true },
    { "last crash", { -1, SIGABRT, STOP_NOTHING, false, false, 2, 3, 1 }, JOB_EVENT_PARK, "failed", true },
    { "silent", { 0, 0, STOP_NOTHING, false, false, 0, 3, 1 }, JOB_EVENT_LOSE, "failed", true },
    { "strange exit", { 3, 0, STOP_NOTHING, false, false, 2, 3, 1 }, JOB_EVENT_PARK, "failed", true },
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct verdict v = verdict_of(&rows[i].ending);
        if (v.event != rows[i].event || strcmp(v.end, rows[i].end) != 0 || v.charged != rows[i].charged)
            fail_msg("%s: event %d, end %s, charged %d", rows[i].what, (int)v.event, v.end, v.charged);
    }
}

/* Whatever happens, the state table must know the way out of both states that a worker can be in. */
static void every_verdict_is_possible(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool cancelling = rows[i].ending.cause == STOP_CANCEL;
        struct verdict v = verdict_of(&rows[i].ending);
        assert_true(job_state_next(cancelling ? JOB_CANCELLING : JOB_RUNNING, v.event) >= 0);
        if (v.event != JOB_EVENT_FINISH && !cancelling) /* before FINISH comes START */
            assert_true(job_state_next(JOB_STARTING, v.event) >= 0);
    }
}

static void crashes(void **state)
{
    (void)state;
    assert_true(verdict_is_crash(SIGSYS));
    assert_true(verdict_is_crash(SIGBUS));
    assert_false(verdict_is_crash(SIGKILL));
    assert_false(verdict_is_crash(SIGTERM));
    assert_false(verdict_is_crash(0));
}

static void losses(void **state)
{
    (void)state;
    struct attempt list[6] = { { .end = "lost", .steps = 5 },    { .end = "lost", .steps = 5 },
                               { .end = "stopped", .steps = 3 }, { .end = "lost", .steps = 9 },
                               { .end = "lost", .steps = 9 },    { .end = "", .steps = 2 } };
    assert_int_equal(verdict_losses(list, 0), 0);
    assert_int_equal(verdict_losses(list, 1), 1);
    assert_int_equal(verdict_losses(list, 3), 3);
    assert_int_equal(verdict_losses(list, 4), 1); /* it got further */
    assert_int_equal(verdict_losses(list, 6), 3);
    snprintf(list[4].end, sizeof list[4].end, "failed");
    assert_int_equal(verdict_losses(list, 6), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(every_verdict_is_possible),
        cmocka_unit_test(crashes),
        cmocka_unit_test(losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
