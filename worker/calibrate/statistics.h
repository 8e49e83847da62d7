/* statistics.h - the running statistics of normalizations, measured again once the weights are final. */
#ifndef WORKER_CALIBRATE_STATISTICS_H
#define WORKER_CALIBRATE_STATISTICS_H

#include "worker/calibrate/batches.h"

struct statistics_measure {
    struct graph *graph; /* its running statistics are written */
    struct net *net;     /* of it, made to train, with the weights that are to stay */
    struct batches batches;
};

/* Normalizations of the graph whose statistics are parameters. */
int statistics_count(const struct graph *g);

/* Mean and variance of each channel over all the samples, every layer fed as in training, by the statistics
 * of the batch. Moving averages end with those of the last ten batches or so, and of weights that were still
 * on their way: some of them jumped between two levels all the time (Nagel et al., arXiv 2203.11086, section
 * 3). A normalization whose momentum is 1 keeps what it has. Errors: ERR_NOMEM. */
int statistics_measure(const struct statistics_measure *m, struct err *e);

#endif
