/* bench_layers.h - `bench --layers`: where a step's time goes, node by node and stage by stage. */
#ifndef WORKER_BENCH_LAYERS_H
#define WORKER_BENCH_LAYERS_H

#include "worker/graph/net.h"

struct bench_layers;

/* Watches the net from now on. NULL when out of memory. Both are borrowed and must outlive it. */
struct bench_layers *bench_layers_new(struct net *net, const struct graph *g);
void bench_layers_free(struct bench_layers *l);
void bench_layers_step(struct bench_layers *l); /* a step is over: keep each stage's best so far */
/* A table on stdout: milliseconds, and for stages that multiply the share of `peak` GFLOP/s. */
void bench_layers_print(const struct bench_layers *l, int batch, double peak);

#endif
