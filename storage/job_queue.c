/* job_queue.c - what moves jobs through the state table, and the queue that the scheduler draws from.
 *
 * The partial indexes hold the queue in its order and only the few jobs at work. They are named in the
 * queries, since the planner would otherwise take the index by state and sort all that is queued for each
 * claim. */
#include "base/buf.h"
#include "base/clock.h"
#include "storage/event.h"
#include "storage/internal.h"
#include "storage/sql.h"

static const char *const event_texts[JOB_EVENT_COUNT] = {
#define EVENT_TEXT(name, text) text,
    JOB_EVENTS(EVENT_TEXT)
#undef EVENT_TEXT
};

int job_announce(struct db *db, int64_t id, struct err *e)
{
    struct sql q;
    struct buf data;
    buf_init(&data, 0);
    sql_open(&q, db, "SELECT state, reason FROM job WHERE id = ?1", SQL_INT(id));
    if (sql_next(&q)) {
        buf_printf(&data, "{\"job\":%lld,\"state\":\"%s\",\"reason\":", (long long)id, sql_text(&q, 0));
        buf_json_string(&data, sql_text(&q, 1));
        buf_text(&data, "}");
    }
    int rc = sql_close(&q, e);
    if (!rc && data.failed)
        rc = err_set(e, ERR_NOMEM, "no memory for the event of job %lld", (long long)id);
    if (!rc)
        rc = event_add(db, id, "state", data.data, NULL, e);
    buf_free(&data);
    return rc;
}

static int read_state(struct db *db, int64_t id, enum job_state *state, struct err *e)
{
    struct sql q;
    sql_open(&q, db, "SELECT state FROM job WHERE id = ?1", SQL_INT(id));
    bool found = sql_next(&q);
    if (found)
        *state = (enum job_state)job_state_parse(sql_text(&q, 0));
    int rc = sql_close(&q, e);
    return rc || found ? rc : job_missing(ERR_NOT_FOUND, id, e);
}

/* Inside a transaction. */
static int move(struct db *db, int64_t id, enum job_event event, const char *reason, struct err *e)
{
    enum job_state from = JOB_SCHEDULED;
    int rc = read_state(db, id, &from, e);
    if (rc)
        return rc;
    int to = job_state_next(from, event);
    if (to < 0)
        return err_set(e, ERR_STATE, "job %lld is %s: %s is not possible", (long long)id,
                       job_state_text(from), event_texts[event]);
    bool final = job_state_final((enum job_state)to);
    rc = sql_change(
        db, e,
        "UPDATE job SET state = ?3, reason = coalesce(?4, reason), version = version + 1, updated_ms = ?5,"
        " started_ms = CASE WHEN ?3 = 'running' AND started_ms = 0 THEN ?5 ELSE started_ms END,"
        " finished_ms = CASE WHEN ?6 THEN ?5 ELSE 0 END, charged = CASE WHEN ?7 THEN 0 ELSE charged END"
        " WHERE id = ?1 AND state = ?2",
        SQL_INT(id), SQL_TEXT(job_state_text(from)), SQL_TEXT(job_state_text((enum job_state)to)),
        SQL_TEXT(reason), SQL_INT(clock_wall_ms()), SQL_INT(final), SQL_INT(event == JOB_EVENT_RETRY));
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_STATE, "job %lld is not %s any more", (long long)id, job_state_text(from));
    return rc ? rc : job_announce(db, id, e);
}

int job_move(struct db *db, int64_t id, enum job_event event, const char *reason, struct err *e)
{
    int rc = sql_begin(db, e);
    return rc ? rc : sql_end(db, move(db, id, event, reason, e), e);
}

static int claim(struct db *db, int free_cpus, int64_t *id, struct err *e)
{
    struct sql q;
    sql_open(&q, db,
             "SELECT id FROM job INDEXED BY job_queue WHERE state = 'queued' AND cpus <= ?1"
             " ORDER BY priority DESC, id LIMIT 1",
             SQL_INT(free_cpus));
    if (sql_next(&q))
        *id = sql_int64(&q, 0);
    int rc = sql_close(&q, e);
    if (rc || !*id)
        return rc;
    rc = move(db, *id, JOB_EVENT_CLAIM, "", e);
    return rc ? rc : attempt_open(db, *id, e);
}

int job_claim(struct db *db, int free_cpus, int64_t *id, struct err *e)
{
    *id = 0;
    int rc = sql_begin(db, e);
    if (rc)
        return rc;
    rc = sql_end(db, claim(db, free_cpus, id, e), e);
    if (rc)
        *id = 0;
    return rc;
}

int job_head(struct db *db, int64_t *id, struct err *e)
{
    *id = 0;
    int rc = sql_value(db, id, e,
                       "SELECT id FROM job INDEXED BY job_queue WHERE state = 'queued'"
                       " ORDER BY priority DESC, id LIMIT 1");
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int find_due(struct db *db, int64_t now_ms, int64_t *id, struct err *e)
{
    return sql_value(db, id, e,
                     "SELECT id FROM job INDEXED BY job_due WHERE state = 'scheduled' AND not_before_ms <= ?1"
                     " ORDER BY not_before_ms LIMIT 1",
                     SQL_INT(now_ms));
}

static int release(struct db *db, int64_t now_ms, int64_t *next_due_ms, struct err *e)
{
    int64_t id = 0;
    int rc;
    while (!(rc = find_due(db, now_ms, &id, e))) {
        rc = move(db, id, JOB_EVENT_DUE, "", e);
        if (rc)
            return rc;
    }
    if (rc != ERR_NOT_FOUND)
        return rc;
    return sql_value(db, next_due_ms, e,
                     "SELECT coalesce(min(not_before_ms), 0) FROM job INDEXED BY job_due"
                     " WHERE state = 'scheduled'");
}

int job_release_due(struct db *db, int64_t now_ms, int64_t *next_due_ms, struct err *e)
{
    *next_due_ms = 0;
    int rc = sql_begin(db, e);
    return rc ? rc : sql_end(db, release(db, now_ms, next_due_ms, e), e);
}

int job_active(struct db *db, struct job **list, int *count, struct err *e)
{
    struct sql q;
    sql_open(&q, db,
             "SELECT " JOB_COLUMNS " FROM job INDEXED BY job_active"
             " WHERE state IN ('starting', 'running', 'cancelling') ORDER BY id");
    return sql_all(&q, &job_shape, list, count, e);
}
