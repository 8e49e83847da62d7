/* span.h - what any input can make of the numbers of a quantized network, and which of them float arithmetic
 * keeps exactly.
 *
 * Every activation has for each channel an interval, the power of two that its numbers are multiples of, and
 * the largest magnitude that making it may pass through: the sum of all that is positive, or of all that is
 * negative, in whatever order a runtime adds up. Where that is at most 2^24 such powers, single precision
 * rounds nowhere. No data are looked at: layers read codes, and codes have bounds. */
#ifndef WORKER_QUANT_SPAN_H
#define WORKER_QUANT_SPAN_H

#include "worker/graph/graph.h"

enum {
    SPAN_BITS = 24,  /* of a float */
    SPAN_RATIO = 20, /* a quantizer's step is at most 2^20 times the bit of what it reads: quotients that are
                        no half of an integer are so far from one that no runtime takes them for one */
};

struct span {
    double low, high;   /* of the number */
    double most;        /* of what is added up on the way to it */
    double under, over; /* all numbers beyond these come to the same: quantizers and clips cut them off */
    int bit;            /* it is a multiple of 2^bit */
    int need;           /* its bit must not be lower, or something made of it rounds */
};

struct spans {
    const struct graph *graph;
    struct span **at; /* [value]: channels(value) of them; NULL: not an activation */
    bool *known;      /* [value]: false: its numbers are not multiples of anything */
    const char **why; /* [node]: what keeps it from being exact; NULL: nothing does. Constant texts */
};

/* Of a finished graph, which must outlive them; its numbers may change in between. Errors: ERR_NOMEM. */
int spans_new(const struct graph *g, struct spans *s, struct err *e);
void spans_free(struct spans *s);

/* From the graph's present codes and steps, all of it. */
void spans_measure(struct spans *s);
/* Has nothing of this node to be rounded? After spans_measure. */
bool spans_fit(const struct spans *s, int node);

/* Channels of an activation: its first axis. */
int64_t span_channels(const struct graph *g, int value);
/* A layer with weights in codes of one scale or one for each output, behind a quantizer of one step: the
 * node of that; else -1 and why not. */
int span_layer(const struct graph *g, int node, const char **why);
double span_step(const struct graph *g, int quantizer);
/* Exponent of the last bit that is set, of a number that is not 0; and the least e with |x| <= 2^e. */
int span_last_bit(double x);
int span_exponent(double x);
/* Where element i of the weights of output c lies: each output has `each` of them, `step` apart. */
struct span_rows {
    int64_t outputs, each, next, step;
    int axis; /* of the outputs */
};
struct span_rows span_rows(const struct graph *g, const struct node *n);

#endif
