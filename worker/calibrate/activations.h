/* activations.h - ranges of activations from a few batches: signed or not, and the first step. */
#ifndef WORKER_CALIBRATE_ACTIVATIONS_H
#define WORKER_CALIBRATE_ACTIVATIONS_H

#include "worker/calibrate/batches.h"
#include "worker/calibrate/range.h"
#include "worker/quant/method.h"

struct calibration {
    struct graph *graph;           /* float */
    struct net *net;               /* of it, in inference mode, not used before */
    const struct method *method;   /* says how a step is found, */
    const struct range_rule *rule; /* unless this does; NULL */
    double percentile;             /* for the rule */
    struct batches batches;
    bool exact; /* inputs are whole multiples of 1/255 */
};

/* plan[i].activation.bits is set by the caller (32: leave); low, high, step and fixed are filled in for the
 * layers' inputs of the graph. */
int calibrate_activations(const struct calibration *c, struct quant_layer_plan *plan, int count,
                          struct err *e);

#endif
