/* launcher.h - who runs the workers. One const struct of functions per way, one list: `local` spawns them
 * here; a batch system is another file and another line. A worker never depends on the daemon that launched
 * it. Loop thread only. */
#ifndef SERVER_LAUNCHER_H
#define SERVER_LAUNCHER_H

#include "base/err.h"
#include "server/procfs.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define LAUNCHER_HANDLE 64

struct launch { /* one attempt; the strings are only read during the call */
    uv_loop_t *loop;
    const char *worker; /* program */
    const char *dir;    /* job directory, absolute */
    const char *token;
    int attempt, cpus;
    int64_t memory_mb, wall_s;
    /* Called once, from the loop, after a submit or recover that returned 0. exit_code -1: not known. */
    void (*ended)(void *arg, int exit_code, int signal);
    void *arg;
};

struct task; /* a launched worker, the launcher's own */

struct launcher {
    const char *name;
    int (*submit)(const struct launch *l, struct task **task, char handle[LAUNCHER_HANDLE], struct err *e);
    /* Take up a worker launched by an earlier daemon. ERR_NOT_FOUND: it is gone. */
    int (*recover)(const struct launch *l, const char *handle, struct task **task, struct err *e);
    int (*poll)(struct task *t, struct usage *u); /* 0, or ERR_NOT_FOUND when there is nothing to measure */
    void (*cancel)(struct task *t, bool at_once); /* ask it to checkpoint and go; or kill it */
    void (*release)(struct task *t); /* let go of it: after ended(), or leaving it to run; NULL is fine */
};

extern const struct launcher launcher_local;
extern const struct launcher *const launcher_list[];    /* NULL-terminated, the default first */
const struct launcher *launcher_find(const char *name); /* NULL: unknown */

#endif
