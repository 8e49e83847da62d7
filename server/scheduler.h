/* scheduler.h - gives free cpus to the queue: priority, then age; a job that fits may overtake one that does
 * not, but not for ever. Works when kicked and when a scheduled job falls due; otherwise it sleeps. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "storage/db.h"

#include <uv.h>

#define SCHEDULER_PATIENCE_MS ((int64_t)600000) /* how long the head of the queue may be overtaken */

struct scheduler;

struct scheduling {
    uv_loop_t *loop;
    struct db *db;
    int slots;                             /* cpus for jobs */
    int (*used)(void *arg);                /* cpus given away now */
    void (*start)(void *arg, int64_t job); /* it was claimed */
    void (*changed)(void *arg);            /* states have changed */
    void *arg;
};

struct scheduler *scheduler_new(const struct scheduling *with); /* NULL: out of memory */
void scheduler_kick(struct scheduler *s);  /* the queue or the free cpus have changed: look soon */
void scheduler_run(struct scheduler *s);   /* look now; for tests */
void scheduler_close(struct scheduler *s); /* the memory goes after the loop has run */

#endif
