/* loss.h - what is minimised: a const struct per loss and one list. Outputs come in lanes,
 * [blocks][features][LANES]. */
#ifndef WORKER_TRAIN_LOSS_H
#define WORKER_TRAIN_LOSS_H

#include "worker/train/feed.h"

#include <stddef.h>

/* Learning from another network's outputs: (1 - weight) of the loss, and weight of
 *
 *     classes   T^2 KL(softmax(t / T) || softmax(y / T))    Hinton, Vinyals, Dean, arXiv 1503.02531
 *     values    nothing of its own: the target becomes (1 - weight) target + weight t */
struct distill {
    double weight, temperature; /* T, for classes */
    double features;            /* of what layers give out (hints.h), at the first step; 0: only outputs */
};

struct loss_call {
    const real *y;               /* outputs */
    const struct target *target; /* label or value, as the loss needs */
    const real *teacher;         /* outputs t of the teacher; NULL: none. For classes only */
    struct distill distill;
    double smoothing; /* label smoothing (Szegedy et al., arXiv 1512.00567): a wrong class's share of 1 is
                         smoothing / features; for classes only */
    int features, samples, blocks;
    real *gradient; /* of the mean over the samples, NULL: none; unused lanes get 0 */
};

struct loss_result {
    double loss;     /* sum over the samples */
    int64_t correct; /* classes: samples whose greatest output (the first of equal ones) is the label's */
};

struct loss {
    const char *name, *title;
    bool classes; /* the target is label; else value */
    struct loss_result (*run)(const struct loss_call *c);
};

/* cross-entropy: -log softmax(y)[label], in nats */
extern const struct loss loss_cross_entropy;
/* Means over the features of d = y - target: l2: d^2; l1: |d|; charbonnier: sqrt(d^2 + 1e-6) (Lai et al.,
 * arXiv 1704.03915). */
extern const struct loss loss_l2, loss_l1, loss_charbonnier;

extern const struct loss *const loss_list[]; /* NULL-terminated */
const struct loss *loss_find(const char *name);

#endif
