/* fold.h - normalizations become a part of the layers before them, for runtimes that know no better. */
#ifndef WORKER_QUANT_FOLD_H
#define WORKER_QUANT_FOLD_H

#include "worker/graph/graph.h"

/* With f = gamma / sqrt(variance + epsilon): filter c of the layer times f_c, its bias f_c b_c + beta_c - f_c
 * mean_c. Of a quantized layer the codes stay, and its scales, one for each output channel from now on, are
 * multiplied: that is exact. Where f_c is negative the codes of that channel turn over. The bias gets
 * integers again where the layer's input has a step. Outputs change by the rounding of floating point and of
 * those integers only.
 *
 * Left as they are: normalizations that read something else than one convolution or matrix of their own,
 * whose numbers are not all parameters, that are the graph's output, and those with a channel that can't turn
 * over (-2^(bits - 1) has no opposite). *folded: how many are gone; the graph is finished again. Errors:
 * ERR_NOMEM, those of graph_finish. */
int fold_normalizations(struct graph *g, int *folded, struct err *e);

#endif
