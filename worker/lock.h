/* lock.h - DIR/lock: whoever holds it works in this job's directory, nobody else does.
 *
 * An flock(2), so it goes with the process however that ends, and a new daemon finds a live worker by trying
 * it. The content says who: {"attempt":n,"token":"…","pid":p,"start":"…","host":"…"}; start is field 22 of
 * /proc/PID/stat, which tells a process from a later one with the same pid. The file itself stays. */
#ifndef WORKER_LOCK_H
#define WORKER_LOCK_H

#include "base/err.h"

struct lock;

/* ERR_BUSY with the holder's line in the text when it is held. token NULL: "". */
int lock_take(const char *dir, int attempt, const char *token, struct lock **lock, struct err *e);
void lock_free(struct lock *lock); /* lets go */

#endif
