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

void event_list_free(struct event *list, int count)
{
    for (int i = 0; i < count; i++)
        event_free(&list[i]);
    free(list);
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

static void read_row(struct sql *q, void *row)
{
    struct event *ev = row;
    ev->seq = sql_int64(q, 0);
    ev->job = sql_int64(q, 1);
    sql_copy(q, 2, ev->type, sizeof ev->type);
    ev->data = sql_dup(q, 3);
}

static void free_row(void *row)
{
    event_free(row);
}

static const struct sql_shape shape = { sizeof(struct event), read_row, free_row };

int event_list(struct db *db, int64_t job, int64_t after, int limit, struct event **list, int *count,
               struct err *e)
{
    struct sql q;
    const char *text =
        job ? "SELECT seq, job, type, data FROM event WHERE job = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2"
            : "SELECT seq, job, type, data FROM event WHERE seq > ?1 AND ?3 = 0 ORDER BY seq LIMIT ?2";
    sql_open(&q, db, text, SQL_INT(after), SQL_INT(limit), SQL_INT(job));
    return sql_all(&q, &shape, list, count, e);
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
