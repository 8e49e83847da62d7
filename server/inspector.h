/* inspector.h - strangers' files are parsed by `quantd-worker inspect` in its sandbox, never here. At most
 * two at a time, the rest queued; a crash or an endless one is a clear error for the client and nothing else.
 */
#ifndef SERVER_INSPECTOR_H
#define SERVER_INSPECTOR_H

#include "base/err.h"

#include <uv.h>

#define INSPECTOR_QUEUE_MAX 32

struct inspector;
struct inspection;

struct inspector *inspector_new(uv_loop_t *loop,
                                const char *worker); /* worker must outlive it; NULL: out of memory */
void inspector_free(struct inspector *i);            /* kills what runs; NULL is fine */

/* kind: "model" | "dataset"; format: NULL or a name. done() comes later from the loop with JSON or with an
 * error. NULL when the queue is full. */
struct inspection *inspector_start(struct inspector *i, const char *kind, const char *path,
                                   const char *format,
                                   void (*done)(void *cookie, const char *json, const struct err *e),
                                   void *cookie);
void inspector_forget(struct inspection *n); /* nobody wants to know any more */

#endif
