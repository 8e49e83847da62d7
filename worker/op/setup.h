/* setup.h - what the setup functions of operators share: inputs, attributes, axes. Errors leave out the node:
 * the caller adds it. */
#ifndef WORKER_OP_SETUP_H
#define WORKER_OP_SETUP_H

#include "worker/op/op.h"

/* Only these attributes (NULL-terminated) may be there. */
int setup_attrs(const struct node *n, const char *const *known, struct err *e);
/* Between least and most inputs, the first `least` of them given. setup_arity: and one output. */
int setup_inputs(const struct node *n, int least, int most, struct err *e);
int setup_arity(const struct node *n, int least, int most, struct err *e);
bool setup_has(const struct node *n, int input); /* is this optional input given? */

/* The sample's shape of an input that must be an activation; NULL on error. */
const struct shape *setup_activation(const struct graph *g, const struct node *n, int input, struct err *e);
/* The shape of an input that must be a parameter or a constant; NULL on error. */
const struct shape *setup_param(const struct graph *g, const struct node *n, int input, struct err *e);
/* The same, and `count` elements long. */
int setup_vector(const struct graph *g, const struct node *n, int input, int64_t count, struct err *e);

/* ONNX counts axes with the batch in front: to one of the sample's `rank`, 0 <= *out < rank. */
int setup_axis(const struct graph *g, int rank, int64_t axis, int *out, struct err *e);
/* A word among those possible (NULL-terminated), the first when it is absent: its index. */
int setup_word(const struct node *n, const char *name, const char *const *words, int *index, struct err *e);
/* Integers from an attribute or, in later opsets, from a constant input; *count -1 when neither is there. */
int setup_ints(const struct graph *g, const struct node *n, const char *name, int input, int64_t *out,
               int capacity, int *count, struct err *e);
/* The number in a parameter or constant of one element. */
int setup_scalar(const struct graph *g, const struct node *n, int input, double *out, struct err *e);

void setup_output(struct graph *g, const struct node *n, const struct shape *shape);
/* n->state = size bytes of zeros; NULL and an error when out of memory. */
void *setup_state(struct node *n, size_t size, struct err *e);
void setup_teardown(struct node *n); /* free(n->state) */

/* Features of one block times LANES: the step from block to block of a value. */
size_t setup_block(const struct graph *g, int value);

#endif
