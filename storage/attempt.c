/* attempt.c - one row per try to run a job: what was launched where, how it ended, what it used. At most one
 * of a job is open (ended_ms = 0); a unique index sees to that. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <stdlib.h>

#define COLUMNS                                                                                              \
    "job, number, token, launcher, handle, host, started_ms, ended_ms, exit_code, signal, ending, charged, " \
    "peak_kb, cpu_s, steps"

static void read_row(struct sql *q, void *row)
{
    struct attempt *a = row;
    int c = 0;
    a->job = sql_int64(q, c++);
    a->number = sql_int(q, c++);
    sql_copy(q, c++, a->token, sizeof a->token);
    sql_copy(q, c++, a->launcher, sizeof a->launcher);
    sql_copy(q, c++, a->handle, sizeof a->handle);
    sql_copy(q, c++, a->host, sizeof a->host);
    a->started_ms = sql_int64(q, c++);
    a->ended_ms = sql_int64(q, c++);
    a->exit_code = sql_int(q, c++);
    a->signal = sql_int(q, c++);
    sql_copy(q, c++, a->end, sizeof a->end);
    a->charged = sql_int(q, c++);
    a->peak_kb = sql_int64(q, c++);
    a->cpu_s = sql_real(q, c++);
    a->steps = sql_int64(q, c++);
}

static const struct sql_shape shape = { sizeof(struct attempt), read_row, NULL };

/* ERR_NOT_FOUND gets its words here, everything else passes. */
static int missing(int rc, int64_t job, int number, struct err *e)
{
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "job %lld has no attempt %d", (long long)job, number) : rc;
}

int attempt_open(struct db *db, int64_t job, struct err *e)
{
    unsigned char random[16];
    char token[33];
    if (hash_random(random, sizeof random))
        return err_set(e, ERR_IO, "no random bytes");
    num_to_hex(random, sizeof random, token);
    int rc = sql_change(db, e, "UPDATE job SET attempts = attempts + 1 WHERE id = ?1", SQL_INT(job));
    if (rc)
        return rc;
    return sql_run(db, e,
                   "INSERT INTO attempt (job, number, token, started_ms) SELECT id, attempts, ?2, ?3 FROM "
                   "job WHERE id = ?1",
                   SQL_INT(job), SQL_TEXT(token), SQL_INT(clock_wall_ms()));
}

int attempt_get(struct db *db, int64_t job, int number, struct attempt *a, struct err *e)
{
    struct sql q;
    sql_open(&q, db,
             "SELECT " COLUMNS
             " FROM attempt WHERE job = ?1 AND (?2 = 0 OR number = ?2) ORDER BY number DESC LIMIT 1",
             SQL_INT(job), SQL_INT(number));
    return missing(sql_one(&q, &shape, a, e), job, number, e);
}

int attempt_list(struct db *db, int64_t job, struct attempt **list, int *count, struct err *e)
{
    struct sql q;
    sql_open(&q, db, "SELECT " COLUMNS " FROM attempt WHERE job = ?1 ORDER BY number", SQL_INT(job));
    return sql_all(&q, &shape, list, count, e);
}

int attempt_count_open(struct db *db, int64_t *count, struct err *e)
{
    return sql_value(db, count, e, "SELECT count(*) FROM attempt INDEXED BY attempt_open WHERE ended_ms = 0");
}

int attempt_set_handle(struct db *db, int64_t job, int number, const char *launcher, const char *handle,
                       const char *host, struct err *e)
{
    int rc = sql_change(
        db, e, "UPDATE attempt SET launcher = ?3, handle = ?4, host = ?5 WHERE job = ?1 AND number = ?2",
        SQL_INT(job), SQL_INT(number), SQL_TEXT(launcher), SQL_TEXT(handle), SQL_TEXT(host));
    return missing(rc, job, number, e);
}

int attempt_set_usage(struct db *db, int64_t job, int number, int64_t peak_kb, double cpu_s, int64_t steps,
                      struct err *e)
{
    int rc = sql_change(
        db, e,
        "UPDATE attempt SET peak_kb = max(peak_kb, ?3), cpu_s = max(cpu_s, ?4), steps = max(steps, ?5)"
        " WHERE job = ?1 AND number = ?2",
        SQL_INT(job), SQL_INT(number), SQL_INT(peak_kb), SQL_REAL(cpu_s), SQL_INT(steps));
    return missing(rc, job, number, e);
}

static int end_attempt(struct db *db, int64_t job, int number, const char *end, int exit_code, int signal,
                       bool charged, struct err *e)
{
    struct attempt a;
    int rc =
        sql_change(db, e,
                   "UPDATE attempt SET ended_ms = ?3, ending = ?4, exit_code = ?5, signal = ?6, charged = ?7"
                   " WHERE job = ?1 AND number = ?2 AND ended_ms = 0",
                   SQL_INT(job), SQL_INT(number), SQL_INT(clock_wall_ms()), SQL_TEXT(end), SQL_INT(exit_code),
                   SQL_INT(signal), SQL_INT(charged));
    if (rc == ERR_NOT_FOUND) {
        rc = attempt_get(db, job, number, &a, e);
        return rc ? rc
                  : err_set(e, ERR_STATE, "attempt %d of job %lld has ended already", number, (long long)job);
    }
    if (rc || !charged)
        return rc;
    return sql_run(db, e, "UPDATE job SET charged = charged + 1, version = version + 1 WHERE id = ?1",
                   SQL_INT(job));
}

int attempt_end(struct db *db, int64_t job, int number, const char *end, int exit_code, int signal,
                bool charged, struct err *e)
{
    int rc = sql_begin(db, e);
    return rc ? rc : sql_end(db, end_attempt(db, job, number, end, exit_code, signal, charged, e), e);
}
