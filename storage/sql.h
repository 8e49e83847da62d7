/* sql.h - private to storage/: SQLite in the few words that the other files need.
 *
 *     struct sql q;
 *     sql_open(&q, db, "SELECT id, name FROM job WHERE state = ?1", SQL_TEXT("queued"));
 *     while (sql_next(&q))
 *         use(sql_int64(&q, 0), sql_text(&q, 1));
 *     return sql_close(&q, e);
 *
 * The first error sticks in the query: sql_next says false from then on and sql_close reports it. Statements
 * live in a cache and are always reset by sql_close (one that is not would keep its transaction open). SQL
 * texts are literals or one of a few composed ones: the cache never forgets. */
#ifndef STORAGE_SQL_H
#define STORAGE_SQL_H

#include "storage/db.h"

#include <sqlite3.h>
#include <stddef.h>

#define SQL_CACHE 256 /* slots, a power of two, several times the number of statements */

struct db {
    sqlite3 *handle;                /* owned */
    char *dir;                      /* owned */
    int lock_fd;                    /* DIR/lock, locked while open; -1: none */
    bool in_transaction;            /* between db_begin and db_commit or db_rollback */
    sqlite3_stmt *cache[SQL_CACHE]; /* owned; open addressing by hash of the text */
};

/* --- parameters -------------------------------------------------------------------------------------------
 */
struct sql_arg {
    enum { SQL_ARG_NULL, SQL_ARG_INT, SQL_ARG_REAL, SQL_ARG_TEXT } type;
    int64_t integer;
    double real;
    const char *text; /* not copied: valid until sql_close; NULL is SQL's NULL */
};

#define SQL_INT(value)  ((struct sql_arg){ .type = SQL_ARG_INT, .integer = (value) })
#define SQL_REAL(value) ((struct sql_arg){ .type = SQL_ARG_REAL, .real = (value) })
#define SQL_TEXT(value) ((struct sql_arg){ .type = SQL_ARG_TEXT, .text = (value) })
#define SQL_NULL        ((struct sql_arg){ .type = SQL_ARG_NULL })

/* ?1, ?2, ... in order; the leading element lets the list be empty. */
#define SQL_ARGS(...)                                                                                        \
    (const struct sql_arg[]){ SQL_NULL, __VA_ARGS__ } + 1,                                                   \
        (int)(sizeof((const struct sql_arg[]){ SQL_NULL, __VA_ARGS__ }) / sizeof(struct sql_arg)) - 1

/* --- queries ----------------------------------------------------------------------------------------------
 */
struct sql {
    struct db *db;
    sqlite3_stmt *stmt; /* on loan from the cache; NULL after an error of sql_open */
    int code;           /* 0 or the first ERR_* */
    char text[200];     /* its explanation */
};

void sql_open_args(struct sql *q, struct db *db, const char *text, const struct sql_arg *args, int count);
#define sql_open(q, db, text, ...) sql_open_args(q, db, text, SQL_ARGS(__VA_ARGS__))
bool sql_next(struct sql *q); /* true: there is a row */
int sql_close(struct sql *q, struct err *e);

int64_t sql_int64(struct sql *q, int column);
int sql_int(struct sql *q, int column);
double sql_real(struct sql *q, int column);
const char *sql_text(struct sql *q, int column); /* "" for NULL; valid until the next step */
char *sql_dup(struct sql *q, int column); /* owned by the caller; NULL for NULL or out of memory (sticks) */
void sql_copy(struct sql *q, int column, char *out, size_t size); /* cut to size */

/* --- rows as structs --------------------------------------------------------------------------------------
 */
struct sql_shape {
    size_t size;                            /* of the struct */
    void (*read)(struct sql *q, void *row); /* fill in a zeroed one from the present row */
    void (*release)(void *row);             /* free what it owns; NULL: nothing */
};

/* The first row, or ERR_NOT_FOUND (no words); closes the query. *row is zeroed unless 0 is returned. */
int sql_one(struct sql *q, const struct sql_shape *s, void *row, struct err *e);
/* All rows, in an array that the caller frees; closes the query. list is the address of its pointer, which is
 * NULL when there are none or after an error. */
int sql_all(struct sql *q, const struct sql_shape *s, void *list, int *count, struct err *e);

/* --- in one line ------------------------------------------------------------------------------------------
 */
int sql_run_args(struct db *db, struct err *e, const char *text, const struct sql_arg *args, int count);
int sql_change_args(struct db *db, struct err *e, const char *text, const struct sql_arg *args, int count);
int sql_value_args(struct db *db, int64_t *value, struct err *e, const char *text, const struct sql_arg *args,
                   int count);
#define sql_run(db, e, text, ...) sql_run_args(db, e, text, SQL_ARGS(__VA_ARGS__))
#define sql_change(db, e, text, ...)                                                                         \
    sql_change_args(db, e, text, SQL_ARGS(__VA_ARGS__)) /* ERR_NOT_FOUND: no row */
#define sql_value(db, value, e, text, ...)                                                                   \
    sql_value_args(db, value, e, text, SQL_ARGS(__VA_ARGS__)) /* likewise */

/* --- transactions -----------------------------------------------------------------------------------------
 */
/* A function of several statements is all or nothing: its own BEGIN IMMEDIATE, or a savepoint when the caller
 * has a transaction open. sql_end commits when rc is 0, takes everything back otherwise, and returns the
 * outcome. */
int sql_begin(struct db *db, struct err *e);
int sql_end(struct db *db, int rc, struct err *e);

int sql_code(int sqlite_code);  /* ERR_* for an extended result code of SQLite */
void sql_forget(struct db *db); /* finalize every cached statement */

#endif
