/* db.h - the one SQLite connection: WAL, synchronous=FULL, foreign keys, STRICT tables, numbered migrations.
 *
 * Owned by the server's loop thread; no locks. Every write happens inside db_begin (BEGIN IMMEDIATE) ...
 * db_commit; the functions of job.h, blob.h... open their own transaction when none is open. Storage knows
 * nothing of HTTP or JSON: documents are opaque text. Text in rows returned to callers is owned by the row:
 * free with the row's _free. */
#ifndef STORAGE_DB_H
#define STORAGE_DB_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

/* DIR/quantd.db, with DIR/blobs, DIR/jobs, DIR/tmp beside it; creates what is missing. Refuses a newer schema
 * (ERR_CONFLICT) and a directory that another daemon holds (DIR/lock, ERR_BUSY). */
int db_open(const char *dir, struct db **db, struct err *e);
void db_close(struct db *db);
const char *db_dir(const struct db *db);

/* The quick look at start: SQLite's quick_check, as long as the file is small enough to be read in about a
 * second. ERR_CORRUPT says what it found; *skipped: the file was too large. */
int db_quick_check(struct db *db, bool *skipped, struct err *e);

int db_begin(struct db *db, struct err *e);
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);

/* Offline consistency check for `quantd --check`: integrity_check, foreign keys, state invariants, every
 * blob's size and hash, blobs without row, rows without file, stray files in tmp/ and jobs/. Calls report for
 * each finding; returns the number of findings or a negative ERR_*. */
int db_check(const char *dir, void (*report)(void *arg, const char *line), void *arg, struct err *e);

#endif
