/* net.h - a graph made executable for one batch size: planned memory, forward, backward.
 *
 * All activations live in one arena laid out once by liveness (plan.c); gradients likewise; nothing is
 * allocated in a step. The parameter gradients are one block with the layout of graph->param. Not
 * thread-safe: one caller. */
#ifndef WORKER_GRAPH_NET_H
#define WORKER_GRAPH_NET_H

#include "worker/graph/graph.h"
#include "worker/graph/pool.h"

struct kernels;
struct net;

/* What a node does in a step, in the order of it (op.h). */
enum net_stage {
    NET_FORWARD_GATHER,
    NET_FORWARD_REDUCE,
    NET_FORWARD,
    NET_BACKWARD_GATHER,
    NET_BACKWARD_PREPARE,
    NET_BACKWARD_REDUCE,
    NET_BACKWARD,
    NET_STAGES
};

/* What layers with quantized input and weights go backward in (precision.h). */
enum precision {
    PRECISION_FP32,
    PRECISION_MIXED /* bf16 with float sums, where that is faster */
};

struct net_options {
    int batch;           /* samples; rounded up to blocks of 16 */
    bool train;          /* plan gradients too */
    bool input_gradient; /* with train: of the input too */
    bool apart;          /* every node by itself, so that every activation can be read */
    bool hints;    /* with train: what layers with weights make lasts until they go backward (net_meet) */
    uint64_t seed; /* for dropout */
    size_t limit;  /* bytes that may be used, 0 = no limit; more is ERR_MEMORY with both figures */
    enum precision precision;
    bool codes; /* the codes of quantized weights will be there (net_set_codes): these layers go forward on
                   exact integers. Else all is floating point, whatever the precision */
    const struct kernels *kernels; /* NULL: the best of this CPU */
    struct pool *pool;             /* borrowed; NULL: the caller's thread alone */
};

/* The planner's figure: what net_new would allocate (activations, gradients, kept, scratch, constants). */
int net_bytes(const struct graph *g, const struct net_options *o, size_t *bytes, struct err *e);

/* The graph must be finished and must outlive the net unedited. */
int net_new(struct graph *g, const struct net_options *o, struct net **net, struct err *e);
void net_free(struct net *n);

/* Use other weights for a PARAM value (a quantizer's output, natural layout); NULL: back to graph->param. */
void net_set_weight(struct net *n, int value, const real *weight);

/* The codes of those weights, for a net with options.codes: q = code * scale, with one scale or one for each
 * output. All are borrowed and read at each step. A `coded` PARAM of such a net needs them before it runs. */
void net_set_codes(struct net *n, int value, const int8_t *code, const real *scale, int scales);

real *net_input(struct net *n); /* [blocks][features][LANES]: fill it; unused lanes must be zero */
int net_blocks(const struct net *n);
/* training (of a net with o.train): batch statistics and dropout, and everything that backward needs is kept.
 * Without it a net with o.train can still go backward, through the running statistics. tick: the step. */
void net_forward(struct net *n, int samples, bool training, uint64_t tick);
const real *net_output(const struct net *n, int index); /* [blocks][features][LANES] */
real *net_output_gradient(struct net *n, int index);    /* fill it before net_backward */
void net_backward(struct net *n);                       /* zeroes, then fills, the parameter gradients */
real *net_gradients(struct net *n);                     /* layout of graph->param */
real *net_input_gradient(struct net *n);                /* NULL unless it was asked for */
/* an activation of the last forward; NULL when its memory was reused (eval) unless watched, or when it lies
 * within a chain of nodes that run in one pass (options.apart) */
const real *net_value(const struct net *n, int value);
/* The gradient of an activation, [blocks][features][LANES]; NULL where none is wanted. */
real *net_gradient(const struct net *n, int value);
/* From now on net_backward calls meet(arg, value) for what each layer with weights makes, on the caller's
 * thread: all of its gradient has come in, and the layer has read nothing of it. What is added to
 * net_gradient() counts from there on. Of a net with options.hints. NULL: no longer. */
typedef void net_meet_fn(void *arg, int value);
void net_meet(struct net *n, net_meet_fn *meet, void *arg);
/* From now on a forward pass ends behind the node that makes this activation, which can be read there (of a
 * net with options.apart, without train). net_continue goes on to a stop that was set later. */
void net_stop(struct net *n, int value);
void net_continue(struct net *n);
/* From now on each stage's seconds are added to seconds[node][stage], which the caller owns and sets to zero;
 * NULL: no longer. On one thread CPU time, on several what a clock says. */
void net_profile(struct net *n, double (*seconds)[NET_STAGES]);
void net_watch(struct net *n, int value); /* before the first forward: keep this activation (eval);
                                             its memory is beyond net_bytes() */

#endif
