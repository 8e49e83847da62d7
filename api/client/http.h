/* http.h - requests to one server. Only http.c knows libcurl. */
#ifndef API_CLIENT_HTTP_H
#define API_CLIENT_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS 3

struct http; /* the server's address, the token, and a connection that is used again */

struct http_request {
    const char *method;               /* NULL: GET */
    const char *path;                 /* from the slash on, query encoded */
    const char *json;                 /* body in memory, or NULL */
    const char *file;                 /* body streamed from this file, or NULL */
    const char *header[HTTP_HEADERS]; /* "Name: value" or NULL */
    /* A 2xx body in pieces instead of in memory; anything but 0 ends the transfer (that is no error). */
    int (*sink)(void *arg, const void *data, size_t length);
    void (*progress)(void *arg, int64_t sent, int64_t total); /* of the body that is sent; NULL: none */
    void *arg;
    bool stream; /* an event stream: lasts as long as something comes at least every 45 s */
};

struct http_answer {
    long status;
    struct buf body; /* in memory, at most 64 MiB; release with http_answer_free */
};

/* url "http://HOST:PORT"; token NULL or "": none. NULL with e filled when they can't be used. */
struct http *http_new(const char *url, const char *token, struct err *e);
void http_free(struct http *h);
const char *http_url(const struct http *h);

/* 0 when there is an answer, whatever its status; ERR_BUSY when the server can't be reached or the line
 * broke; ERR_IO when the file to send can't be read. */
int http_call(struct http *h, const struct http_request *r, struct http_answer *a, struct err *e);
void http_answer_free(struct http_answer *a);

/* Append "KEY=VALUE" percent-encoded, with '?' or '&' before it as needed; value NULL: nothing. */
void http_query(struct buf *path, const char *key, const char *value);

#endif
