/* job.c - rows of the job table: create, read, list, and the fields that change without a change of state. */
#include "storage/job.h"

#include "base/clock.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_free(struct job *j)
{
    if (!j)
        return;
    char *owned[] = { j->kind,       j->name,         j->owner,  j->tags,   j->spec,
                      j->model_hash, j->dataset_hash, j->reason, j->result, j->progress };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    *j = (struct job){ 0 };
}

void job_list_free(struct job *list, int count)
{
    for (int i = 0; i < count; i++)
        job_free(&list[i]);
    free(list);
}

void job_dir(const struct db *db, int64_t id, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/jobs/%lld", db_dir(db), (long long)id);
    if (n < 0 || (size_t)n >= size)
        *out = '\0'; /* a path that no directory has */
}

static void read_row(struct sql *q, void *row)
{
    struct job *j = row;
    int c = 0;
    j->id = sql_int64(q, c++);
    j->kind = sql_dup(q, c++);
    j->name = sql_dup(q, c++);
    j->owner = sql_dup(q, c++);
    j->tags = sql_dup(q, c++);
    j->spec = sql_dup(q, c++);
    j->model_hash = sql_dup(q, c++);
    j->dataset_hash = sql_dup(q, c++);
    j->state = (enum job_state)job_state_parse(sql_text(q, c++));
    j->reason = sql_dup(q, c++);
    j->result = sql_dup(q, c++);
    j->progress = sql_dup(q, c++);
    j->priority = sql_int(q, c++);
    j->cpus = sql_int(q, c++);
    j->memory_mb = sql_int64(q, c++);
    j->wall_s = sql_int64(q, c++);
    j->not_before_ms = sql_int64(q, c++);
    j->created_ms = sql_int64(q, c++);
    j->started_ms = sql_int64(q, c++);
    j->finished_ms = sql_int64(q, c++);
    j->updated_ms = sql_int64(q, c++);
    j->version = sql_int64(q, c++);
    j->events_offset = sql_int64(q, c++);
    j->events_seq = sql_int64(q, c++);
    j->attempts = sql_int(q, c++);
    j->charged = sql_int(q, c++);
    j->max_attempts = sql_int(q, c++);
    j->sweep = sql_int64(q, c++);
    j->sweep_place = sql_int(q, c++);
}

static void free_row(void *row)
{
    job_free(row);
}

const struct sql_shape job_shape = { sizeof(struct job), read_row, free_row };

int job_missing(int rc, int64_t id, struct err *e)
{
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no job %lld", (long long)id) : rc;
}

