/* polish.h - which codes could move towards zero, and what each bit saved that way costs. A move takes a code
 * one nearer to zero or to zero itself; the loss then rises by about
 *
 *     h d^2 / 2,    d = the move of the weight
 *
 * with the curvature h of the loss at the weights as they are, by the variance of the gradient over samples
 * (the empirical Fisher information), diagonal as in LeCun, Denker and Solla, Optimal Brain Damage, 1989. The
 * mean gradient is left out: what there is of it comes from rounding the steps, and all weights of a layer
 * would follow it together, far beyond where it ends. Bits saved are those of slope.h. Both figures hold for
 * one move: many at once add up to more. */
#ifndef WORKER_RATE_POLISH_H
#define WORKER_RATE_POLISH_H

#include "worker/rate/rate.h"

/* Layout of all arrays: graph->param. */
struct polish {
    const struct quant *q;       /* scales */
    const struct rate *rate;     /* of these weights: where a tensor's codes lie as rows and columns */
    const int8_t *code;          /* the present ones */
    const float *curvature;      /* never negative */
    struct slope_tensor *tensor; /* [weights] scratch */
    float *slope;                /* scratch */
    double *odds;                /* scratch: rows + columns of the largest tensor */
};

struct polish_move {
    size_t at;
    float price; /* nats for each bit that is saved */
    int8_t to;
};

/* The cheaper move of each code that has one below `most` nats a bit, cheapest first; returns how many.
 * move[]: room for all codes that are not zero. */
size_t polish_moves(const struct polish *p, double most, struct polish_move *move);
/* What all codes take by the estimate. */
double polish_bits(const struct polish *p);

#endif
