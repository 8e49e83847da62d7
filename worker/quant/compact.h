/* compact.h - what beside the weights costs bytes in a small file is rounded, too: biases, normalization,
 * steps. */
#ifndef WORKER_QUANT_COMPACT_H
#define WORKER_QUANT_COMPACT_H

#include "worker/quant/quant.h"

enum { COMPACT_BIAS_BITS = 8, COMPACT_MANTISSA = 7, COMPACT_STEP = 5 };

/* x with so many bits behind the leading one of its mantissa, to nearest. 0 and what is not finite stay. */
real compact_round(real x, int mantissa);

/* Before the snap: the scale of every quantized weight gets a mantissa of COMPACT_STEP bits. */
void compact_scales(struct quant *q);

/* After quant_codes: biases that are still floats become codes of COMPACT_BIAS_BITS bits with one step each;
 * other float vectors (normalization, activation steps) mantissas of COMPACT_MANTISSA bits. Float weights
 * stay. */
int compact_graph(struct graph *g, struct err *e);

#endif
