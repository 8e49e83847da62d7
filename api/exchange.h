/* exchange.h - one request and its answer, seen without HTTP machinery. server/http.c makes an exchange, the
 * handlers of api/ fill in the answer. Loop thread only.
 *
 * Life: http.c looks up the route (headers known) -> receives the body as the route says (memory up to 1 MiB
 * for JSON, else a hashed file in DIR/tmp) -> handler(api, x). The handler answers at once, or calls
 * exchange_park() and later exchange_ready() (the connection is suspended in between). */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum body_kind {
    BODY_NONE,
    BODY_JSON,  /* in memory, at most EXCHANGE_JSON_MAX, depth at most 64, no duplicate keys */
    BODY_UPLOAD /* on disk, at most the configured upload limit; a JSON body {"blob": "sha256:..."} also goes
                   here */
};

#define EXCHANGE_JSON_MAX ((size_t)1 << 20)

struct api;
struct exchange;
struct route;

struct upload {
    char path[512]; /* in DIR/tmp; whoever adopts it sets path[0] = 0, else it is removed */
    char hash[HASH_TEXT];
    int64_t size;
};

/* A live stream: http.c asks for more whenever the client can take it. */
struct stream {
    int64_t job;   /* 0: all jobs */
    int64_t after; /* last event seq sent */
};

struct exchange {
    /* the request */
    const struct route *route;
    char method[8];
    char path[512];
    char param[3][80]; /* {id}, {name} of the route's pattern, percent-decoded, in order */
    char user[64];     /* token's name; "" without accounts */
    char request_id[17];
    void *http; /* http.c's own */
    const char *(*query)(const struct exchange *x,
                         const char *key); /* decoded; NULL when absent, "" for bare keys */
    /* value NULL: a zero byte in it, or in the key */
    int (*query_each)(const struct exchange *x, int (*f)(void *arg, const char *key, const char *value),
                      void *arg);
    const char *(*header)(const struct exchange *x, const char *name); /* NULL when absent */
    const char *body; /* BODY_JSON: zero-terminated, else NULL */
    size_t body_length;
    struct upload upload; /* BODY_UPLOAD */

    /* the answer */
    int status; /* 0 until answered */
    char content_type[64];
    struct buf out; /* body in memory, unless file or stream */
    struct {
        char name[32];
        char value[256];
    } add[8]; /* further headers */
    int adds;
    char etag[80]; /* with quotes; "" none. http.c answers If-None-Match with 304 */
    int file;      /* open fd to send with ranges, -1: none; http.c closes it */
    int64_t file_bytes;
    bool is_stream;
    struct stream stream;
    bool parked;
    void (*ready)(struct exchange *x); /* http.c's: resume the connection */
    void (*abandoned)(void *arg);      /* set with arg by whoever parked it: the client went away meanwhile */
    void *arg;
};

/* Answers. JSON takes the reference. http.c adds nosniff, X-Request-Id, and Cache-Control where none was
 * said. */
void exchange_json(struct exchange *x, int status, json_t *body);
void exchange_text(struct exchange *x, int status, const char *content_type, const char *text);
void exchange_empty(struct exchange *x, int status);
void exchange_header(struct exchange *x, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* application/problem+json from an error; errors[] holds its place when there is one. */
void exchange_problem(struct exchange *x, const struct err *e);
struct spec_problems;
void exchange_problems(struct exchange *x, int code, const struct spec_problems *p); /* many places */

void exchange_park(struct exchange *x, void (*abandoned)(void *arg), void *arg);
void exchange_ready(struct exchange *x);

#endif
