/* span_parts.h - what the two ways through a network share (span.h). */
#ifndef WORKER_QUANT_SPAN_PARTS_H
#define WORKER_QUANT_SPAN_PARTS_H

#include "worker/op/op.h"
#include "worker/quant/span.h"

#include <string.h>

enum { ANY_BIT = -10000 }; /* below all exponents */

enum span_how {
    SPAN_ROUNDS = -1,
    SPAN_LAYER,
    SPAN_MOVE, /* numbers elsewhere, or some of them */
    SPAN_CLIP,
    SPAN_ADD,
    SPAN_MEAN,
    SPAN_QUANTIZER
};
enum span_how span_how(const struct node *n);

/* Forwards: the spans of a node's output; false: its numbers are rounded ones. why is set where that begins.
 */
bool span_measure(struct spans *s, int node);

/* Does every channel of the output come from its own one, not from all channels of all inputs? */
bool span_own(const struct graph *g, const struct node *n);
int span_bias(const struct node *n); /* of a layer; -1: it has none */
/* What one is worth in the sums of an output: step * scale. */
double span_unit(const struct graph *g, const struct node *n, int quantizer, int64_t output);
void span_clip(const struct graph *g, const struct node *n, double ends[2]);
double span_taken(const struct graph *g, const struct node *n); /* numbers in a mean; 0: not always as many */

#endif
