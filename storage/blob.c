/* blob.c - content-addressed files.
 *
 * Adopt: file first, then row. Sweep: row first, then file. So a crash between the two leaves a file without
 * a row and never a row without a file; the sweeper takes such files too. */
#include "storage/blob.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/internal.h"
#include "storage/sql.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "sha256:";
#define PREFIX_LENGTH (sizeof prefix - 1)

void blob_path(const struct db *db, const char *hash, char *out, size_t size)
{
    unsigned char digest[HASH_BYTES];
    const char *digits = hash + PREFIX_LENGTH;
    int n = -1;
    if (hash_parse(hash, digest) == 0)
        n = snprintf(out, size, "%s/blobs/%.2s/%s", db_dir(db), digits, digits + 2);
    if (n < 0 || (size_t)n >= size)
        *out = '\0'; /* a path that no file has */
}

/* --- adopt ------------------------------------------------------------------------------------------------
 */

static int store_file(const char *temp_path, const char *path, struct err *e)
{
    char dir[DB_PATH];
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    int rc = file_make_dirs(dir, e);
    if (rc)
        return rc;
    int fd = open(temp_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_IO, "can't open %s", temp_path);
    if (fchmod(fd, 0400)) {
        close(fd);
        return err_sys(e, ERR_IO, "can't protect %s", temp_path);
    }
    return file_commit(fd, temp_path, path, e);
}

int blob_adopt(struct db *db, const char *temp_path, const char *hash, int64_t size, struct err *e)
{
    char path[DB_PATH];
    struct stat st;
    blob_path(db, hash, path, sizeof path);
    if (!*path)
        return err_set(e, ERR_INVALID, "not a hash: %.80s", hash);
    if (lstat(temp_path, &st))
        return err_sys(e, ERR_IO, "can't find %s", temp_path);
    if (!S_ISREG(st.st_mode) || st.st_size != size)
        return err_set(e, ERR_INVALID, "%s is not the file that was hashed", temp_path);
    if (file_size(path) == size)
        unlink(temp_path); /* equal content is there already */
    else {
        int rc = store_file(temp_path, path, e);
        if (rc)
            return rc;
    }
    /* The grace time starts anew: who sends a blob again is about to use it. Within one millisecond, too,
     * this shows: see blob_discard. */
    return sql_run(db, e,
                   "INSERT INTO blob (hash, size, created_ms) VALUES (?1, ?2, ?3)"
                   " ON CONFLICT (hash) DO UPDATE SET size = excluded.size,"
                   " created_ms = max(excluded.created_ms, created_ms + 1)",
                   SQL_TEXT(hash), SQL_INT(size), SQL_INT(clock_wall_ms()));
}

static void read_row(struct sql *q, void *row)
{
    struct blob *b = row;
    sql_copy(q, 0, b->hash, sizeof b->hash);
    b->size = sql_int64(q, 1);
    b->created_ms = sql_int64(q, 2);
}

int blob_get(struct db *db, const char *hash, struct blob *b, struct err *e)
{
    static const struct sql_shape shape = { sizeof(struct blob), read_row, NULL };
    struct sql q;
    sql_open(&q, db, "SELECT hash, size, created_ms FROM blob WHERE hash = ?1", SQL_TEXT(hash));
    int rc = sql_one(&q, &shape, b, e);
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no blob %.80s", hash) : rc;
}

/* --- walk -------------------------------------------------------------------------------------------------
 */

typedef int visit_fn(void *arg, const char *path, const char *hash);

/* One of the 256 directories, or a file that lies where a directory should be. */
static int walk_dir(const char *dir, const char *two, visit_fn *visit, void *arg)
{
    DIR *d = opendir(dir);
    if (!d)
        return visit(arg, dir, "");
    int rc = 0;
    for (struct dirent *entry; !rc && (entry = readdir(d));) {
        char path[DB_PATH + 512], hash[PREFIX_LENGTH + 2 + 256];
        unsigned char digest[HASH_BYTES];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        snprintf(hash, sizeof hash, "%s%.2s%s", prefix, two, entry->d_name);
        rc = visit(arg, path, hash_parse(hash, digest) == 0 ? hash : "");
    }
    closedir(d);
    return rc;
}

