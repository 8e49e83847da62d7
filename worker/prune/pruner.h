/* pruner.h - how pruned weights are found and brought to zero: a const struct per method and one list. */
#ifndef WORKER_PRUNE_PRUNER_H
#define WORKER_PRUNE_PRUNER_H

#include "worker/prune/prune.h"

struct pruner {
    const char *name, *title, *source;
    double ramp; /* part of the run over which the share grows, unless the rule says otherwise */
    /* p has been ranked once at the full share: its energy is that of all that shall go */
    void (*begin)(double *state, const struct prune *p, int64_t steps);
    double (*pull)(const double *state);                  /* as prune_pull */
    void (*update)(double *state, const struct prune *p); /* one step of its own variables */
    double (*coefficient)(const double *state);           /* what the curve shows */
};

extern const struct pruner *const pruner_list[]; /* NULL-terminated */
const struct pruner *pruner_find(const char *name);

extern const struct pruner pruner_partial_l2, pruner_magnitude;

/* The words of a specification. */
extern const char
    *const prune_structures[]; /* "none", "rows", "columns"; as enum prune_structure; NULL-terminated */
extern const char
    *const prune_scopes[]; /* "network", "layer", "adaptive"; as enum prune_scope; NULL-terminated */

#endif
