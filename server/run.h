/* run.h - one attempt under way, shared by supervisor.c (its life) and finish.c (its end). */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include "server/follower.h"
#include "server/harvest.h"
#include "server/jobdir.h"
#include "server/launcher.h"
#include "server/supervisor.h"
#include "server/verdict.h"

enum run_phase {
    RUN_LIVE,    /* the worker runs */
    RUN_ENDED,   /* it is gone: its events are read to the end, its files hashed, its end written down */
    RUN_RESTING, /* lost again and again: a pause before it goes back into the queue */
    RUN_OVER     /* all is written: to be freed at the next occasion */
};

struct run {
    struct supervisor *owner;
    struct run *next;
    int64_t job, memory_mb, wall_s;
    int attempt, cpus, charged, max_attempts;
    char token[33];
    char dir[JOBDIR_PATH];
    enum run_phase phase;
    const struct launcher *launcher;
    struct task *task;         /* owned through the launcher; NULL: none */
    struct follower *follower; /* owned; NULL: none */
    struct harvesting *harvesting;
    struct usage usage;
    enum stop_cause cause;
    int exit_code, signal;
    char trouble[400];   /* why it could not even be started; "" */
    int64_t deadline_ms; /* monotonic: the wall time is used up */
    int64_t kill_ms;     /* monotonic; 0: nobody has asked it to stop */
    int64_t retry_ms;    /* monotonic: next try to write the end down, or the end of the rest; 0: not now */
};

struct supervisor {
    struct supervising with;
    uv_timer_t tick;
    unsigned ticks;
    struct run *first;
};

/* Everything the worker wrote has been applied: decide and write it down. Tried again later when that fails.
 */
void finish_run(struct run *r);
/* The rest is over: back into the queue. */
void finish_rest(struct run *r);

#endif
