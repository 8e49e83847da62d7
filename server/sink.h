/* sink.h - an upload on its way to DIR/tmp: gathered in two buffers, written and hashed in the thread pool.
 *
 * While one buffer is written the other one fills; when both are full sink_add takes nothing more and wake()
 * is called as soon as it is worth trying again. Memory per upload is 2 * SINK_BUFFER whatever the body. Loop
 * thread only. */
#ifndef SERVER_SINK_H
#define SERVER_SINK_H

#include "api/exchange.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SINK_BUFFER ((size_t)256 << 10)

struct sink;

struct sink_limits {
    int64_t upload_max; /* bytes; more is ERR_TOO_LARGE */
    int64_t disk_floor; /* bytes that stay free; less is ERR_FULL */
};

int sink_open(uv_loop_t *loop, const char *tmp_dir, const struct sink_limits *limits, void (*wake)(void *arg),
              void *arg, struct sink **sink, struct err *e);
/* Bytes taken; fewer than length: call again after wake(). After an error everything is taken and dropped. */
size_t sink_add(struct sink *s, const void *data, size_t length);
/* Write what is left and sync. True: sink_result may be asked now; false: after wake(). May be called again.
 */
bool sink_end(struct sink *s);
int sink_error(const struct sink *s, struct err *e); /* 0 or what has gone wrong so far */
/* After sink_end said true: path, hash and size into *u, who owns the file from now on. */
int sink_result(struct sink *s, struct upload *u, struct err *e);
void sink_free(
    struct sink *s); /* at any time; removes the file unless sink_result gave it away; NULL is fine */

#endif
