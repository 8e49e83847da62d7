/* build.h - makes a network layer by layer, as a user would say it. Private to zoo/.
 *
 * The builder remembers the latest activation and its shape; every call puts one node behind it. Errors are
 * sticky: after one, calls do nothing, and zoo_done() reports it. Parameters are drawn from (seed, number of
 * the parameter): an architecture that grows at its end keeps the numbers it had. */
#ifndef WORKER_ZOO_BUILD_H
#define WORKER_ZOO_BUILD_H

#include "worker/zoo/zoo.h"

enum zoo_init {
    ZOO_XAVIER, /* uniform, variance 1 / fan-in: Glorot and Bengio 2010 as Caffe has it */
    ZOO_HE      /* normal, variance 2 / fan-in: He et al. 2015, for layers in front of a ReLU */
};

struct zoo_build {
    struct graph *graph;
    enum zoo_init init;
    uint64_t seed, parameters; /* drawn so far */
    int at;                    /* the latest activation */
    struct shape shape;        /* of it */
    int bad;                   /* the first error */
    struct err *e;
};

/* Starts a graph with one input named "input". */
void zoo_start(struct zoo_build *b, const struct zoo *z, enum zoo_init init, uint64_t seed, struct err *e);

/* NAME.weight (out, in / groups, kernel, kernel) and, if wanted, NAME.bias = 0. */
void zoo_conv(struct zoo_build *b, const char *name, int out, int kernel, int stride, int pad, int groups,
              bool bias);
void zoo_bn(struct zoo_build *b,
            const char *name); /* NAME.weight 1, .bias 0, .running_mean 0, .running_var 1 */
void zoo_relu(struct zoo_build *b, const char *name);
void zoo_pool(struct zoo_build *b, const char *op, const char *name, int kernel,
              int stride); /* MaxPool, AveragePool */
void zoo_flatten(struct zoo_build *b, const char *name);
void zoo_gemm(struct zoo_build *b, const char *name, int out); /* NAME.weight (out, in), NAME.bias = 0 */

/* The latest activation is the output: finishes and hands the graph over; *g NULL on error. */
int zoo_done(struct zoo_build *b, struct graph **g);

#endif
