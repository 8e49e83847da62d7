/* supervisor.h - the attempts that are under way: launched or taken up again, followed, limited, and brought
 * to their end (finish.c). Knows launchers only by their table. Loop thread only. */
#ifndef SERVER_SUPERVISOR_H
#define SERVER_SUPERVISOR_H

#include "server/config.h"
#include "storage/db.h"
#include "storage/job.h"

#include <uv.h>

struct supervisor;

struct supervising {
    uv_loop_t *loop;
    struct db *db;
    const struct config *config; /* worker, grace, retry_delay */
    void (*changed)(void *arg);  /* new rows in the event table */
    void (*freed)(void *arg);    /* cpus have become free, or a job is back in the queue */
    void *arg;
};

struct supervisor *supervisor_new(const struct supervising *with); /* NULL: out of memory */
/* Leaves every worker running. The memory goes after the loop has run. */
void supervisor_close(struct supervisor *s);

void supervisor_start(struct supervisor *s,
                      int64_t job); /* just claimed; what goes wrong becomes the attempt's end */
/* At start: an active job of an earlier daemon. handle: its live worker; NULL: there is none any more. */
void supervisor_adopt(struct supervisor *s, const struct job *j, const struct attempt *a, const char *handle);
void supervisor_stop(struct supervisor *s, int64_t job); /* cancelling: TERM, grace, KILL */
int supervisor_cpus(const struct supervisor *s);         /* given away */

#endif
