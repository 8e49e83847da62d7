/* follower.h - reads events.jsonl of a running job as it grows: inotify says when, the owner's slow poll is
 * the safety net. Bounded chunks, so that one talkative worker can't hold up the loop. Loop thread only. */
#ifndef SERVER_FOLLOWER_H
#define SERVER_FOLLOWER_H

#include "server/apply.h"

#include <uv.h>

#define FOLLOWER_JOB_MAX ((int64_t)256 << 20) /* bytes of events per job */

struct follower;

struct follow {
    uv_loop_t *loop;
    struct db *db;
    const char *dir;
    struct apply from;          /* job, attempt, offset, seq, phase */
    void (*applied)(void *arg); /* rows were added */
    void (*drained)(
        void *arg); /* after follower_drain: the end of the file was reached, all of it is applied */
    void *arg;
};

int follower_new(const struct follow *how, struct follower **f, struct err *e);
void follower_poll(struct follower *f);  /* look even if nothing was notified; shows pending progress */
void follower_drain(struct follower *f); /* the worker is gone: read to the end, then drained() */
bool follower_flooded(const struct follower *f); /* above FOLLOWER_JOB_MAX: nothing more is applied */
void follower_free(struct follower *f);          /* NULL is fine */

#endif
