/* compact.h - what beside the weights costs bytes in a small file is rounded, too: biases, normalization,
 * steps. */
#ifndef WORKER_QUANT_COMPACT_H
#define WORKER_QUANT_COMPACT_H

#include "worker/quant/quant.h"

enum { COMPACT_BIAS_MOST = 8, COMPACT_BIAS_LEAST = 3, COMPACT_MANTISSA = 7 };

/* Bits of the mantissa of scales: in a network with more than COMPACT_LARGE weights that are not zero the
 * finer ones cost nothing that shows. One scale is a factor of 1.6 % at worst, of twenty layers without
 * normalizations 0.02 dB (VDSR at x2). */
enum { COMPACT_STEP = 5, COMPACT_STEP_LARGE = 10, COMPACT_LARGE = 8192 };

/* x with so many bits behind the leading one of its mantissa, to nearest. 0 and what is not finite stay. */
real compact_round(real x, int mantissa);

/* After quant_snap: the scale of every quantized weight gets a short mantissa, and the weights
 * follow it, so that codes stay. Latent weights that were quantized with the rounded scale would not: those
 * that learned steps leave between two codes fall to either side. */
void compact_scales(struct quant *q, struct graph *g, struct pool *p);

/* After quant_codes: where nothing but what is linear for positive factors (ReLU, pools) lies between a layer
 * and those that read it, their weights take over its scale: layers get one and the same power of two, which
 * costs next to nothing in the file, and the last of each row what is left, with a short mantissa.
 * Outputs change by that rounding only. Returns how many scales moved, or an error. */
int compact_move_scales(struct graph *g, struct err *e);

/* What a graph as it now is costs: the less the better. 0 or an error. */
struct compact_judge {
    void *arg;
    int (*cost)(void *arg, double *cost, struct err *e);
};

/* After quant_codes: biases that are still floats become codes with one step each; other float vectors
 * (normalization, activation steps) get mantissas of COMPACT_MANTISSA bits. Float weights stay. The codes of
 * all biases have the width from COMPACT_BIAS_MOST down to COMPACT_BIAS_LEAST bits, and steps with a
 * mantissa or that are powers of two, whichever costs least, of equal ones the wider and finer; without a
 * judge (NULL) COMPACT_BIAS_MOST, with a mantissa. */
int compact_graph(struct graph *g, const struct compact_judge *judge, struct err *e);

#endif