int blob_walk(const struct db *db, visit_fn *visit, void *arg, struct err *e)
{
    char root[DB_PATH];
    int rc = db_path(db, root, sizeof root, "blobs", e);
    if (rc)
        return rc;
    DIR *d = opendir(root);
    if (!d)
        return err_sys(e, ERR_IO, "can't read %s", root);
    for (struct dirent *entry; !rc && (entry = readdir(d));) {
        char dir[DB_PATH + 256];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(dir, sizeof dir, "%s/%s", root, entry->d_name);
        rc = walk_dir(dir, strlen(entry->d_name) == 2 ? entry->d_name : "", visit, arg);
    }
    closedir(d);
    return rc;
}

/* --- sweep ------------------------------------------------------------------------------------------------
 */

static void read_hash(struct sql *q, void *row)
{
    sql_copy(q, 0, row, HASH_TEXT);
}

/* Rows that nothing refers to, all of them or (only not "") one; their hashes are handed back. */
static int forget_unused(struct db *db, int64_t before_ms, const char *only, char (**hashes)[HASH_TEXT],
                         int *count, struct err *e)
{
    static const struct sql_shape shape = { HASH_TEXT, read_hash, NULL };
    struct sql q;
    sql_open(&q, db,
             "DELETE FROM blob WHERE created_ms <= ?1 AND (?2 = '' OR hash = ?2)"
             " AND NOT EXISTS (SELECT 1 FROM model WHERE model.hash = blob.hash)"
             " AND NOT EXISTS (SELECT 1 FROM dataset WHERE dataset.hash = blob.hash)"
             " AND NOT EXISTS (SELECT 1 FROM artifact WHERE artifact.hash = blob.hash)"
             " AND NOT EXISTS (SELECT 1 FROM job WHERE job.model_hash = blob.hash)"
             " AND NOT EXISTS (SELECT 1 FROM job WHERE job.dataset_hash = blob.hash) RETURNING hash",
             SQL_INT(before_ms), SQL_TEXT(only));
    return sql_all(&q, &shape, hashes, count, e);
}

struct sweep {
    struct db *db;
    int removed;
    struct err *e;
};

/* A file without a row is what a crash left: between the two nothing else runs on this thread. */
static int sweep_orphan(void *arg, const char *path, const char *hash)
{
    struct sweep *s = arg;
    struct blob b;
    if (!*hash)
        return 0;
    int rc = blob_get(s->db, hash, &b, s->e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    if (unlink(path) == 0)
        s->removed++;
    return 0;
}

/* Row first, then file; returns how many files went. */
static int remove_unused(struct db *db, int64_t before_ms, const char *only, struct err *e)
{
    char(*hashes)[HASH_TEXT] = NULL, path[DB_PATH];
    int count = 0, removed = 0;
    int rc = sql_begin(db, e);
    if (rc)
        return rc;
    rc = sql_end(db, forget_unused(db, before_ms, only, &hashes, &count, e), e);
    for (int i = 0; !rc && i < count; i++) {
        blob_path(db, hashes[i], path, sizeof path);
        removed += unlink(path) == 0;
    }
    free(hashes);
    return rc ? rc : removed;
}

int blob_discard(struct db *db, const char *hash, int64_t made_ms, struct err *e)
{
    int rc = remove_unused(db, made_ms, hash, e);
    return rc < 0 ? rc : 0;
}

int blob_sweep(struct db *db, int64_t grace_ms, struct err *e)
{
    struct sweep s = { .db = db, .e = e };
    s.removed = remove_unused(db, clock_wall_ms() - grace_ms, "", e);
    if (s.removed < 0)
        return s.removed;
    int rc = blob_walk(db, sweep_orphan, &s, e);
    return rc ? rc : s.removed;
}