int job_get(struct db *db, int64_t id, struct job *j, struct err *e)
{
    struct sql q;
    sql_open(&q, db, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?1", SQL_INT(id));
    return job_missing(sql_one(&q, &job_shape, j, e), id, e);
}

int job_exists(struct db *db, int64_t id, bool *exists, struct err *e)
{
    int64_t one = 0;
    int rc = sql_value(db, &one, e, "SELECT count(*) FROM job WHERE id = ?1", SQL_INT(id));
    *exists = one != 0;
    return rc;
}

/* --- create -----------------------------------------------------------------------------------------------
 */

/* The id of the job stored under the key, or ERR_NOT_FOUND. */
static int find_key(struct db *db, const char *owner, const char *key, const char *body_hash, int64_t *id,
                    struct err *e)
{
    struct sql q;
    bool same = false;
    sql_open(&q, db, "SELECT job, body_hash = ?3 FROM idempotency WHERE owner = ?1 AND key = ?2",
             SQL_TEXT(owner), SQL_TEXT(key), SQL_TEXT(body_hash));
    bool found = sql_next(&q);
    if (found) {
        *id = sql_int64(&q, 0);
        same = sql_int(&q, 1);
    }
    int rc = sql_close(&q, e);
    if (rc)
        return rc;
    if (!found)
        return ERR_NOT_FOUND;
    return same ? 0
                : err_set(e, ERR_IDEMPOTENCY, "the idempotency key was used for job %lld with another body",
                          (long long)*id);
}

int job_find_key(struct db *db, const char *owner, const char *key, const char *body_hash, struct job *j,
                 struct err *e)
{
    int64_t id = 0;
    *j = (struct job){ 0 };
    int rc = find_key(db, owner, key, body_hash, &id, e);
    return rc ? rc : job_get(db, id, j, e);
}

static int insert(struct db *db, const struct job_new *n, int64_t *id, struct err *e)
{
    int64_t now = clock_wall_ms();
    enum job_state state = n->not_before_ms > now ? JOB_SCHEDULED : JOB_QUEUED;
    return sql_value(
        db, id, e,
        "INSERT INTO job (kind, name, owner, tags, spec, model_hash, dataset_hash, state, priority, cpus,"
        " memory_mb, wall_s, not_before_ms, max_attempts, created_ms, updated_ms, sweep, sweep_place)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, ?16, ?17) RETURNING "
        "id",
        SQL_TEXT(n->kind), SQL_TEXT(n->name), SQL_TEXT(n->owner), SQL_TEXT(n->tags), SQL_TEXT(n->spec),
        SQL_TEXT(n->model_hash), SQL_TEXT(n->dataset_hash), SQL_TEXT(job_state_text(state)),
        SQL_INT(n->priority), SQL_INT(n->cpus), SQL_INT(n->memory_mb), SQL_INT(n->wall_s),
        SQL_INT(n->not_before_ms), SQL_INT(n->max_attempts), SQL_INT(now),
        n->sweep ? SQL_INT(n->sweep) : SQL_NULL, SQL_INT(n->sweep_place));
}

static int create(struct db *db, const struct job_new *n, const char *key, const char *body_hash, int64_t *id,
                  struct err *e)
{
    int rc = insert(db, n, id, e);
    if (!rc && key)
        rc = sql_run(db, e, "INSERT INTO idempotency (owner, key, body_hash, job) VALUES (?1, ?2, ?3, ?4)",
                     SQL_TEXT(n->owner), SQL_TEXT(key), SQL_TEXT(body_hash), SQL_INT(*id));
    return rc ? rc : job_announce(db, *id, e);
}

int job_add(struct db *db, const struct job_new *n, const char *key, const char *body_hash, struct job *j,
            bool *existed, struct err *e)
{
    struct job_new m = *n;
    m.name = n->name ? n->name : "";
    m.owner = n->owner ? n->owner : "";
    m.tags = n->tags ? n->tags : "[]";
    *j = (struct job){ 0 };
    *existed = false;
    int rc = sql_begin(db, e);
    if (rc)
        return rc;
    int64_t id = 0;
    rc = key ? find_key(db, m.owner, key, body_hash, &id, e) : ERR_NOT_FOUND;
    *existed = !rc;
    if (rc == ERR_NOT_FOUND)
        rc = create(db, &m, key, body_hash, &id, e);
    /* Read it inside the transaction: a job that the caller can't be told of is not stored. */
    if (!rc)
        rc = job_get(db, id, j, e);
    rc = sql_end(db, rc, e);
    if (rc)
        job_free(j);
    return rc;
}

/* --- questions --------------------------------------------------------------------------------------------
 */

/* Only the conditions that are asked for, so that the indexes serve: at most 32 different texts. */
int job_list(struct db *db, const struct job_filter *f, struct job **list, int *count, struct err *e)
{
    char text[1000];
    snprintf(text, sizeof text,
             "SELECT " JOB_COLUMNS " FROM job WHERE id < ?6%s%s%s%s%s ORDER BY id DESC LIMIT ?7",
             f->state >= 0 ? " AND state = ?1" : "", f->kind ? " AND kind = ?2" : "",
             f->owner ? " AND owner = ?3" : "", f->sweep ? " AND sweep = ?5" : "",
             f->tag
                 ? " AND EXISTS (SELECT 1 FROM json_each(iif(json_valid(tags), tags, '[]')) WHERE value = ?4)"
                 : "");
    struct sql q;
    sql_open(&q, db, text, SQL_TEXT(f->state >= 0 ? job_state_text((enum job_state)f->state) : NULL),
             SQL_TEXT(f->kind), SQL_TEXT(f->owner), SQL_TEXT(f->tag), SQL_INT(f->sweep),
             SQL_INT(f->before > 0 ? f->before : INT64_MAX), SQL_INT(f->limit));
    return sql_all(&q, &job_shape, list, count, e);
}

int job_count(struct db *db, enum job_state s, int64_t *count, struct err *e)
{
    return sql_value(db, count, e, "SELECT count(*) FROM job WHERE state = ?1", SQL_TEXT(job_state_text(s)));
}

int job_position(struct db *db, int64_t id, int64_t *ahead, struct err *e)
{
    int rc = sql_value(db, ahead, e,
                       "SELECT (SELECT count(*) FROM job INDEXED BY job_queue WHERE state = 'queued'"
                       " AND priority >= me.priority AND (priority > me.priority OR id < me.id))"
                       " FROM job AS me WHERE id = ?1",
                       SQL_INT(id));
    return job_missing(rc, id, e);
}

/* --- changes ----------------------------------------------------------------------------------------------
 */

int job_patch(struct db *db, int64_t id, int64_t if_version, const char *name, const char *tags, int priority,
              struct err *e)
{
    int64_t there = 0;
    int rc = sql_change(db, e,
                        "UPDATE job SET name = coalesce(?3, name), tags = coalesce(?4, tags),"
                        " priority = coalesce(?5, priority), version = version + 1, updated_ms = ?6"
                        " WHERE id = ?1 AND (?2 = 0 OR version = ?2)",
                        SQL_INT(id), SQL_INT(if_version), SQL_TEXT(name), SQL_TEXT(tags),
                        priority == INT_MIN ? SQL_NULL : SQL_INT(priority), SQL_INT(clock_wall_ms()));
    if (rc != ERR_NOT_FOUND)
        return rc;
    rc = sql_value(db, &there, e, "SELECT version FROM job WHERE id = ?1", SQL_INT(id));
    if (rc)
        return job_missing(rc, id, e);
    return err_set(e, ERR_PRECONDITION, "job %lld has version %lld, not %lld", (long long)id,
                   (long long)there, (long long)if_version);
}

int job_delete(struct db *db, int64_t id, struct err *e)
{
    struct sql q;
    int rc =
        sql_change(db, e, "DELETE FROM job WHERE id = ?1 AND state IN ('succeeded', 'failed', 'cancelled')",
                   SQL_INT(id));
    if (rc != ERR_NOT_FOUND)
        return rc;
    sql_open(&q, db, "SELECT state FROM job WHERE id = ?1", SQL_INT(id));
    rc = sql_next(&q)
             ? err_set(e, ERR_STATE, "job %lld is %s: cancel it first", (long long)id, sql_text(&q, 0))
             : job_missing(ERR_NOT_FOUND, id, e);
    int closed = sql_close(&q, e);
    return closed ? closed : rc;
}

/* The scheduler says again and again why a job waits: what is there already is no change (nor a new ETag). */
int job_set_reason(struct db *db, int64_t id, const char *reason, struct err *e)
{
    int64_t same = 0;
    int rc =
        sql_value(db, &same, e, "SELECT reason = ?2 FROM job WHERE id = ?1", SQL_INT(id), SQL_TEXT(reason));
    if (rc)
        return job_missing(rc, id, e);
    if (same)
        return 0;
    return sql_run(db, e, "UPDATE job SET reason = ?2, version = version + 1, updated_ms = ?3 WHERE id = ?1",
                   SQL_INT(id), SQL_TEXT(reason), SQL_INT(clock_wall_ms()));
}

int job_set_result(struct db *db, int64_t id, const char *result, struct err *e)
{
    int rc =
        sql_change(db, e, "UPDATE job SET result = ?2, version = version + 1, updated_ms = ?3 WHERE id = ?1",
                   SQL_INT(id), SQL_TEXT(result), SQL_INT(clock_wall_ms()));
    return job_missing(rc, id, e);
}

int job_set_progress(struct db *db, int64_t id, const char *progress, struct err *e)
{
    int rc = sql_change(db, e,
                        "UPDATE job SET progress = ?2, version = version + 1, updated_ms = ?3 WHERE id = ?1",
                        SQL_INT(id), SQL_TEXT(progress), SQL_INT(clock_wall_ms()));
    return job_missing(rc, id, e);
}

int job_set_offset(struct db *db, int64_t id, int64_t offset, int64_t seq, struct err *e)
{
    int rc = sql_change(db, e, "UPDATE job SET events_offset = ?2, events_seq = ?3 WHERE id = ?1",
                        SQL_INT(id), SQL_INT(offset), SQL_INT(seq));
    return job_missing(rc, id, e);
}
