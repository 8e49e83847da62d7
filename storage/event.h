/* event.h - what clients of the event streams see: an append-only row per event with one global sequence
 * number. */
#ifndef STORAGE_EVENT_H
#define STORAGE_EVENT_H

#include "storage/db.h"

struct event {
    int64_t seq; /* global, rising, never reused: the SSE id */
    int64_t job;
    char type[16]; /* "state", or a worker's event: phase progress metric artifact log warning error done */
    char *data;    /* owned: JSON text */
};

void event_free(struct event *ev); /* frees what ev owns, not ev */
void event_list_free(struct event *list, int count);
int event_add(struct db *db, int64_t job, const char *type, const char *data, int64_t *seq, struct err *e);
/* Events after seq of one job (0: of all jobs), oldest first, at most limit. */
int event_list(struct db *db, int64_t job, int64_t after, int limit, struct event **list, int *count,
               struct err *e);
int event_last(struct db *db, int64_t *seq, struct err *e);
/* Forget progress and metric events beyond the newest `keep` of a job (the metric table keeps the values). */
int event_trim(struct db *db, int64_t job, int keep, struct err *e);

#endif
