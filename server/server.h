/* server.h - the parts put together: one thread, one loop, the only owner of the database. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "api/api.h"
#include "server/config.h"
#include "server/http.h"
#include "server/inspector.h"
#include "server/scheduler.h"
#include "server/supervisor.h"
#include "server/sweeper.h"

#include <uv.h>

struct server {
    uv_loop_t loop;
    struct config config; /* complete: every default filled in */
    struct db *db;
    struct api api;
    struct service service;
    struct listener listener;
    struct http *http;
    struct inspector *inspector;
    struct scheduler *scheduler;
    struct supervisor *supervisor;
    struct sweeper *sweeper;
    uv_signal_t term, interrupt;
    uv_timer_t patience; /* while closing */
    int64_t closing_ms;
};

/* Serve until SIGTERM or SIGINT. 0, or why it could not start. s is zeroed by the caller and large: not on
 * the stack. */
int server_run(struct server *s, const struct config *c, struct err *e);

/* service.c: fills s->service, the handlers' way to the machinery. */
void service_init(struct server *s);

#endif
