/* stream.h - server-sent events: the text that goes over the wire. server/ decides when. */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "base/buf.h"
#include "storage/event.h"

/* One event: id, event, data. The data is the stored JSON object with "job" and "seq" (the id) put in.
 * Returns what buf_append does. */
int stream_format(const struct event *ev, struct buf *b);

#endif
