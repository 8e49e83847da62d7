/* http.h - libmicrohttpd on the loop: no thread of its own, its epoll descriptor is a uv_poll, its timeout a
 * uv_timer. http.c is the only file that knows the library. Loop thread only. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "api/api.h"
#include "server/listen.h"
#include "server/sse.h"

#include <uv.h>

struct http;

/* Takes listener->fd. api must outlive it. */
int http_new(uv_loop_t *loop, struct api *api, const struct listener *listener, struct http **http,
             struct err *e);
struct sse *http_sse(struct http *h);
/* No new connections; streams end; requests that are being answered go on. */
void http_quiesce(struct http *h);
int http_busy(const struct http *h); /* requests not yet answered to the end */
/* Cuts what is left. The memory goes after the loop has run. */
void http_close(struct http *h);

#endif
