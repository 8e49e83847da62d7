/* exact.h - scales of so few bits that a runtime in floating point computes the very integers that we do.
 *
 * A layer adds up products (code * step) * (code * scale). With a step of M_x 2^a and a scale of M_w 2^b all
 * of them, and the bias, are multiples of 2^(a + b), and as long as the worst case of the sum is at most 2^24
 * of these, float arithmetic is exact in any order (span.h). The same holds of residual sums, clips and means
 * of a power of two of numbers. A quotient by a step of few bits is a half of an integer or far from one, so
 * that QuantizeLinear finds the same code in floats as in integers.
 *
 * What is changed: steps of activations to a multiple of a power of two with 1 to 4 bits, as the layers that
 * read them leave room; then the weights' scales, one for each output, to the finest power of two that their
 * sums, and the sums that these become a part of, allow. Codes stay, unless rounding the weights anew to the
 * new scale changes them less: with 8 bits and scales of 1 or 2 bits it does. */
#ifndef WORKER_QUANT_EXACT_H
#define WORKER_QUANT_EXACT_H

#include "worker/graph/graph.h"

struct exact_report {
    int layers, exact; /* with weights; those among them whose sums are exact */
    int faults;        /* nodes that were told of */
    /* A node that is not exact, and why; may be NULL. */
    void (*tell)(const void *of, const struct node *n, const char *why);
    const void *of;
};

/* Of a graph with codes whose normalizations have been folded (fold.h). Layers that can't be made exact keep
 * their numbers. Errors: ERR_NOMEM. */
int exact_scales(struct graph *g, struct exact_report *r, struct err *e);

#endif
