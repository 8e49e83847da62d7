/* hints.h - learning from what another network has between its layers (after FitNets, Romero et al., arXiv
 * 1412.6550). Added to the loss is
 *
 *      w / L  sum_l  |x_l - t_l|^2 / |t_l|^2
 *
 * x_l is what layer l with weights gives out, in front of normalization and ReLU, t_l what the layer of the
 * same name gives out in the teacher; |.|^2 sums over the batch. L layers count: those that make no output of
 * the network and give out as much as in the teacher, which pruned ones may not. FitNets have one such layer,
 * and a layer in between that learns to translate; here both networks have the same structure. The norm of
 * t_l, ours, makes layers of any scale count alike, and w falls in a line to 0 in each stage (trainer.c). */
#ifndef WORKER_TRAIN_HINTS_H
#define WORKER_TRAIN_HINTS_H

#include "worker/graph/net.h"

struct hints;

struct hints_new {
    const struct graph *graph, *teacher_graph;
    struct net *net;     /* of graph, for training, with options.hints */
    struct net *teacher; /* of the same batch size, not run yet: it keeps more from here on */
    struct pool *pool;   /* NULL: the caller's thread alone */
};

/* Everything in `how` is borrowed; 0 or ERR_NOMEM. Owned by the caller, who frees it before the nets. */
int hints_new(const struct hints_new *how, struct hints **h, struct err *e);
void hints_free(struct hints *h);        /* NULL is fine */
int hints_layers(const struct hints *h); /* L */
/* What the teacher keeps for it, beside net_bytes(); 0: no layer counts. */
size_t hints_bytes(const struct graph *graph, const struct graph *teacher, int batch);

/* Before net_backward, when both nets have gone forward over the same batch: so many samples, and w. */
void hints_set(struct hints *h, int samples, double weight);
double hints_error(const struct hints *h); /* 1 / L sum_l ..., of the last net_backward */

#endif
