/* artifact.c - the files of a finished job, each a name and a blob. */
#include "base/file.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <string.h>

#define SELECT                                                                                               \
    "SELECT artifact.name, artifact.hash, blob.size FROM artifact JOIN blob ON blob.hash = artifact.hash "

static void read_row(struct sql *q, void *row)
{
    struct artifact *a = row;
    sql_copy(q, 0, a->name, sizeof a->name);
    sql_copy(q, 1, a->hash, sizeof a->hash);
    a->size = sql_int64(q, 2);
}

static const struct sql_shape shape = { sizeof(struct artifact), read_row, NULL };

/* The same name again replaces: a job that is retried writes its files once more. */
int artifact_add(struct db *db, int64_t job, const char *name, const char *hash, struct err *e)
{
    struct blob b;
    if (!file_name_ok(name) || strlen(name) >= sizeof((struct artifact *)0)->name)
        return err_set(e, ERR_INVALID, "an artifact can't have this name");
    int rc = blob_get(db, hash, &b, e);
    if (rc)
        return rc;
    return sql_run(db, e,
                   "INSERT INTO artifact (job, name, hash) VALUES (?1, ?2, ?3)"
                   " ON CONFLICT (job, name) DO UPDATE SET hash = excluded.hash",
                   SQL_INT(job), SQL_TEXT(name), SQL_TEXT(hash));
}

int artifact_get(struct db *db, int64_t job, const char *name, struct artifact *a, struct err *e)
{
    struct sql q;
    sql_open(&q, db, SELECT "WHERE job = ?1 AND name = ?2", SQL_INT(job), SQL_TEXT(name));
    int rc = sql_one(&q, &shape, a, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc, "job %lld has no artifact of this name", (long long)job);
    return rc;
}

int artifact_list(struct db *db, int64_t job, struct artifact **list, int *count, struct err *e)
{
    struct sql q;
    sql_open(&q, db, SELECT "WHERE job = ?1 ORDER BY name", SQL_INT(job));
    return sql_all(&q, &shape, list, count, e);
}
