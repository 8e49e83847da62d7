/* optimizer.h - first-order optimizers over the parameter block; schedules of the learning rate. Const
 * tables. */
#ifndef WORKER_TRAIN_OPTIMIZER_H
#define WORKER_TRAIN_OPTIMIZER_H

#include "worker/kernels/update.h"

#include <stddef.h>

struct optimizer {
    const char *name;
    int moments; /* blocks of the size of the parameters that it keeps: 1 or 2 */
    /* Where a move is of the rate's size whatever the gradient is, LSQ's factor does nothing: a learned step
     * moves by so many times the rate, of itself. 0: as any parameter. */
    real step_share;
    /* count elements in place; moment[k] are its own; g is the gradient of the mean loss */
    void (*update)(const struct update_pass *p, const struct optimizer_step *s, real *w, const real *g,
                   real *const moment[2], size_t count);
    /* After it: the proximal step of a cost that grows by cost[i] per |w[i]|, in the metric of the step just
     * made: |w[i]| shrinks by what a gradient cost[i] would move it, and never past zero. */
    void (*shrink)(const struct optimizer_step *s, real *w, const real *cost, real *const moment[2],
                   size_t count);
};

extern const struct optimizer *const optimizer_list[]; /* NULL-terminated */
const struct optimizer *optimizer_find(const char *name);

struct schedule {
    const char *name;
    double (*factor)(double progress); /* progress 0..1 of the run -> factor of the base learning rate */
};

extern const struct schedule *const schedule_list[]; /* NULL-terminated */
const struct schedule *schedule_find(const char *name);

#endif
