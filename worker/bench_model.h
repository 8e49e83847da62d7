/* bench_model.h - the network that is benchmarked: from the zoo or a file, quantized, and as its export says
 * it. */
#ifndef WORKER_BENCH_MODEL_H
#define WORKER_BENCH_MODEL_H

#include "worker/bench.h"
#include "worker/quant/quant.h"

/* To be freed with graph_free(), quant_free(). Errors: those of the zoo, of the importer, ERR_NOMEM. */
int bench_model_load(const struct bench_options *o, struct graph **g, struct err *e);
/* All layers with the widths of the options: time depends on nothing else. */
int bench_model_quantize(const struct bench_options *o, struct graph *g, struct quant **q, struct err *e);
/* The same network with QuantizeLinear and stored integers, as a job exports it; *g is replaced. */
int bench_model_stored(struct graph **g, struct quant *q, struct err *e);

#endif
