/* internal.h - private to storage/: the words that its files share with each other but not with the house. */
#ifndef STORAGE_INTERNAL_H
#define STORAGE_INTERNAL_H

#include "storage/blob.h"
#include "storage/db.h"
#include "storage/job.h"

#include <stddef.h>

#define DB_PATH 4096

/* "DIR/name" */
int db_path(const struct db *db, char *out, size_t size, const char *name, struct err *e);
/* As db_open for what is there already: creates, empties and migrates nothing. */
int db_open_existing(const char *dir, struct db **db, struct err *e);

/* Every file below DIR/blobs: hash is "" when its place is not that of a blob. Stops at the first non-zero
 * answer. */
int blob_walk(const struct db *db, int (*visit)(void *arg, const char *path, const char *hash), void *arg,
              struct err *e);

#define JOB_COLUMNS                                                                                          \
    "id, kind, name, owner, tags, spec, model_hash, dataset_hash, state, reason, result, progress, "         \
    "priority, cpus, memory_mb, wall_s, not_before_ms, created_ms, started_ms, finished_ms, updated_ms, "    \
    "version, events_offset, events_seq, attempts, charged, max_attempts, sweep, sweep_place"
extern const struct sql_shape job_shape; /* of a row of JOB_COLUMNS */
/* ERR_NOT_FOUND gets its words here, everything else passes. */
int job_missing(int rc, int64_t id, struct err *e);
/* Append the event that tells a job's state as it is now. */
int job_announce(struct db *db, int64_t id, struct err *e);

int attempt_open(struct db *db, int64_t job, struct err *e); /* the next number, with a new token */

#endif
