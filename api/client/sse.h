/* sse.h - server-sent events out of a stream of bytes, however it is cut into pieces. */
#ifndef API_CLIENT_SSE_H
#define API_CLIENT_SSE_H

#include "base/buf.h"

#include <stdint.h>

struct sse_event {
    const char *type; /* "message" when the stream says nothing */
    const char *data; /* lines joined */
};

struct sse {
    int (*event)(void *arg, const struct sse_event *ev); /* anything but 0 ends the feeding */
    void *arg;
    int64_t last_id; /* of the last event that had one; -1: none yet */
    int retry_ms;    /* what the server wants between two connections */
    struct buf line, data;
    char type[32];
    bool skip; /* the line is too long: thrown away up to its end */
};

void sse_init(struct sse *s, int (*event)(void *arg, const struct sse_event *ev), void *arg);
void sse_free(struct sse *s);
void sse_reset(
    struct sse *s); /* a new connection: half a line and half an event are forgotten, the last id is not */
int sse_feed(struct sse *s, const char *bytes, size_t length); /* 0, or what event() said */

#endif
