/* sql.c - SQLite in the few words that the other files need. */
#include "storage/sql.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- errors -----------------------------------------------------------------------------------------------
 */

static const struct {
    int sqlite, code;
} code_map[] = {
    /* extended codes first: the plain ones stand for all the others of their family */
    { SQLITE_CONSTRAINT_CHECK, ERR_INVALID },
    { SQLITE_CONSTRAINT_NOTNULL, ERR_INVALID },
    { SQLITE_CONSTRAINT_DATATYPE, ERR_INVALID },
    { SQLITE_CONSTRAINT, ERR_CONFLICT },
    { SQLITE_BUSY, ERR_BUSY },
    { SQLITE_LOCKED, ERR_BUSY },
    { SQLITE_NOMEM, ERR_NOMEM },
    { SQLITE_IOERR_NOMEM, ERR_NOMEM },
    { SQLITE_FULL, ERR_FULL },
    { SQLITE_TOOBIG, ERR_TOO_LARGE },
    { SQLITE_IOERR, ERR_IO },
    { SQLITE_CORRUPT, ERR_IO },
    { SQLITE_NOTADB, ERR_IO },
    { SQLITE_READONLY, ERR_IO },
    { SQLITE_CANTOPEN, ERR_IO },
};

int sql_code(int sqlite_code)
{
    for (size_t i = 0; i < sizeof code_map / sizeof code_map[0]; i++)
        if (code_map[i].sqlite == sqlite_code)
            return code_map[i].code;
    int family = sqlite_code & 0xff;
    return family == sqlite_code ? ERR_INTERNAL : sql_code(family);
}

static void fail(struct sql *q, int code, const char *text)
{
    if (q->code)
        return;
    q->code = code;
    snprintf(q->text, sizeof q->text, "database: %s", text);
}

static void fail_sqlite(struct sql *q)
{
    fail(q, sql_code(sqlite3_extended_errcode(q->db->handle)), sqlite3_errmsg(q->db->handle));
}

/* --- statement cache --------------------------------------------------------------------------------------
 */

static unsigned text_hash(const char *text)
{
    unsigned h = 2166136261u; /* FNV-1a */
    while (*text)
        h = (h ^ (unsigned char)*text++) * 16777619u;
    return h;
}

/* The slot that holds the statement, or the empty one where it belongs. */
static sqlite3_stmt **cache_slot(struct db *db, const char *text)
{
    for (unsigned i = text_hash(text), tried = 0; tried < SQL_CACHE; i++, tried++) {
        sqlite3_stmt **slot = &db->cache[i & (SQL_CACHE - 1)];
        if (!*slot || strcmp(sqlite3_sql(*slot), text) == 0)
            return slot;
    }
    return NULL;
}

static sqlite3_stmt *prepared(struct sql *q, const char *text)
{
    sqlite3_stmt **slot = cache_slot(q->db, text);
    assert(slot && "more different statements than the cache has slots");
    if (!*slot &&
        sqlite3_prepare_v3(q->db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) != SQLITE_OK)
        fail_sqlite(q);
    assert(!*slot || !sqlite3_stmt_busy(*slot));
    return *slot;
}

void sql_forget(struct db *db)
{
    for (int i = 0; i < SQL_CACHE; i++) {
        sqlite3_finalize(db->cache[i]);
        db->cache[i] = NULL;
    }
}

/* --- queries ----------------------------------------------------------------------------------------------
 */

