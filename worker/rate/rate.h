/* rate.h - the bits of a network's codes as a cost of its training:
 *
 *     loss + lambda(t) * bits        lambda grows to its value over the ramp, and is half of it once frozen
 *
 *      0        ramp                            1 - freeze     1   of the run
 *      |---------|-----------------------------------|---------|
 *       growing       zeros come and go                zeros stay
 *
 * The slope of the bits in each weight is constant between two estimates, so that a step is a soft threshold.
 */
#ifndef WORKER_RATE_RATE_H
#define WORKER_RATE_RATE_H

#include "worker/prune/prune.h"
#include "worker/quant/quant.h"
#include "worker/rate/slope.h"

enum { RATE_PERIOD = 100, RATE_PARTS = 5 };

struct rate_rule {
    double lambda; /* nats of the loss for one bit */
    double ramp, freeze;
};

/* What a checkpoint keeps, beside the arrays. */
struct rate_state {
    double bits;    /* of the last estimate */
    double price;   /* lambda of this step, in nats a bit */
    int64_t frozen; /* are the zeros for good? */
};

struct rate {
    struct rate_rule rule;
    struct rate_state at;
    int64_t steps;
    size_t parameters;
    float *slope;                 /* owned: [parameters] of the graph: bits from 0 to +-1 */
    uint8_t *dead;                /* owned: [parameters]: 1 = zero for good */
    double (*more)[SLOPE_LEVELS]; /* owned: [weights of the quantization]: bits from m to m + 1 */
    double *steep;                /* owned: [weights]: bits less when the step's logarithm grows */
    double *odds;                 /* owned: scratch */
    struct slope_tensor *tensor;  /* owned: [weights] */
    int weights;
};

/* For a graph whose weights q quantizes and p has located, with one scale for each tensor. */
int rate_new(const struct graph *g, const struct quant *q, const struct prune *p,
             const struct rate_rule *rule, struct rate **r, struct err *e);
void rate_free(struct rate *r);
size_t rate_bytes(size_t parameters); /* what rate_new takes, but for small things */

/* A run of so many steps begins. */
void rate_begin(struct rate *r, int64_t steps);

/* Before each optimizer step, by one thread: estimates every RATE_PERIOD steps from the codes of the last
 * quant_apply; the price; the mask when its time has come. */
void rate_update(struct rate *r, const struct quant *q, int64_t step);

/* cost[count]: slope of lambda * bits in |w|, for count elements of weight[i] of q from element `from` on,
 * which are at w. */
void rate_costs(const struct rate *r, const struct quant *q, int i, size_t from, const real *w, size_t count,
                real *cost);
/* Where scales are learned: lambda * bits as a part of the gradients that q has of them. */
void rate_slopes(const struct rate *r, struct quant *q);
/* Once frozen: the dead ones among them become zero. */
void rate_bury(const struct rate *r, const struct quant *q, int i, size_t from, real *w, size_t count);

/* Everything that a checkpoint must keep; count <= RATE_PARTS. */
int rate_parts(struct rate *r, struct quant_part part[RATE_PARTS]);

#endif
