/* dead.h - units that no longer do anything leave the network, which computes the same without them. */
#ifndef WORKER_PRUNE_DEAD_H
#define WORKER_PRUNE_DEAD_H

#include "worker/graph/units.h"

/* Remove every unit of a float graph that nobody reads (its weights in all readers are zero), or that is the
 * same for every input (its own weights are zero): what it was then is added to its readers' biases. Again
 * and again until nothing changes; a layer keeps at least one unit. *removed: how many units went. Outputs
 * change by rounding at most. The graph comes back finished. */
int dead_remove(struct graph *g, int64_t *removed, struct err *e);

/* A bias that reaches its readers unchanged (through pools without padding, into layers without padding that
 * have a bias) is theirs: fold it into them and leave zeros. Outputs change by rounding at most. */
int dead_fold_biases(struct graph *g, struct err *e);

#endif
