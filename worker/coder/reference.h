/* reference.h - a network told by its name: an architecture of the zoo, its size, how many units each layer
 * has left, what its ends are called, and where activations are quantized. Whatever a graph's inner names:
 * what comes back has those of the zoo. */
#ifndef WORKER_CODER_REFERENCE_H
#define WORKER_CODER_REFERENCE_H

#include "worker/coder/stream.h"
#include "worker/zoo/zoo.h"

struct reference {
    int row; /* in the frozen table of reference.c */
    struct zoo_request request;
    bool own_size;   /* that of the row */
    struct graph *g; /* owned: the zoo's graph with the units that are left; hollow when it was found */
    int *value;      /* owned; [values]: for each value of the zoo's graph, that of the graph at hand; -1 */
    int values;
};

/* Is this the zoo's? 1 and *r, 0 when it is not (an error of memory counts as that). */
bool reference_find(const struct graph *g, struct reference *r);
void reference_deinit(struct reference *r);

/* The byte that names it in a file: 1 + 2 * row + (size follows); 0 is no reference. */
uint8_t reference_byte(const struct reference *r);
/* The row of a byte. ERR_UNSUPPORTED. */
int reference_of(uint8_t byte, struct reference *r, struct err *e);

/* Write what follows the byte, for graph from. */
int reference_write(struct stream *s, const struct reference *r, const struct graph *from, struct err *e);
/* Read it: r->g is a finished graph whose parameters are zeros, not more than `most` of them; on failure,
 * too, what is in r is the caller's. */
int reference_read(struct stream *s, struct reference *r, uint64_t most, struct err *e);

#endif
