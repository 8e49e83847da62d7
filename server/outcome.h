/* outcome.h - what a worker said last: the tail of events.jsonl read for this attempt's `done` or `error`.
 * Reading it again gives the same answer, so a daemon that was killed half-way through finishing simply
 * begins again. */
#ifndef SERVER_OUTCOME_H
#define SERVER_OUTCOME_H

#include <stdbool.h>

struct outcome {
    bool done, error;
    char reason[640]; /* of the error: "text (place)" */
};

void outcome_read(const char *dir, int attempt, struct outcome *o);

#endif
