/* artifact.c - the files of a finished job, each a name and a blob. */
#include "base/file.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <stdlib.h>
#include <string.h>

#define SELECT                                                                                               \
    "SELECT artifact.name, artifact.hash, blob.size FROM artifact JOIN blob ON blob.hash = artifact.hash "

static void read_row(struct sql *q, struct artifact *a)
{
    sql_copy(q, 0, a->name, sizeof a->name);
    sql_copy(q, 1, a->hash, sizeof a->hash);
    a->size = sql_int64(q, 2);
}

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
    *a = (struct artifact){ 0 };
    sql_open(&q, db, SELECT "WHERE job = ?1 AND name = ?2", SQL_INT(job), SQL_TEXT(name));
    bool found = sql_next(&q);
    if (found)
        read_row(&q, a);
    int rc = sql_close(&q, e);
    if (rc || found)
        return rc;
    return err_set(e, ERR_NOT_FOUND, "job %lld has no artifact of this name", (long long)job);
}

int artifact_list(struct db *db, int64_t job, struct artifact **list, int *count, struct err *e)
{
    struct sql q;
    *list = NULL;
    *count = 0;
    sql_open(&q, db, SELECT "WHERE job = ?1 ORDER BY name", SQL_INT(job));
    while (sql_next(&q)) {
        struct artifact *a = sql_push(&q, list, count, sizeof **list);
        if (a)
            read_row(&q, a);
    }
    int rc = sql_close(&q, e);
    if (rc) {
        free(*list);
        *list = NULL;
        *count = 0;
    }
    return rc;
}
