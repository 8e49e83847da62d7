/* sweeper.h - at start and once an hour: blobs that nothing uses, and what a crash left of jobs and blobs. */
#ifndef SERVER_SWEEPER_H
#define SERVER_SWEEPER_H

#include "storage/db.h"

#include <uv.h>

struct sweeper;

struct sweeper *sweeper_new(uv_loop_t *loop, struct db *db); /* NULL: out of memory; the first time is now */
void sweeper_close(struct sweeper *s); /* NULL is fine; the memory goes after the loop has run */

#endif
