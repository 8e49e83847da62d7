/* broadcast.h - several inputs met number by number, stretched to one shape as ONNX (and numpy) does. An
 * input is an activation (LANES numbers per element) or a parameter (one number for all samples). */
#ifndef WORKER_OP_BROADCAST_H
#define WORKER_OP_BROADCAST_H

#include "worker/op/op.h"

struct broadcast_input {
    ptrdiff_t step[GRAPH_RANK]; /* in elements; 0 where it is stretched */
    bool param;
};

struct broadcast {
    int rank; /* neighbouring dimensions that move together are merged; at least 1 */
    int64_t dim[GRAPH_RANK];
    ptrdiff_t out[GRAPH_RANK]; /* the output's steps */
    struct broadcast_input input[NODE_INPUTS];
    int trained;           /* input that is a parameter with a gradient; -1: none */
    int64_t trained_count; /* its elements */
};

/* Where row number `row` begins in the output and in each input; rows run over the last dimension. */
struct broadcast_row {
    int64_t index[GRAPH_RANK];
    ptrdiff_t out, input[NODE_INPUTS];
};

/* n->state = struct broadcast, and the output's shape. At most one input may be a trainable parameter. */
int broadcast_setup(struct graph *g, struct node *n, int least, int most, struct err *e);
bool broadcast_next(const struct broadcast *b, int inputs,
                    struct broadcast_row *row);                   /* false behind the last */
int broadcast_items(const struct graph *g, const struct node *n); /* elements of the trained parameter */

/* An input's row at `row` of one block: element i, lane l is at[i * step + l * lane]. */
struct broadcast_part {
    const real *at;
    ptrdiff_t step;
    int lane; /* 0 for a parameter, 1 for an activation */
};
struct broadcast_part broadcast_part(const struct step *s, const struct node *n, int input, int block,
                                     const struct broadcast_row *row);

/* Call fn for every output element that element `item` of the trained parameter meets: its offset in the
 * output and in input `other` (-1: not wanted). */
typedef void broadcast_fn(void *arg, ptrdiff_t out, ptrdiff_t other);
void broadcast_meet(const struct broadcast *b, int64_t item, int other, broadcast_fn *fn, void *arg);

#endif
