/* net_parts.h - a net from the inside: net_new.c builds it, net.c runs it. */
#ifndef WORKER_GRAPH_NET_PARTS_H
#define WORKER_GRAPH_NET_PARTS_H

#include "worker/graph/net.h"
#include "worker/graph/plan.h"
#include "worker/op/op.h"

struct net {
    struct graph *graph;
    struct plan plan;
    struct pool *pool; /* borrowed; NULL: the caller's thread alone */
    struct step step;  /* its pointer tables are owned */
    char *arena, *scratch;
    real *gradients, *constants;
    uint32_t *zero; /* per node: inputs whose gradients its backward starts, but can't write; owned */
    real **watched; /* per value: own memory of a watched root, owned */
    double (*profile)[NET_STAGES]; /* borrowed, NULL: nobody asks */
    net_meet_fn *meet;             /* NULL: nobody does */
    void *meet_arg;
    int turns; /* of a forward pass: the plan's, or as many as net_stop left */
    int done;  /* the last one that ran */
    bool train, hints;
};

#endif
