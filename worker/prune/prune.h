/* prune.h - the pruning of one network: which weights are doomed, and the fixed mask in the end.
 *
 *      |w| of the scope, by rank:   ┌───────── doomed ─────────┬── kept ──┐
 *                                   0                        share        1
 *
 * A doomed weight is shrunk by the pruner's pull after each optimizer step; it may come back while the ranks
 * are taken anew. Once the mask is fixed, doomed weights are zero for good. A structure dooms whole rows or
 * columns: then the rank is that of their root mean square. */
#ifndef WORKER_PRUNE_PRUNE_H
#define WORKER_PRUNE_PRUNE_H

#include "base/err.h"
#include "worker/graph/graph.h"

#include <stdint.h>

enum { PRUNE_STATE = 8, PRUNE_PERIOD = 100 }; /* optimizer steps from one ranking to the next */

struct pruner;

/* Which weights live and die together. */
enum prune_structure {
    PRUNE_SINGLE, /* each for itself */
    PRUNE_ROWS,   /* all that one output (filter, hidden unit) is made of; never of the network's output */
    PRUNE_COLUMNS /* all that read one input channel or feature */
};

/* Whom a weight is compared with. */
enum prune_scope {
    PRUNE_NETWORK, /* all others, by magnitude */
    PRUNE_LAYER,   /* those of its layer: each layer loses the same share */
    PRUNE_ADAPTIVE /* all others, by what it is of its layer: lamp.h */
};

struct prune_rule {
    const struct pruner *pruner;
    double sparsity; /* share of the weights that shall be zero in the end, 0..1 */
    double lambda;   /* of the coefficient */
    enum prune_scope scope;
    enum prune_structure structure;
    double ramp; /* part of the run over which the share grows; negative: what the pruner likes */
};

struct prune_weight {
    char layer[64];
    int value;                   /* PARAM in the graph */
    size_t offset, count;        /* its slice of graph->param */
    size_t rows, columns, inner; /* outputs, input channels, kernel: stored [rows][columns][inner], */
    bool turned;                 /* or [columns][rows] */
    bool last;                   /* its rows are the network's output: no row is doomed */
    double sparsity;             /* a share of its own, beside the scope of the others; negative: none */
    uint8_t *doomed;             /* owned; [count]: 1 = pruned */
};

struct prune {
    struct prune_rule rule;
    struct prune_weight *weight; /* owned */
    int weights;
    int64_t total, marked;     /* weights; doomed ones */
    double energy;             /* P = sum w^2 over the doomed / total, after the last step */
    double state[PRUNE_STATE]; /* the pruner's own */
    bool fixed;
    float *rank;     /* owned: scratch of the ranking, one for each weight */
    uint64_t *order; /* owned: more of it for PRUNE_ADAPTIVE, two for each weight of the largest layer */
};

/* For the layers of a finished graph, which stays the caller's. Nothing is doomed yet, and no layer has a
 * sparsity of its own. */
int prune_new(struct graph *g, const struct prune_rule *rule, struct prune **p, struct err *e);
void prune_free(struct prune *p);

/* What prune_new takes for that many weights, `largest` of them in one layer. */
size_t prune_bytes(size_t weights, size_t largest, enum prune_scope scope);

/* Find the weights again by name after the graph was edited. */
int prune_locate(struct prune *p, struct graph *g, struct err *e);

/* Doom the weights of least magnitude in each scope, `part` (0..1) of its sparsity (rounded down; equal ones
 * by their place), and no others. Sequential: the same for any number of threads. */
void prune_mark(struct prune *p, const struct graph *g, double part);

/* The part that is to be doomed at progress 0..1 of the run: Zhu and Gupta's cubic (arXiv 1710.01878),
 * 1 - (1 - progress / ramp)^3, all after the ramp. */
double prune_part(const struct prune *p, double progress);

/* The first ranking of `steps` optimizer steps; the pruner begins. */
void prune_begin(struct prune *p, const struct graph *g, int64_t steps);
/* Before each optimizer step: ranks every PRUNE_PERIOD steps. */
void prune_rank(struct prune *p, const struct graph *g, int64_t step, int64_t steps);
/* Strength t of w <- w / (1 + t) on doomed weights, after the optimizer step; INFINITY: w = 0. */
double prune_pull(const struct prune *p);
/* count weights of weight[i] from element `from` on, in place; returns the doomed ones' sum of w^2 after it.
 */
double prune_apply(const struct prune *p, int i, size_t from, real *w, size_t count, double pull);
/* After each step: the energy is known; the coefficient moves. */
void prune_update(struct prune *p);

/* Rank once more, now all of it; from now on the doomed are zero. */
void prune_fix(struct prune *p, struct graph *g);

/* After units were removed from the graph: the mask is now where the weights left are zero. total and marked
 * stay those of the whole network. */
int prune_adopt(struct prune *p, struct graph *g, struct err *e);

/* Nobody is doomed any more: zeros that are left in the graph may grow again. */
void prune_release(struct prune *p);

/* Share of the weights of weight[i] (-1: of all) that are zero, or below a thousandth of their layer's root
 * mean square: what would hardly be missed. */
double prune_sparsity(const struct prune *p, const struct graph *g, int i);

#endif
