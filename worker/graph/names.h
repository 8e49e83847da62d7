/* names.h - a hash index from names to positions, so that building a graph of n names costs O(n). The strings
 * are borrowed: whoever owns the named thing owns them. */
#ifndef WORKER_GRAPH_NAMES_H
#define WORKER_GRAPH_NAMES_H

#include <stddef.h>

struct names_slot {
    const char *name; /* NULL: free */
    int index;
};

struct names {
    struct names_slot *slot; /* owned; open addressing, at most half full */
    size_t capacity, count;
};

int names_find(const struct names *t, const char *name);     /* the position, -1 when absent */
int names_put(struct names *t, const char *name, int index); /* 0 or ERR_NOMEM; the name must be new */
void names_clear(struct names *t);                           /* forget all, keep the memory */
void names_free(struct names *t);

#endif
