/* drain.h - the end of a connection whose client is still sending what nobody wants to read. A plain close
 * would answer its bytes with a reset, and the reset can overtake our answer; so go on reading for a moment,
 * into nothing. */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H

#include <uv.h>

struct drains {
    uv_loop_t *loop;
    struct drain *first;
};

/* fd: a duplicate of the connection's socket, owned from now on. */
void drain_start(struct drains *l, int fd);
void drain_stop_all(struct drains *l);

#endif
