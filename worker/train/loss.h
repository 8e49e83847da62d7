/* loss.h - what is minimised. Outputs come in lanes, [blocks][classes][LANES]. */
#ifndef WORKER_TRAIN_LOSS_H
#define WORKER_TRAIN_LOSS_H

#include "worker/real.h"

struct loss_result {
    double loss;     /* sum over samples of -log softmax(y)[label], in nats */
    int64_t correct; /* samples whose greatest output (the first of equal ones) is the label's */
};

/* Cross entropy with softmax inside. gradient (NULL: none) is that of the mean over the samples; unused lanes
 * get 0. */
struct loss_result loss_cross_entropy(const real *y, const int32_t *label, int classes, int samples,
                                      int blocks, real *gradient);

#endif
