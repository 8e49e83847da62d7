/* http_answer.h - from what a handler said to what goes over the wire: conditional requests, ranges, caching.
 * Knows the rules of RFC 9110, not the library that sends. */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include "api/exchange.h"

enum answer_body { ANSWER_MEMORY, ANSWER_FILE, ANSWER_STREAM };

struct answer {
    int status;
    enum answer_body body;
    int64_t offset, length; /* ANSWER_FILE: the part to send */
    bool accept_ranges;
    char content_range[72];    /* "" none */
    const char *cache_control; /* NULL: the handler has said it */
};

/* May change x: a 304 or 416 drops the file. */
void http_answer_plan(struct exchange *x, struct answer *a);

/* Every header of the answer, the handler's own first. */
void http_answer_headers(const struct exchange *x, const struct answer *a,
                         void (*add)(void *to, const char *name, const char *value), void *to);

/* Does an If-None-Match list hold this tag (weak comparison)? For tests. */
bool http_answer_matches(const char *list, const char *etag);

#endif
