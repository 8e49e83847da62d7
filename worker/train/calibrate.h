/* calibrate.h - ranges of activations from a few batches: signed or not, and the MSE-optimal step. */
#ifndef WORKER_TRAIN_CALIBRATE_H
#define WORKER_TRAIN_CALIBRATE_H

#include "worker/quant/quant.h"
#include "worker/train/loader.h"

/* plan[i].activation.bits is set by the caller (32: leave); low, high, step and fixed are filled in for the
 * layers' inputs of g, a float graph, over at most `batches` batches of the loader. net is made for g with
 * `batch` samples in inference mode and is not used before. */
int calibrate_activations(struct graph *g, struct net *net, struct pool *p, struct loader *l, int batch,
                          int batches, struct quant_layer_plan *plan, int count, struct err *e);

/* Step that minimises the squared error of the samples on codes low..high. */
real calibrate_step(const real *x, size_t count, int low, int high);

#endif
