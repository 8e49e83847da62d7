/* metric.c - curves. A series is named once; its points are (step, value) in a table without rowid, so that a
 * curve lies together on disk and is read in order. */
#include "storage/metric.h"

#include "storage/sql.h"

#include <math.h>

static int add_point(struct db *db, int64_t job, const struct metric *m, struct err *e)
{
    if (!isfinite(m->value)) /* SQLite would make NULL of a NaN, and JSON has no word for either */
        return err_set(e, ERR_INVALID, "series %s, step %lld: the value is not a number", m->series,
                       (long long)m->step);
    int rc = sql_run(db, e, "INSERT OR IGNORE INTO series (job, name) VALUES (?1, ?2)", SQL_INT(job),
                     SQL_TEXT(m->series));
    if (rc)
        return rc;
    return sql_change(db, e,
                      "INSERT INTO metric (series, step, value)"
                      " SELECT id, ?3, ?4 FROM series WHERE job = ?1 AND name = ?2"
                      " ON CONFLICT (series, step) DO UPDATE SET value = excluded.value",
                      SQL_INT(job), SQL_TEXT(m->series), SQL_INT(m->step), SQL_REAL(m->value));
}

int metric_add(struct db *db, int64_t job, const struct metric *m, int count, struct err *e)
{
    int rc = sql_begin(db, e);
    if (rc)
        return rc;
    for (int i = 0; !rc && i < count; i++)
        rc = add_point(db, job, &m[i], e);
    return sql_end(db, rc, e);
}

static void read_name(struct sql *q, void *row)
{
    sql_copy(q, 0, row, SERIES_NAME);
}

int metric_series(struct db *db, int64_t job, char (**names)[SERIES_NAME], int *count, struct err *e)
{
    static const struct sql_shape shape = { SERIES_NAME, read_name, NULL };
    struct sql q;
    sql_open(&q, db, "SELECT name FROM series WHERE job = ?1 ORDER BY id", SQL_INT(job));
    return sql_all(&q, &shape, names, count, e);
}

static void read_point(struct sql *q, void *row)
{
    struct metric *m = row;
    sql_copy(q, 0, m->series, sizeof m->series);
    m->step = sql_int64(q, 1);
    m->value = sql_real(q, 2);
}

/* Point n of `total` is kept when floor(n * (most-1) / (total-1)) steps up there: `most` points, evenly
 * spread, with the first (n = 0) and the last (where the quotient reaches most-1). SQLite integers divide
 * towards zero. */
int metric_list(struct db *db, int64_t job, const char *series, int max_points, struct metric **list,
                int *count, struct err *e)
{
    static const struct sql_shape shape = { sizeof(struct metric), read_point, NULL };
    struct sql q;
    int most = max_points == 1 ? 2 : max_points;
    sql_open(&q, db,
             "SELECT name, step, value FROM ("
             " SELECT series.id AS id, series.name AS name, step, value,"
             "  row_number() OVER curve - 1 AS n, count(*) OVER (PARTITION BY series.id) AS total"
             " FROM series JOIN metric ON metric.series = series.id"
             " WHERE series.job = ?1 AND (?2 IS NULL OR series.name = ?2)"
             " WINDOW curve AS (PARTITION BY series.id ORDER BY step))"
             " WHERE ?3 <= 0 OR total <= ?3 OR n = 0"
             "  OR n * (?3 - 1) / (total - 1) > (n - 1) * (?3 - 1) / (total - 1)"
             " ORDER BY id, step",
             SQL_INT(job), SQL_TEXT(series), SQL_INT(most));
    return sql_all(&q, &shape, list, count, e);
}
