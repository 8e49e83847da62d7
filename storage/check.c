/* check.c - the quick look at start, and the offline consistency check: what must hold in the database,
 * between it and the files, and in the files themselves. Each finding is one line. */
#include "base/file.h"
#include "base/num.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
    struct db *db;
    void (*report)(void *arg, const char *line);
    void *arg;
    int findings;
    struct err *e;
};

__attribute__((format(printf, 2, 3))) static void found(struct check *c, const char *format, ...)
{
    char line[DB_PATH + 200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *p = line; (p = strchr(p, '\n'));)
        *p = ' '; /* SQLite heads its findings with a line of their own */
    c->findings++;
    c->report(c->arg, line);
}

/* --- at start ---------------------------------------------------------------------------------------------
 */

#define QUICK_MAX ((int64_t)256 << 20)

int db_quick_check(struct db *db, bool *skipped, struct err *e)
{
    char said[300] = "";
    int64_t bytes = 0;
    struct sql q;
    int rc = sql_value(db, &bytes, e,
                       "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()");
    *skipped = bytes > QUICK_MAX;
    if (rc || *skipped)
        return rc;
    sql_open(&q, db, "PRAGMA quick_check(1)");
    if (sql_next(&q))
        sql_copy(&q, 0, said, sizeof said);
    rc = sql_close(&q, e);
    if (rc || strcmp(said, "ok") == 0)
        return rc;
    return err_set(e, ERR_CORRUPT, "the database is damaged: %s", said);
}

/* --- inside the database ----------------------------------------------------------------------------------
 */

static int check_integrity(struct check *c)
{
    struct sql q;
    sql_open(&q, c->db, "PRAGMA integrity_check");
    while (sql_next(&q))
        if (strcmp(sql_text(&q, 0), "ok") != 0)
            found(c, "database: %s", sql_text(&q, 0));
    return sql_close(&q, c->e);
}

static int check_foreign_keys(struct check *c)
{
    struct sql q;
    sql_open(&q, c->db, "PRAGMA foreign_key_check");
    while (sql_next(&q))
        found(c, "database: a row of %s refers to a %s that is not there", sql_text(&q, 0), sql_text(&q, 2));
    return sql_close(&q, c->e);
}

/* Each query yields the ids of the jobs that break the rule. */
static const struct {
    const char *words, *query;
} invariants[] = {
    { "counts more or fewer attempts than it has",
      "SELECT id FROM job WHERE attempts <> (SELECT count(*) FROM attempt WHERE job = job.id)" },
    { "is charged for more attempts than were charged", "SELECT id FROM job WHERE charged > (SELECT count(*) "
                                                        "FROM attempt WHERE job = job.id AND charged = 1)" },
    /* A lost worker's job rests a while before it is queued again: the daemon may have ended meanwhile. */
    { "is at work without an open attempt",
      "SELECT id FROM job WHERE state IN ('starting', 'running', 'cancelling')"
      " AND NOT EXISTS (SELECT 1 FROM attempt WHERE job = job.id AND ended_ms = 0)"
      " AND coalesce((SELECT ending FROM attempt WHERE job = job.id ORDER BY number DESC LIMIT 1), '')"
      "     NOT IN ('lost', 'stopped')" },
    { "has an open attempt and is not at work",
      "SELECT id FROM job WHERE state NOT IN ('starting', 'running', 'cancelling')"
      " AND EXISTS (SELECT 1 FROM attempt WHERE job = job.id AND ended_ms = 0)" },
    { "succeeded without a result", "SELECT id FROM job WHERE state = 'succeeded' AND result IS NULL" },
};

static int check_invariants(struct check *c)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof invariants / sizeof invariants[0]; i++) {
        struct sql q;
        sql_open(&q, c->db, invariants[i].query);
        while (sql_next(&q))
            found(c, "job %lld %s", (long long)sql_int64(&q, 0), invariants[i].words);
        rc = sql_close(&q, c->e);
    }
    return rc;
}

/* --- blobs ------------------------------------------------------------------------------------------------
 */

static void check_blob(struct check *c, const char *hash, int64_t size)
{
    char path[DB_PATH], text[HASH_TEXT];
    int64_t actual = 0;
    struct err why = { 0 };
    blob_path(c->db, hash, path, sizeof path);
    if (hash_file(path, text, &actual, &why))
        found(c, "blob %s: %s", hash, why.text);
    else if (actual != size)
        found(c, "blob %s: the file has %lld bytes, not %lld", hash, (long long)actual, (long long)size);
    else if (strcmp(text, hash) != 0)
        found(c, "blob %s: the content has changed, it is now %s", hash, text);
}

static int check_blobs(struct check *c)
{
    struct sql q;
    sql_open(&q, c->db, "SELECT hash, size FROM blob ORDER BY hash");
    while (sql_next(&q))
        check_blob(c, sql_text(&q, 0), sql_int64(&q, 1));
    return sql_close(&q, c->e);
}

static int check_blob_file(void *arg, const char *path, const char *hash)
{
    struct check *c = arg;
    struct blob b;
    int rc = *hash ? blob_get(c->db, hash, &b, c->e) : ERR_NOT_FOUND;
    if (rc == ERR_NOT_FOUND)
        found(c, "stray file %s", path);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* --- tmp/ and jobs/ ---------------------------------------------------------------------------------------
 */

static bool is_job(struct check *c, const char *name)
{
    int64_t id;
    bool exists = false;
    return num_int64(name, 1, INT64_MAX, &id) && job_exists(c->db, id, &exists, NULL) == 0 && exists;
}

static bool nothing_belongs(struct check *c, const char *name)
{
    (void)c;
    (void)name;
    return false;
}

static int check_dir(struct check *c, const char *name, bool (*belongs)(struct check *c, const char *entry))
{
    char path[DB_PATH];
    int rc = db_path(c->db, path, sizeof path, name, c->e);
    if (rc)
        return rc;
    DIR *d = opendir(path);
    if (!d) {
        found(c, "the directory %s is missing", path);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !belongs(c, entry->d_name))
            found(c, "stray file %s/%s", path, entry->d_name);
    closedir(d);
    return 0;
}

/* With a database that can be read. */
static int check_all(struct check *c)
{
    int rc = check_foreign_keys(c);
    if (!rc)
        rc = check_invariants(c);
    if (!rc)
        rc = check_blobs(c);
    if (!rc)
        rc = blob_walk(c->db, check_blob_file, c, c->e);
    if (!rc)
        rc = check_dir(c, "tmp", nothing_belongs);
    return rc ? rc : check_dir(c, "jobs", is_job);
}

int db_check(const char *dir, void (*report)(void *arg, const char *line), void *arg, struct err *e)
{
    struct check c = { .report = report, .arg = arg, .e = e };
    int rc = db_open_existing(dir, &c.db, e);
    if (rc)
        return rc;
    rc = check_integrity(&c);
    if (c.findings) {
        report(arg, "the rest was not examined: a damaged database can't tell what should be there");
        rc = 0; /* breaking off is a finding, too */
    } else if (!rc) {
        rc = check_all(&c);
    }
    db_close(c.db);
    return rc ? rc : c.findings;
}
