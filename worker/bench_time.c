#include "worker/bench_time.h"

#include "base/clock.h"

#include <math.h>

#define WARM_UP 3

int bench_time_measure(int (*step)(void *arg, struct err *e), void *arg, double seconds,
                       struct bench_time *best, struct err *e)
{
    double end = 0, begun = 0;

    *best = (struct bench_time){ INFINITY, INFINITY, 0 };
    for (int count = 0;; count++) {
        const double cpu = clock_cpu_s();
        const int64_t begin = clock_mono_ns();
        const int status = step(arg, e);
        if (status)
            return status;
        const double now = (double)clock_mono_ns() * 1e-9;
        if (count == WARM_UP) {
            begun = now;
            end = now + seconds;
        }
        if (count < WARM_UP)
            continue;
        best->wall_s = fmin(best->wall_s, now - (double)begin * 1e-9);
        best->cpu_s = fmin(best->cpu_s, clock_cpu_s() - cpu);
        if (count > WARM_UP && now > end) {
            best->mean_s = (now - begun) / (count - WARM_UP);
            return 0;
        }
    }
}
