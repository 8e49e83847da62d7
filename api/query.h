/* query.h - the part of a request behind the question mark. Unknown, repeated or malformed parameters are
 * 400s that name them: silence is never an answer. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "api/exchange.h"

/* Holds the query against the route's list; false: a problem has been answered. The first line of every /v1
 * handler. */
bool query_ok(struct exchange *x);

/* A whole number in low..high; absent: *out is left alone. ERR_SYNTAX names the parameter. */
int query_int(const struct exchange *x, const char *key, int64_t low, int64_t high, int64_t *out,
              struct err *e);

/* 0 or 1, absent is 0. */
int query_flag(const struct exchange *x, const char *key, bool *out, struct err *e);

/* Percent-encode for a query or a path segment. */
int query_encode(struct buf *b, const char *text);

#endif
