/* build.h - makes a network layer by layer, as a user would say it. Private to zoo/.
 *
 * The builder remembers the tip: the latest activation and its shape; every call puts one node behind it. To
 * branch, keep the tip and put it back. Errors are sticky: after one, calls do nothing, and zoo_done()
 * reports it. Parameters are drawn from (seed, number of the parameter): an architecture that grows at its
 * end keeps the numbers it had. Options that a call leaves out are 0 and mean what is said here. */
#ifndef WORKER_ZOO_BUILD_H
#define WORKER_ZOO_BUILD_H

#include "worker/zoo/zoo.h"

struct zoo_tip {
    int value; /* in the graph */
    struct shape shape;
};

struct zoo_build {
    const struct zoo_request *request;
    const struct zoo *zoo;
    struct graph *graph;
    struct zoo_tip tip;
    char scope[48];      /* in front of every name */
    char name[48];       /* zoo_name() */
    int halvings_spared; /* still to leave out */
    uint64_t parameters; /* made so far */
    int bad;             /* the first error */
    struct err *e;
};

/* Starts a graph with one input named "input"; parameters: elements to make room for, 0 when not known. */
void zoo_start(struct zoo_build *b, const struct zoo_request *r, size_t parameters, struct err *e);
/* The tip is the output: finishes and hands the graph over; *g NULL on error. */
int zoo_done(struct zoo_build *b, struct graph **g);

/* What the names that follow begin with, say "layer1.0."; "" for nothing. */
void zoo_scope(struct zoo_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A name made from a number, for the next call alone. */
const char *zoo_name(struct zoo_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The stride of a layer that halves the image: 2, or 1 for the first two of a small image. */
int zoo_halve(struct zoo_build *b);

/* channels * percent / 100 as a multiple of 8, at least 8 and not more than 10 % less (Sandler et al. 2018).
 */
int zoo_width(int channels, int percent);

/* --- layers with weights (build_layer.c) --- */

struct zoo_conv {
    int out, kernel;
    int stride, groups; /* 0: 1 */
    bool valid;         /* no padding; else kernel / 2 on each side */
    bool bias;
};
/* NAME.weight (out, in / groups, kernel, kernel) and, if wanted, NAME.bias. */
void zoo_add_conv(struct zoo_build *b, const char *name, const struct zoo_conv *c);
#define zoo_conv(b, name, ...) zoo_add_conv(b, name, &(struct zoo_conv){ __VA_ARGS__ })

/* NAME.weight 1, .bias 0, .running_mean 0, .running_var 1; epsilon 0: ONNX's 1e-5. */
void zoo_bn(struct zoo_build *b, const char *name, double epsilon);
void zoo_linear(struct zoo_build *b, const char *name, int out); /* Gemm: NAME.weight (out, in), NAME.bias */
void zoo_head(struct zoo_build *b,
              const char *name); /* the last one: as many as there are classes, no ReLU behind */
void zoo_prelu(struct zoo_build *b, const char *name); /* one slope NAME.weight = 0.25 for all channels */

/* --- layers without (build_node.c) --- */

void zoo_act(struct zoo_build *b, const char *op,
             const char *name); /* Relu, HardSwish, HardSigmoid (slope 1/6) */
void zoo_relu6(struct zoo_build *b, const char *name);

struct zoo_pool {
    int kernel, stride, pad;
    int more; /* further padding at the end: the last window may hang over */
};
void zoo_add_pool(struct zoo_build *b, const char *op, const char *name, const struct zoo_pool *p);
#define zoo_max(b, name, ...)     zoo_add_pool(b, "MaxPool", name, &(struct zoo_pool){ __VA_ARGS__ })
#define zoo_average(b, name, ...) zoo_add_pool(b, "AveragePool", name, &(struct zoo_pool){ __VA_ARGS__ })
void zoo_average_all(struct zoo_build *b, const char *name); /* GlobalAveragePool: C x 1 x 1 */

void zoo_add(struct zoo_build *b, const char *name, const struct zoo_tip *other);
void zoo_mul(struct zoo_build *b, const char *name, const struct zoo_tip *other); /* other is broadcast */
void zoo_concat(struct zoo_build *b, const char *name, const struct zoo_tip *parts, int count); /* channels */
void zoo_flatten(struct zoo_build *b, const char *name);
void zoo_dropout(struct zoo_build *b, const char *name, double ratio);
void zoo_lrn(struct zoo_build *b, const char *name); /* over 5 channels, alpha 1e-4, beta 0.75 */
void zoo_shuffle(struct zoo_build *b, int groups);   /* of channels: (g, n) becomes (n, g) */
void zoo_channels(struct zoo_build *b, const char *name, int first, int count); /* these alone */
void zoo_subsample(struct zoo_build *b, const char *name); /* every second row and column */
void zoo_zero_channels(struct zoo_build *b, const char *name, int before, int after);
void zoo_pixel_shuffle(struct zoo_build *b, const char *name, int factor); /* DepthToSpace, CRD */

/* --- for the two above --- */

/* The node behind the tip with further inputs (-1: left out); its output is the new tip, of the same shape
 * until the caller says otherwise. NULL after an error. */
struct node *zoo_node(struct zoo_build *b, const char *op, const char *name, const int *more, int count);
void zoo_fail(struct zoo_build *b, int code);
void zoo_nomem(struct zoo_build *b);

#endif
