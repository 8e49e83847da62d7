/* chain.h - nodes that run in one pass over memory: an operator that takes a tail (op.h), then an addition or
 * none, a ReLU or none, a quantizer or none; or a ReLU and a quantizer. The values in between are never made,
 * but for the numbers in front of a quantizer that others read, too, behind an addition. */
#ifndef WORKER_GRAPH_CHAIN_H
#define WORKER_GRAPH_CHAIN_H

#include "worker/op/op.h"

/* For every node its tail and the position at which it runs: that of its chain's last node (or of the one in
 * front of the quantizer, whose output others read), where all that the chain reads is there. gone[value]: it
 * is in between. wanted: gradients (plan.h); apart: no chains at all. Arrays are the caller's: g->nodes tails
 * and turns, g->values marks, zeroed. Returns ERR_NOMEM or 0. */
int chain_find(const struct graph *g, bool train, bool apart, const bool *wanted, struct tail *tail,
               int *turn, bool *gone);

#endif
