/* bench_engine.h - `quantd-worker bench --mode integer|bits`: how fast the engine runs a quantized network.
 */
#ifndef WORKER_BENCH_ENGINE_H
#define WORKER_BENCH_ENGINE_H

#include "worker/bench.h"
#include "worker/engine/engine.h"

/* A network that is not quantized yet is quantized first, with the widths of the options. The process's exit
 * code; errors go to stderr. */
int bench_engine(const struct bench_options *o, const struct engine_kind *kind);

#endif
