/* verdict.h - what the end of an attempt means for its job. A pure function over a table, tested row by row.
 */
#ifndef SERVER_VERDICT_H
#define SERVER_VERDICT_H

#include "storage/job.h"

#define VERDICT_LOSSES 10 /* lost so many times in a row without getting anywhere: a person must look */

/* Why the daemon itself stopped the worker. */
enum stop_cause { STOP_NOTHING, STOP_CANCEL, STOP_WALL, STOP_MEMORY, STOP_EVENTS };

struct ending {
    int exit_code; /* -1: not known */
    int signal;    /* 0: none */
    enum stop_cause cause;
    bool done;   /* a `done` event and a readable result.json */
    bool error;  /* an `error` event */
    int charged; /* attempts that counted before this one */
    int max_attempts;
    int losses; /* lost attempts in a row without progress, this one included */
};

struct verdict {
    enum job_event event; /* FINISH, FAIL, LOSE, PARK or STOPPED */
    const char *end;      /* attempt.end */
    bool charged;
};

struct verdict verdict_of(const struct ending *e);
bool verdict_is_crash(int signal); /* a fault of the program, not of its surroundings */

/* Lost attempts in a row at the end of the list that got no further than the best one before them. The last
 * of the list counts as lost whatever its row says. */
int verdict_losses(const struct attempt *list, int count);

#endif
