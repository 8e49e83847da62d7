/* histogram.h - where latent weights lie between the levels of their grid, all layers of up to 4 bits
 * together. Distances are in steps of each weight's own scale. */
#ifndef WORKER_QUANT_HISTOGRAM_H
#define WORKER_QUANT_HISTOGRAM_H

#include "worker/quant/quant.h"

enum { HISTOGRAM_CELLS = 16 };

struct histogram {
    int64_t count;                  /* of weights; 0: there is no such layer */
    double offset[HISTOGRAM_CELLS]; /* share with w / s - code in cell k of -1/2 .. 1/2; what is clipped by
                                       the grid counts at its end */
    double variance;                /* of w / s - code within the bins of each layer, mean over the weights */
};

/* One pass over all weights of q, by the caller alone; w is graph->param, and q->q of the last quant_apply.
 */
void histogram_take(const struct quant *q, const real *w, struct histogram *h);

#endif
