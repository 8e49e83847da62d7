/* correct.h - bias correction: the mean that quantization has moved is moved back (Nagel et al., arXiv
 * 1906.04721, section 4.2, measured on data; Banner et al., arXiv 1810.05723, section 4). */
#ifndef WORKER_CALIBRATE_CORRECT_H
#define WORKER_CALIBRATE_CORRECT_H

#include "worker/calibrate/batches.h"
#include "worker/quant/quant.h"

struct correction {
    struct graph *plain;    /* the network in floating point; its layers are those of `graph`, in order */
    struct graph *graph;    /* the same with quantizers; its biases are corrected */
    struct quant *quant;    /* of it, its scales final */
    struct net_options net; /* for both: inference, one batch */
    struct batches batches;
};

/* Before that, on the network as it came: layers that a constant per channel could go nowhere in get a bias
 * of zeros, which computes the same; *made counts them. ERR_NOMEM; else those of graph_finish. */
int correct_make_biases(struct graph *g, int *made, struct err *e);

/* Layer by layer, so that each sees what the corrected ones before it make: the difference of the mean output
 * per channel is added to the layer's bias, or taken off the running mean of the normalization that alone
 * reads it. Layers with neither (a MatMul) stay; *corrected counts the others. Errors: those of net_new. */
int correct_biases(const struct correction *c, int *corrected, struct err *e);

#endif