static int bind(sqlite3_stmt *stmt, int index, const struct sql_arg *arg)
{
    switch (arg->type) {
    case SQL_ARG_INT:
        return sqlite3_bind_int64(stmt, index, arg->integer);
    case SQL_ARG_REAL:
        return sqlite3_bind_double(stmt, index, arg->real);
    case SQL_ARG_TEXT:
        return sqlite3_bind_text(stmt, index, arg->text, -1, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(stmt, index);
    }
}

void sql_open_args(struct sql *q, struct db *db, const char *text, const struct sql_arg *args, int count)
{
    q->db = db;
    q->code = 0;
    q->text[0] = '\0';
    q->stmt = prepared(q, text);
    for (int i = 0; q->stmt && !q->code && i < count; i++)
        if (bind(q->stmt, i + 1, &args[i]) != SQLITE_OK)
            fail_sqlite(q);
}

bool sql_next(struct sql *q)
{
    if (q->code)
        return false;
    int rc = sqlite3_step(q->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        fail_sqlite(q);
    return rc == SQLITE_ROW;
}

int sql_close(struct sql *q, struct err *e)
{
    if (q->stmt) {
        sqlite3_reset(q->stmt);
        sqlite3_clear_bindings(q->stmt); /* they point to the caller's texts */
    }
    return q->code ? err_set(e, q->code, "%s", q->text) : 0;
}

int64_t sql_int64(struct sql *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

int sql_int(struct sql *q, int column)
{
    return sqlite3_column_int(q->stmt, column);
}

double sql_real(struct sql *q, int column)
{
    return sqlite3_column_double(q->stmt, column);
}

const char *sql_text(struct sql *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);
    if (!text && sqlite3_column_type(q->stmt, column) != SQLITE_NULL)
        fail(q, ERR_NOMEM, "out of memory");
    return text ? text : "";
}

char *sql_dup(struct sql *q, int column)
{
    if (sqlite3_column_type(q->stmt, column) == SQLITE_NULL)
        return NULL;
    char *copy = mem_strdup(sql_text(q, column));
    if (!copy)
        fail(q, ERR_NOMEM, "out of memory");
    return copy;
}

void sql_copy(struct sql *q, int column, char *out, size_t size)
{
    snprintf(out, size, "%s", sql_text(q, column));
}

/* --- rows as structs --------------------------------------------------------------------------------------
 */

int sql_one(struct sql *q, const struct sql_shape *s, void *row, struct err *e)
{
    memset(row, 0, s->size);
    bool found = sql_next(q);
    if (found)
        s->read(q, row);
    int rc = sql_close(q, e);
    if (rc && s->release)
        s->release(row);
    if (rc)
        memset(row, 0, s->size);
    return rc || found ? rc : ERR_NOT_FOUND;
}

/* One more zeroed element. Room is doubled when the count reaches 8, 16, 32, ...: no capacity needs to be
 * kept beside the list. */
static void *push(struct sql *q, char **items, int *count, size_t size)
{
    size_t n = (size_t)*count;
    if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
        char *more = mem_grow(*items, n ? 2 * n : 8, size);
        if (!more) {
            fail(q, ERR_NOMEM, "out of memory");
            return NULL;
        }
        *items = more;
    }
    ++*count;
    return memset(*items + n * size, 0, size);
}

int sql_all(struct sql *q, const struct sql_shape *s, void *list, int *count, struct err *e)
{
    char *items = NULL;
    *count = 0;
    while (sql_next(q)) {
        void *row = push(q, &items, count, s->size);
        if (row)
            s->read(q, row);
    }
    int rc = sql_close(q, e);
    while (rc && s->release && *count)
        s->release(items + (size_t)-- * count * s->size);
    if (rc) {
        free(items);
        items = NULL;
        *count = 0;
    }
    memcpy(list, &items, sizeof items);
    return rc;
}

/* --- in one line ------------------------------------------------------------------------------------------
 */

int sql_run_args(struct db *db, struct err *e, const char *text, const struct sql_arg *args, int count)
{
    struct sql q;
    sql_open_args(&q, db, text, args, count);
    while (sql_next(&q))
        ;
    return sql_close(&q, e);
}

int sql_change_args(struct db *db, struct err *e, const char *text, const struct sql_arg *args, int count)
{
    int rc = sql_run_args(db, e, text, args, count);
    if (!rc && sqlite3_changes(db->handle) == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no such row");
    return rc;
}

int sql_value_args(struct db *db, int64_t *value, struct err *e, const char *text, const struct sql_arg *args,
                   int count)
{
    struct sql q;
    int rows = 0;
    sql_open_args(&q, db, text, args, count);
    /* To the end: what INSERT ... RETURNING has still to check comes after its row. */
    for (; sql_next(&q); rows++)
        if (rows == 0)
            *value = sql_int64(&q, 0);
    int rc = sql_close(&q, e);
    return rc || rows ? rc : err_set(e, ERR_NOT_FOUND, "there is no such row");
}

/* --- transactions -----------------------------------------------------------------------------------------
 */

int sql_begin(struct db *db, struct err *e)
{
    if (!db->in_transaction)
        return sql_run(db, e, "BEGIN IMMEDIATE");
    /* SQLite may take a whole transaction back by itself, when the disk is full or fails; go on as if nothing
     * had happened and the rest of it would be stored without its beginning. */
    if (sqlite3_get_autocommit(db->handle))
        return err_set(e, ERR_IO, "database: the transaction has been rolled back");
    return sql_run(db, e, "SAVEPOINT inner_step");
}

int sql_end(struct db *db, int rc, struct err *e)
{
    if (!rc) {
        rc = sql_run(db, e, db->in_transaction ? "RELEASE inner_step" : "COMMIT");
        if (!rc)
            return 0;
    }
    if (sqlite3_get_autocommit(db->handle))
        return rc;
    if (!db->in_transaction) {
        sql_run(db, NULL, "ROLLBACK");
    } else {
        sql_run(db, NULL, "ROLLBACK TO inner_step");
        sql_run(db, NULL, "RELEASE inner_step");
    }
    return rc;
}
