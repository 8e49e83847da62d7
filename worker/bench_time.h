/* bench_time.h - how long a step takes. */
#ifndef WORKER_BENCH_TIME_H
#define WORKER_BENCH_TIME_H

#include "base/err.h"

/* Best of all steps: by the clock on the wall, and the CPU time of all threads together; and by the clock the
 * mean, in which waiting for a neighbour shows. */
struct bench_time {
    double wall_s, cpu_s, mean_s;
};

/* Steps for so many seconds, after a few that warm caches up. The best one shows what the machine can do when
 * nobody else is on it; where it is never quiet, the CPU time says more. Errors are those of `step`. */
int bench_time_measure(int (*step)(void *arg, struct err *e), void *arg, double seconds,
                       struct bench_time *best, struct err *e);

#endif
