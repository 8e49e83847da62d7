/* sweep.c - rows of the sweep table. */
#include "storage/sweep.h"

#include "base/clock.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <stdlib.h>

void sweep_free(struct sweep *s)
{
    if (!s)
        return;
    free(s->name);
    free(s->owner);
    free(s->axes);
    *s = (struct sweep){ 0 };
}

void sweep_list_free(struct sweep *list, int count)
{
    for (int i = 0; i < count; i++)
        sweep_free(&list[i]);
    free(list);
}

/* --- read --- */

static void read_row(struct sql *q, void *row)
{
    struct sweep *s = row;
    s->id = sql_int64(q, 0);
    s->name = sql_dup(q, 1);
    s->owner = sql_dup(q, 2);
    s->axes = sql_dup(q, 3);
    s->created_ms = sql_int64(q, 4);
    s->version = sql_int64(q, 5);
    s->jobs = sql_int(q, 6);
    s->open = sql_int(q, 7);
}

static void free_row(void *row)
{
    sweep_free(row);
}

static const struct sql_shape shape = { sizeof(struct sweep), read_row, free_row };

#define COLUMNS                                                                                              \
    "SELECT s.id, s.name, s.owner, s.axes, s.created_ms,"                                                    \
    " (SELECT sum(version) FROM job WHERE sweep = s.id),"                                                    \
    " (SELECT count(*) FROM job WHERE sweep = s.id),"                                                        \
    " (SELECT count(*) FROM job WHERE sweep = s.id AND finished_ms = 0) FROM sweep AS s "

int sweep_get(struct db *db, int64_t id, struct sweep *s, struct err *e)
{
    struct sql q;
    sql_open(&q, db, COLUMNS "WHERE s.id = ?1", SQL_INT(id));
    int rc = sql_one(&q, &shape, s, e);
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no sweep %lld", (long long)id) : rc;
}

int sweep_list(struct db *db, int64_t before, int limit, struct sweep **list, int *count, struct err *e)
{
    struct sql q;
    sql_open(&q, db, COLUMNS "WHERE s.id < ?1 ORDER BY s.id DESC LIMIT ?2",
             SQL_INT(before > 0 ? before : INT64_MAX), SQL_INT(limit));
    return sql_all(&q, &shape, list, count, e);
}

static void read_id(struct sql *q, void *row)
{
    *(int64_t *)row = sql_int64(q, 0);
}

int sweep_jobs(struct db *db, int64_t id, int64_t **ids, int *count, struct err *e)
{
    static const struct sql_shape ids_shape = { sizeof(int64_t), read_id, NULL };
    struct sql q;
    sql_open(&q, db, "SELECT id FROM job WHERE sweep = ?1 ORDER BY id", SQL_INT(id));
    return sql_all(&q, &ids_shape, ids, count, e);
}

/* --- create --- */

/* The key belongs to the first of the jobs. */
static int add_jobs(struct db *db, int64_t sweep, const struct job_new *jobs, int count, const char *key,
                    const char *body_hash, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < count && !rc; i++) {
        struct job_new n = jobs[i];
        struct job j;
        bool existed;
        n.sweep = sweep;
        n.sweep_place = i;
        rc = job_add(db, &n, i == 0 ? key : NULL, body_hash, &j, &existed, e);
        job_free(&j);
    }
    return rc;
}

/* The sweep of the job that an earlier request made under this key. */
static int find_key(struct db *db, const char *owner, const char *key, const char *body_hash, int64_t *sweep,
                    struct err *e)
{
    struct job j;
    int rc = job_find_key(db, owner, key, body_hash, &j, e);
    *sweep = j.sweep;
    if (!rc && !j.sweep)
        rc = err_set(e, ERR_IDEMPOTENCY, "the idempotency key was used for job %lld", (long long)j.id);
    job_free(&j);
    return rc;
}

static int create(struct db *db, const struct sweep_new *n, const struct job_new *jobs, int count,
                  const char *key, const char *body_hash, int64_t *id, struct err *e)
{
    int rc = sql_value(
        db, id, e, "INSERT INTO sweep (name, owner, axes, created_ms) VALUES (?1, ?2, ?3, ?4) RETURNING id",
        SQL_TEXT(n->name), SQL_TEXT(n->owner), SQL_TEXT(n->axes), SQL_INT(clock_wall_ms()));
    return rc ? rc : add_jobs(db, *id, jobs, count, key, body_hash, e);
}

int sweep_add(struct db *db, const struct sweep_new *n, const struct job_new *jobs, int count,
              const char *key, const char *body_hash, struct sweep *s, bool *existed, struct err *e)
{
    int64_t id = 0;
    *s = (struct sweep){ 0 };
    *existed = false;
    int rc = db_begin(db, e); /* job_add's own steps nest in it */
    if (rc)
        return rc;
    rc = key ? find_key(db, n->owner, key, body_hash, &id, e) : ERR_NOT_FOUND;
    *existed = !rc;
    if (rc == ERR_NOT_FOUND)
        rc = create(db, n, jobs, count, key, body_hash, &id, e);
    if (!rc)
        rc = sweep_get(db, id, s, e);
    if (!rc)
        rc = db_commit(db, e);
    if (rc) {
        db_rollback(db);
        sweep_free(s);
    }
    return rc;
}
