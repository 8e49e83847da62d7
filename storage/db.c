/* db.c - opening and closing the data directory: lock, directories, pragmas, migrations. */
#include "storage/db.h"

#include "base/file.h"
#include "base/mem.h"
#include "storage/internal.h"
#include "storage/schema.h"
#include "storage/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* --- the directory ----------------------------------------------------------------------------------------
 */

int db_path(const struct db *db, char *out, size_t size, const char *name, struct err *e)
{
    int n = snprintf(out, size, "%s/%s", db->dir, name);
    return n > 0 && (size_t)n < size ? 0
                                     : err_set(e, ERR_INVALID, "the path of the data directory is too long");
}

static int make_dirs(const struct db *db, struct err *e)
{
    static const char *const names[] = { "blobs", "jobs", "tmp" };
    char path[DB_PATH];
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++) {
        rc = db_path(db, path, sizeof path, names[i], e);
        if (!rc)
            rc = file_make_dirs(path, e);
    }
    return rc;
}

#define LOCK_TRIES 20 /* 50 ms apart */

/* One daemon per directory. The kernel lets go of the lock however the process ends; but a child that it had
 * just forked shares the lock until its exec, so that whoever starts right after a crash waits a second. */
static int lock(struct db *db, struct err *e)
{
    char path[DB_PATH];
    int rc = db_path(db, path, sizeof path, "lock", e);
    if (rc)
        return rc;
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (db->lock_fd < 0)
        return err_sys(e, ERR_IO, "can't open %s", path);
    for (int i = 0; flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK)
            return err_sys(e, ERR_IO, "can't lock %s", path);
        if (i == LOCK_TRIES)
            return err_set(e, ERR_BUSY, "%s is in use by another quantd", db->dir);
        nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    }
    return 0;
}

