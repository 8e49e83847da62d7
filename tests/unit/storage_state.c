/* The state table, cell by cell, and that the database does what the table says. */
#include "tests/unit/store.h"

/* Rows: states in the order of the header. Columns: due claim start finish fail lose park cancel stopped
 * retry. Letters are the first of the state that follows, X for cancelling, '.' for refused. */
static const char *const expected[JOB_STATE_COUNT] = {
    [JOB_SCHEDULED] = "Q......C..", [JOB_QUEUED] = ".S.....C..",     [JOB_STARTING] = "..R.FQPX..",
    [JOB_RUNNING] = "...DFQPX..",   [JOB_CANCELLING] = "...DCC..C.", [JOB_SUCCEEDED] = "..........",
    [JOB_FAILED] = ".........Q",    [JOB_CANCELLED] = ".........Q",  [JOB_PARKED] = ".......C.Q",
};

static int state_of(char letter)
{
    static const struct {
        char letter;
        enum job_state state;
    } letters[] = { { 'Q', JOB_QUEUED },     { 'C', JOB_CANCELLED }, { 'S', JOB_STARTING },
                    { 'R', JOB_RUNNING },    { 'F', JOB_FAILED },    { 'P', JOB_PARKED },
                    { 'X', JOB_CANCELLING }, { 'D', JOB_SUCCEEDED } };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (letters[i].letter == letter)
            return (int)letters[i].state;
    return -1;
}

static void table(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        for (int event = 0; event < JOB_EVENT_COUNT; event++)
            assert_int_equal(job_state_next((enum job_state)s, (enum job_event)event),
                             state_of(expected[s][event]));
}

static void texts(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        assert_int_equal(job_state_parse(job_state_text((enum job_state)s)), s);
    assert_int_equal(job_state_parse("lost"), -1);
    assert_int_equal(job_state_parse(""), -1);
    assert_true(job_state_final(JOB_SUCCEEDED) && job_state_final(JOB_FAILED) &&
                job_state_final(JOB_CANCELLED));
    assert_false(job_state_final(JOB_PARKED) || job_state_final(JOB_RUNNING) || job_state_final(JOB_QUEUED));
}

/* A job brought to the state by the shortest way. */
static int64_t bring_to(struct store *s, enum job_state to)
{
    static const enum job_event ways[JOB_STATE_COUNT][4] = {
        [JOB_STARTING] = { JOB_EVENT_CLAIM },
        [JOB_RUNNING] = { JOB_EVENT_CLAIM, JOB_EVENT_START },
        [JOB_CANCELLING] = { JOB_EVENT_CLAIM, JOB_EVENT_CANCEL },
        [JOB_SUCCEEDED] = { JOB_EVENT_CLAIM, JOB_EVENT_START, JOB_EVENT_FINISH },
        [JOB_FAILED] = { JOB_EVENT_CLAIM, JOB_EVENT_FAIL },
        [JOB_CANCELLED] = { JOB_EVENT_CANCEL },
        [JOB_PARKED] = { JOB_EVENT_CLAIM, JOB_EVENT_PARK },
    };
    struct job_new n = store_job;
    struct job j;
    bool existed;
    n.not_before_ms = to == JOB_SCHEDULED ? INT64_MAX : 0;
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    int64_t id = j.id;
    job_free(&j);
    for (int i = 0; i < 4 && ways[to][i]; i++)
        assert_ok(s, job_move(s->db, id, ways[to][i], NULL, &s->e));
    assert_int_equal(store_state(s, id), to);
    return id;
}

static void database_agrees(void **state)
{
    struct store *s = *state;
    for (int from = 0; from < JOB_STATE_COUNT; from++)
        for (int event = 0; event < JOB_EVENT_COUNT; event++) {
            int64_t id = bring_to(s, (enum job_state)from);
            int to = state_of(expected[from][event]);
            int rc = job_move(s->db, id, (enum job_event)event, "why", &s->e);
            assert_int_equal(rc, to < 0 ? ERR_STATE : 0);
            assert_int_equal(store_state(s, id), to < 0 ? from : to);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(texts),
        IN_STORE(database_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
