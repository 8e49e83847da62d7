#include "server/recover.h"

#include "base/log.h"
#include "server/jobdir.h"
#include "server/joblock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The worker's name by its lock; before it has taken the lock, what the launcher wrote down. */
static const char *live_handle(const char *dir, const struct attempt *a, struct joblock *lock)
{
    struct err e = { 0 };
    if (joblock_probe(dir, lock, &e)) {
        log_warn("job=%" PRId64 " lock: %s", a->job, e.text);
        lock->held = false;
    }
    if (lock->held && lock->attempt == a->number && strcmp(lock->token, a->token) == 0)
        return lock->handle;
    if (lock->held && lock->attempt)
        log_warn("job=%" PRId64 " is held by a worker of attempt %d, not %d", a->job, lock->attempt,
                 a->number);
    return a->handle[0] ? a->handle : NULL; /* the launcher knows whether it lives */
}

/* The daemon was killed during the rest after a lost attempt: nothing is left to be written but the state. */
static int resume_rest(struct db *db, const struct job *j, struct err *e)
{
    return job_move(db, j->id, j->state == JOB_CANCELLING ? JOB_EVENT_STOPPED : JOB_EVENT_LOSE, NULL, e);
}

static int recover_one(struct db *db, struct supervisor *s, const struct job *j, struct err *e)
{
    struct attempt a;
    struct joblock lock;
    char dir[JOBDIR_PATH];
    int rc = attempt_get(db, j->id, 0, &a, e);
    if (rc)
        return rc;
    if (a.ended_ms)
        return resume_rest(db, j, e);
    job_dir(db, j->id, dir, sizeof dir);
    supervisor_adopt(s, j, &a, live_handle(dir, &a, &lock));
    return 0;
}

int recover_jobs(struct db *db, struct supervisor *s, struct err *e)
{
    struct job *list;
    int count, rc = job_active(db, &list, &count, e);
    if (rc)
        return rc;
    for (int i = 0; !rc && i < count; i++)
        rc = recover_one(db, s, &list[i], e);
    job_list_free(list, count);
    return rc;
}
