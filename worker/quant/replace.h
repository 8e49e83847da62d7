/* replace.h - quantizers of activations that a model came with, where a job brings its own. */
#ifndef WORKER_QUANT_REPLACE_H
#define WORKER_QUANT_REPLACE_H

#include "worker/quant/quant.h"

/* Layers of the finished graph g whose input the plan quantizes no longer read through a quantizer that makes
 * it already: QuantizeLinear, a Clip or none, DequantizeLinear; or QuantdLevels. Its levels could not learn,
 * and would stand in front of those that do. Ranges that were found behind it still hold: with the same
 * levels the layer begins as it was. What nobody reads any more is dropped, g is finished again. plan: count
 * layers, in the order of graph_layers(g). *replaced: how many layers that were.
 *
 * Quantizers stay, and the job's come behind them, where they have fewer levels than the plan (without them
 * the network would be another), where layers of the plan read one value through different ones, and where
 * something lies between (a pool, a reshape).
 *
 * Errors: ERR_NOMEM, and those of graph_finish; g is to be thrown away then. */
int replace_quantizers(struct graph *g, const struct quant_layer_plan *plan, int count, int *replaced,
                       struct err *e);

/* What quantizers of at least so many levels read that stand in front of `value`, one or several in a row;
 * the value itself where there are none. */
int before_quantizers(const struct graph *g, int value, int levels);

#endif
