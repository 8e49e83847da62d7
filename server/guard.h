/* guard.h - who may ask: bearer tokens when there are any, and without them a shield against other web pages
 * in the browser of somebody who runs quantd on loopback (foreign Origin, rebound host names). */
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include "api/exchange.h"
#include "storage/db.h"

/* 0 with x->user filled, ERR_AUTH or ERR_FORBIDDEN. open: the route needs no token. */
int guard_check(struct db *db, struct exchange *x, bool open, bool loopback, struct err *e);

/* The parts, for tests. host: "NAME[:PORT]" as in the Host header. */
bool guard_host_is_local(const char *host);
bool guard_origin_matches(const char *origin, const char *host);

#endif
