/* sweep.h - jobs that were made together from one specification with several values: a row that says which,
 * and the jobs that point at it. A sweep is there as long as one of its jobs is. */
#ifndef STORAGE_SWEEP_H
#define STORAGE_SWEEP_H

#include "storage/job.h"

struct sweep {
    int64_t id;
    char *name, *owner; /* owned; owner "" without accounts */
    char *axes;         /* owned: JSON object, the swept parameters and their values */
    int64_t created_ms;
    int64_t version; /* sum of its jobs' versions: with `jobs` it makes the ETag */
    int jobs;        /* how many are left */
    int open;        /* how many of these are not final */
};

void sweep_free(struct sweep *s); /* frees what s owns, not s */
void sweep_list_free(struct sweep *list, int count);

struct sweep_new {
    const char *name, *owner, *axes;
};

/* Make the sweep and its `count` jobs (at least one), all or none. With an idempotency key the stored sweep
 * is returned when key and body_hash agree (*existed), and ERR_IDEMPOTENCY when they don't or when the key is
 * that of a single job. key NULL: none. Not inside db_begin. */
int sweep_add(struct db *db, const struct sweep_new *n, const struct job_new *jobs, int count,
              const char *key, const char *body_hash, struct sweep *s, bool *existed, struct err *e);
int sweep_get(struct db *db, int64_t id, struct sweep *s, struct err *e);
/* Newest first: ids below `before` (0: from the newest), at most `limit`. */
int sweep_list(struct db *db, int64_t before, int limit, struct sweep **list, int *count, struct err *e);
/* The ids of its jobs, in the order of their making; the caller frees the array. */
int sweep_jobs(struct db *db, int64_t id, int64_t **ids, int *count, struct err *e);

#endif
