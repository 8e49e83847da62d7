/* request.h - one HTTP request from its headers to its answer, without HTTP machinery: route, guard, body,
 * handler.
 *
 *   HEADERS ─► BODY ─► FLUSH (upload being written) ─► HANDLER (may be parked) ─► ANSWERED
 *        └───────┴── refused: the answer is there early, the rest of the body is dropped
 *
 * http.c owns it and moves it; request.c never suspends or answers by itself. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "api/api.h"
#include "api/exchange.h"
#include "server/sink.h"

#define REQUEST_DRAIN_MAX ((int64_t)1 << 20) /* bodies up to this are read before a refusal is answered */

enum request_stage { REQUEST_HEADERS, REQUEST_BODY, REQUEST_FLUSH, REQUEST_HANDLER, REQUEST_ANSWERED };

/* What all requests of a server share. */
struct request_context {
    struct api *api;
    uv_loop_t *loop;
    char tmp_dir[512];
    bool loopback;               /* bound to this machine only */
    void (*wake)(void *request); /* a waiting request can go on */
};

struct request {
    struct exchange x;
    const struct request_context *context;
    enum request_stage stage;
    bool refused;      /* answered before its handler ran */
    bool expects;      /* the client waits for "100 Continue" before it sends the body */
    int64_t length;    /* Content-Length; 0: no body; -1: chunked */
    int64_t dropped;   /* bytes of the body that nobody wanted */
    struct buf body;   /* BODY_JSON */
    struct sink *sink; /* BODY_UPLOAD; owned */
    int64_t started_ns;
};

/* x.method, x.path and the callbacks of x are set. Finds the route, checks the guard and what can be known
 * about the body. Afterwards refused is set, or the body may come. path: still percent-encoded, without
 * query. */
void request_begin(struct request *r, const struct request_context *context, const char *path);
/* A refusal that need not read the body: the client is waiting for leave to send it, or it is too large to
 * drain. */
bool request_answer_now(const struct request *r);
/* Bytes taken; fewer than length: suspend until wake(). Negative: give the connection up. */
int64_t request_body(struct request *r, const char *data, size_t length);
/* The body is complete, or a suspended request goes on. True: the answer in x is ready; false: suspend. */
bool request_end(struct request *r);
void request_deinit(struct request *r); /* on every path; tells a parked handler that the client has gone */

#endif
