/* plan.h - who lies where in a net's memory, decided before anything is allocated.
 *
 * Time runs through one training step of n nodes:
 *
 *      0        1 .. n          n+1           n+2 .. 2n+1          2n+2
 *    input   forward of      caller reads    backward of node     caller reads
 *            node t-1        outputs, fills    2n+1-t             gradients
 *                            gradients
 *
 * Each piece (activation, gradient, what a node keeps) lives from one time to another; pieces whose lives
 * don't meet may share memory. Evaluation ends at n+1. In training every activation outlives the forward
 * pass. */
#ifndef WORKER_GRAPH_PLAN_H
#define WORKER_GRAPH_PLAN_H

#include "worker/graph/net.h"

#define PLAN_NONE  SIZE_MAX
#define PLAN_BATCH (1 << 20) /* samples at most */

struct op;
struct tail;

struct plan {
    int blocks, threads;
    int *root;     /* per value: the value whose memory it uses (itself, or through pass_shape_only nodes) */
    bool *wanted;  /* per value: does a gradient with respect to it lead to something trainable? */
    bool *lasting; /* per root: its activation survives the forward pass */
    size_t *x;     /* per value: byte offset of the activation, PLAN_NONE for parameters and constants */
    size_t *g;     /* per value: byte offset of the gradient or PLAN_NONE */
    size_t *
        code; /* per value: byte offset of its codes or PLAN_NONE (precision.h); then perhaps no activation */
    size_t *kept;      /* per node: byte offset of what it keeps or PLAN_NONE */
    int *first_writer; /* per root: position whose backward writes the gradient first; -1: the caller does */
    const struct op **op; /* per node: what runs there */
    size_t *room[2]; /* per node: byte offset of what threads share in its forward, its backward; PLAN_NONE */
    struct tail *tail; /* per node: what it does for those behind it (chain.h) */
    int *runs;         /* per position in the order of nodes: the node that runs there, -1: none */
    bool *gone;        /* per value: inside a chain, never made */
    size_t arena;      /* bytes of all of that */
    size_t scratch;    /* bytes per thread */
    size_t constants;  /* elements of the CONST values */
    size_t gradients;  /* elements of the parameter gradients, 0 in evaluation */
    size_t bytes;      /* everything that net_new allocates with it */
};

int plan_make(const struct graph *g, const struct net_options *o, struct plan *p, struct err *e);
void plan_free(struct plan *p);
bool plan_is_alias(const struct plan *p, const struct node *n); /* nothing to run */

#endif
