/* events.h - the worker's only channel upward: DIR/events.jsonl, one JSON object a line, each with the next
 * seq. A new attempt reads the last whole line to go on counting and cuts off a torn one. Safe from several
 * threads. */
#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

struct events;

int events_open(const char *dir, int attempt, const char *token, struct events **ev, struct err *e);
void events_close(struct events *ev);
/* Takes `fields` (an object; NULL: none), adds seq, t (type), time (ms) and attempt. Written with one
 * write(2). */
void events_emit(struct events *ev, const char *type, json_t *fields);
/* Characters of the series that api/event.h does not have become '_'; of a name that is too long for it the
 * part up to the first point stays, and the end. */
void events_metric(struct events *ev, const char *series, int64_t step, double value);
void events_phase(struct events *ev, const char *phase);
void events_progress(struct events *ev, int64_t step, int64_t steps, double eta_s);
void events_log(struct events *ev, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
