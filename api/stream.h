/* stream.h - server-sent events: the text that goes over the wire. server/ decides when. */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "base/buf.h"
#include "storage/event.h"

#define STREAM_HELLO "retry: 2000\n\n" /* first on every stream: reconnect after two seconds */
#define STREAM_PING  ": ping\n\n"      /* every 15 s, so that a client that is gone is noticed */

/* One event: id, event, data. The data is the stored JSON object with "job" and "seq" (the id) put in.
 * Returns what buf_append does. */
int stream_format(const struct event *ev, struct buf *b);

#endif
