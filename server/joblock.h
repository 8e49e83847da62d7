/* joblock.h - DIR/lock from the daemon's side: does a worker live in this directory, and which one? */
#ifndef SERVER_JOBLOCK_H
#define SERVER_JOBLOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct joblock {
    bool held;   /* some process holds it now */
    int attempt; /* 0: the content is not (yet) readable */
    char token[33];
    char handle[64]; /* "pid:start", as the local launcher names it */
};

/* A missing lock file is not held. */
int joblock_probe(const char *dir, struct joblock *lock, struct err *e);

#endif
