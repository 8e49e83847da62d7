/* event.h - one line of events.jsonl, checked: the server trusts nothing that a worker writes. */
#ifndef API_EVENT_H
#define API_EVENT_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

#define EVENT_SERIES_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-"
#define EVENT_LINE_MAX     65536 /* bytes of one line; longer ones are skipped and counted */

#define EVENT_TYPES(X)                                                                                       \
    X(HELLO, "hello")       /* version, threads, kernels, sandbox, pid, memory_bytes planned */              \
    X(PHASE, "phase")       /* phase: load train snap export score report */                                 \
    X(PROGRESS, "progress") /* step, steps, eta_s */                                                         \
    X(METRIC, "metric")     /* series, step, value */                                                        \
    X(ARTIFACT, "artifact") /* name, bytes */                                                                \
    X(LOG, "log")           /* level, text */                                                                \
    X(WARNING, "warning")   /* text, code */                                                                 \
    X(ERROR, "error")       /* code (name in ERR_MAP), text, place */                                        \
    X(DONE, "done")         /* value, metric */

#define EVENT_ENUM(name, text) WORKER_EVENT_##name,
enum worker_event_type { EVENT_TYPES(EVENT_ENUM) WORKER_EVENT_COUNT };
#undef EVENT_ENUM

struct worker_event {
    int64_t seq; /* 1.. per job, rising by one across attempts */
    int64_t time_ms;
    int attempt;
    enum worker_event_type type;
    char series[48]; /* metric; of EVENT_SERIES_CHARS */
    int64_t step, steps;
    double value, eta_s; /* eta_s < 0: unknown */
    json_t *object;      /* owned: the whole line */
};

const char *worker_event_text(enum worker_event_type t);
/* line: without newline. ERR_CORRUPT names what is wrong; nothing to release then. */
int worker_event_parse(const char *line, size_t length, struct worker_event *ev, struct err *e);
void worker_event_release(struct worker_event *ev);

#endif
