/* event.c - the append-only log behind the event streams. AUTOINCREMENT keeps a number from being used twice
 * even when the newest rows have been trimmed away. */
#include "storage/event.h"

#include "storage/sql.h"

#include <stdlib.h>

void event_free(struct event *ev)
{
    if (!ev)
        return;
    free(ev->data);
    ev->data = NULL;
}

int event_add(struct db *db, int64_t job, const char *type, const char *data, int64_t *seq, struct err *e)
{
    int64_t number = 0;
    int rc =
        sql_value(db, &number, e, "INSERT INTO event (job, type, data) VALUES (?1, ?2, ?3) RETURNING seq",
                  SQL_INT(job), SQL_TEXT(type), SQL_TEXT(data));
    if (!rc && seq)
        *seq = number;
    return rc;
}

static void read_row(struct sql *q, struct event *ev)
{
    ev->seq = sql_int64(q, 0);
    ev->job = sql_int64(q, 1);
    sql_copy(q, 2, ev->type, sizeof ev->type);
    ev->data = sql_dup(q, 3);
}

int event_list(struct db *db, int64_t job, int64_t after, int limit, struct event **list, int *count,
               struct err *e)
{
    struct sql q;
    *list = NULL;
    *count = 0;
    const char *text =
        job ? "SELECT seq, job, type, data FROM event WHERE job = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2"
            : "SELECT seq, job, type, data FROM event WHERE seq > ?1 AND ?3 = 0 ORDER BY seq LIMIT ?2";
    sql_open(&q, db, text, SQL_INT(after), SQL_INT(limit), SQL_INT(job));
    while (sql_next(&q)) {
        struct event *ev = sql_push(&q, list, count, sizeof **list);
        if (ev)
            read_row(&q, ev);
    }
    int rc = sql_close(&q, e);
    if (!rc)
        return 0;
    while (*count)
        event_free(&(*list)[--*count]);
    free(*list);
    *list = NULL;
    return rc;
}

int event_last(struct db *db, int64_t *seq, struct err *e)
{
    return sql_value(db, seq, e,
                     "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)");
}

int event_trim(struct db *db, int64_t job, int keep, struct err *e)
{
    return sql_run(db, e,
                   "DELETE FROM event WHERE job = ?1 AND type IN ('progress', 'metric') AND seq <="
                   " (SELECT seq FROM event WHERE job = ?1 AND type IN ('progress', 'metric')"
                   "  ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                   SQL_INT(job), SQL_INT(keep));
}
