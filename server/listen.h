/* listen.h - the listening socket: made by us so that any host name, IPv6 and a free port work and can be
 * told. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "base/err.h"

#include <stdbool.h>

struct listener {
    int fd;        /* owned until handed to http_new */
    char url[160]; /* "http://HOST:PORT" with the real port */
    bool loopback; /* only this machine can reach it */
};

/* address: "HOST:PORT" or "[IPV6]:PORT". */
int listen_open(const char *address, struct listener *l, struct err *e);

#endif