/* WAL needs memory that all users share and locks that work: network file systems give neither. */
static int refuse_network(const struct db *db, struct err *e)
{
    struct statfs fs;
    if (statfs(db->dir, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC)
        return err_set(e, ERR_UNSUPPORTED, "%s is on NFS; the database needs a local disk", db->dir);
    return 0;
}

/* What an interrupted upload left. */
static int empty_tmp(const struct db *db, struct err *e)
{
    char path[DB_PATH];
    int rc = db_path(db, path, sizeof path, "tmp", e);
    if (!rc)
        rc = file_remove_tree(path, e);
    return rc ? rc : file_make_dirs(path, e);
}

/* --- the connection ---------------------------------------------------------------------------------------
 */

static int sqlite_error(const struct db *db, const char *doing, struct err *e)
{
    return err_set(e, sql_code(sqlite3_extended_errcode(db->handle)), "%s: %s", doing,
                   sqlite3_errmsg(db->handle));
}

static int connect(struct db *db, int flags, struct err *e)
{
    char path[DB_PATH];
    int rc = db_path(db, path, sizeof path, "quantd.db", e);
    if (rc)
        return rc;
    flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (!db->handle)
        return err_set(e, ERR_NOMEM, "no memory to open %s", path);
    if (code != SQLITE_OK)
        return sqlite_error(db, path, e);
    return 0;
}

/* synchronous=FULL: an accepted job survives a power cut. */
static int configure(struct db *db, struct err *e)
{
    static const char pragmas[] = "PRAGMA busy_timeout = 5000;"
                                  "PRAGMA journal_mode = WAL;"
                                  "PRAGMA synchronous = FULL;"
                                  "PRAGMA foreign_keys = ON;"
                                  "PRAGMA trusted_schema = OFF;"
                                  "PRAGMA cell_size_check = ON;"
                                  "PRAGMA temp_store = MEMORY;";
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    if (sqlite3_exec(db->handle, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_error(db, "database", e);

    struct sql q;
    sql_open(&q, db, "PRAGMA journal_mode");
    bool wal = sql_next(&q) && strcmp(sql_text(&q, 0), "wal") == 0;
    int rc = sql_close(&q, e);
    return rc || wal ? rc
                     : err_set(e, ERR_UNSUPPORTED, "the file system of %s can't hold a database", db->dir);
}

/* --- migrations -------------------------------------------------------------------------------------------
 */

static int stored_version(struct db *db, int64_t *version, struct err *e)
{
    int64_t application = 0, tables = 0;
    int rc = sql_value(db, version, e, "PRAGMA user_version");
    if (!rc)
        rc = sql_value(db, &application, e, "PRAGMA application_id");
    if (!rc)
        rc = sql_value(db, &tables, e, "SELECT count(*) FROM sqlite_schema");
    if (rc)
        return rc;
    bool fresh = application == 0 && *version == 0 && tables == 0;
    if (!fresh && application != SCHEMA_APPLICATION_ID)
        return err_set(e, ERR_CONFLICT, "%s/quantd.db belongs to another program", db->dir);
    if (*version > schema_version)
        return err_set(e, ERR_CONFLICT, "the database has schema %lld, newer than the %d of this program",
                       (long long)*version, schema_version);
    return 0;
}

static int migrate_step(struct db *db, int64_t version, struct err *e)
{
    char pragmas[100];
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %lld;",
             SCHEMA_APPLICATION_ID, (long long)version);
    int rc = db_begin(db, e);
    if (rc)
        return rc;
    if (sqlite3_exec(db->handle, schema_steps[version - 1], NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db->handle, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
        sqlite_error(db, "migration", e);
        db_rollback(db);
        return err_wrap(e, "schema %lld", (long long)version);
    }
    return db_commit(db, e);
}

static int migrate(struct db *db, struct err *e)
{
    int64_t version = 0;
    int rc = stored_version(db, &version, e);
    while (!rc && version < schema_version)
        rc = migrate_step(db, ++version, e);
    return rc;
}

/* --- open and close ---------------------------------------------------------------------------------------
 */

static struct db *db_new(const char *dir)
{
    struct db *db = mem_alloc(sizeof *db);
    if (!db)
        return NULL;
    db->lock_fd = -1;
    db->dir = mem_strdup(dir);
    if (!db->dir) {
        free(db);
        return NULL;
    }
    return db;
}

int db_open(const char *dir, struct db **out, struct err *e)
{
    *out = NULL;
    struct db *db = db_new(dir);
    if (!db)
        return err_set(e, ERR_NOMEM, "no memory to open %s", dir);
    int rc = make_dirs(db, e);
    if (!rc)
        rc = refuse_network(db, e);
    if (!rc)
        rc = lock(db, e);
    if (!rc)
        rc = empty_tmp(db, e);
    if (!rc)
        rc = connect(db, SQLITE_OPEN_CREATE, e);
    if (!rc)
        rc = configure(db, e);
    if (!rc)
        rc = migrate(db, e);
    if (rc) {
        db_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

int db_open_existing(const char *dir, struct db **out, struct err *e)
{
    int64_t version = 0;
    *out = NULL;
    struct db *db = db_new(dir);
    if (!db)
        return err_set(e, ERR_NOMEM, "no memory to open %s", dir);
    int rc = lock(db, e);
    if (!rc)
        rc = connect(db, 0, e);
    if (!rc)
        rc = configure(db, e);
    if (!rc)
        rc = stored_version(db, &version, e);
    if (!rc && version < schema_version)
        rc = err_set(e, ERR_CONFLICT,
                     "the database has schema %lld, older than the %d of this program: start it once",
                     (long long)version, schema_version);
    if (rc) {
        db_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    sql_forget(db);
    sqlite3_close(db->handle);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    free(db->dir);
    free(db);
}

const char *db_dir(const struct db *db)
{
    return db->dir;
}

/* --- transactions -----------------------------------------------------------------------------------------
 */

int db_begin(struct db *db, struct err *e)
{
    if (db->in_transaction)
        return err_set(e, ERR_INTERNAL, "a transaction is open already");
    int rc = sql_run(db, e, "BEGIN IMMEDIATE");
    db->in_transaction = !rc;
    return rc;
}

int db_commit(struct db *db, struct err *e)
{
    int rc = sql_run(db, e, "COMMIT");
    if (rc)
        db_rollback(db);
    db->in_transaction = false;
    return rc;
}

void db_rollback(struct db *db)
{
    db->in_transaction = false;
    if (!sqlite3_get_autocommit(db->handle))
        sql_run(db, NULL, "ROLLBACK");
}
