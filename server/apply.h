/* apply.h - a worker's lines become rows: state, metrics, progress, events, and how far we have come, all in
 * one transaction. A line counts only if its number is new, so applying the same bytes twice changes nothing.
 */
#ifndef SERVER_APPLY_H
#define SERVER_APPLY_H

#include "storage/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of a job's events between two batches. Plain data: a batch that fails puts it back. */
struct apply {
    int64_t job;
    int attempt;         /* START is taken from this one only */
    int64_t offset, seq; /* applied so far */
    char phase[32];
    bool pending; /* a progress that has not been shown yet */
    int64_t step, steps, time_ms;
    double eta_s;
    int64_t shown_ms;  /* when progress was shown last; monotonic */
    int64_t best_step; /* of this attempt */
    int rows;          /* progress and metric events since the last trim */
    int bad;           /* lines that could not be read */
};

/* text: whole lines, `length` bytes from a->offset on. flush: show pending progress now. */
int apply_lines(struct db *db, struct apply *a, const char *text, size_t length, bool flush, struct err *e);

#endif
