/* sse.h - server-sent events: each stream is a cursor over the event table, so a slow client costs no memory
 * and a reconnecting one (Last-Event-ID) goes on where it was. Streams sleep when there is nothing new. */
#ifndef SERVER_SSE_H
#define SERVER_SSE_H

#include "api/exchange.h"
#include "storage/db.h"

#include <sys/types.h>
#include <uv.h>

#define SSE_STREAMS_MAX 64

struct sse;
struct sse_stream;

/* wake: a sleeping stream's connection (the cookie of sse_open) has something to send. */
struct sse *sse_new(uv_loop_t *loop, struct db *db, void (*wake)(void *cookie));
void sse_close(
    struct sse *s); /* when no stream is open any more; frees after the loop has run; NULL is fine */
int sse_count(const struct sse *s);
void sse_changed(struct sse *s); /* new rows in the event table */
void sse_end_all(struct sse *s); /* every stream gets its end at the next read; new ones are refused */

/* ERR_BUSY when there are SSE_STREAMS_MAX. */
int sse_open(struct sse *s, const struct stream *from, void *cookie, struct sse_stream **stream,
             struct err *e);
/* Bytes put into out; 0: nothing to say, sleep until wake; -1: the end. */
ssize_t sse_read(struct sse_stream *stream, char *out, size_t size);
void sse_stream_free(struct sse_stream *stream); /* NULL is fine */

#endif
