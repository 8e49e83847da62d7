/* space.h - where in one arena each piece of memory lies while it is alive: best fit over free gaps, played
 * through at planning time. It hands out offsets, no memory. */
#ifndef WORKER_GRAPH_SPACE_H
#define WORKER_GRAPH_SPACE_H

#include <stddef.h>

struct space_gap {
    size_t offset, size;
};

struct space {
    struct space_gap *gap; /* owned; by offset, never adjacent, all below `peak` */
    int gaps, capacity;
    size_t peak; /* length of the arena so far */
};

#define SPACE_ALIGN 64

int space_take(struct space *s, size_t size, size_t *offset); /* 0, ERR_NOMEM, or ERR_TOO_LARGE on overflow */
int space_give(struct space *s, size_t offset, size_t size);  /* as taken; 0 or ERR_NOMEM */
void space_free(struct space *s);

#endif
