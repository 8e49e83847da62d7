/* equalize.h - channels of one activation get the same range, so that one step suits them all, without a
 * change of what the network computes: cross-layer equalization (Nagel et al., arXiv 1906.04721,
 * section 4.1), with ranges measured on data. A channel's range is its norm of exponent 8: the largest value
 * of all is a matter of luck, and its step is clipped below it. VDSR at x4, 8 bits but for its input, loses
 * 0.045 dB by the largest values, 0.030 by exponent 8 (0.032 by 16, 0.057 by 6). */
#ifndef WORKER_CALIBRATE_EQUALIZE_H
#define WORKER_CALIBRATE_EQUALIZE_H

#include "worker/calibrate/batches.h"

struct equalization {
    struct graph *graph;    /* float, finished; its parameters change in place */
    struct net_options net; /* inference, one batch */
    struct batches batches;
};

/* Unit i of a layer is divided by s_i, where its readers multiply by it; that passes through what is linear
 * for positive factors (ReLU, pools). [RULE] The paper's s_i = sqrt(r1_i / r2_i) balances the ranges of
 * weights alone; here s_i is the range of what the readers see, by the layer's largest. The noise of an
 * activation's step in its readers is then the least that any s can give: sum_i (w_i s_i)^2 max_k(range_k /
 * s_k)^2. Behind a normalization it is its factor and offset that are divided, and the filters before it,
 * whose size it takes away, all get the same range. Outputs change by rounding only. *layers: how many layers
 * were changed. Errors: those of net_new. */
int equalize(const struct equalization *z, int *layers, struct err *e);

/* What the net of equalize() holds beside net_bytes(): the activations that it looks at. ERR_NOMEM. */
int equalize_bytes(const struct graph *g, int batch, size_t *bytes, struct err *e);

#endif
