/* method.h - a quantization method is a const struct: what it can do, where its scales come from, what the
 * gradient of a quantized weight means. One file and one line in the list each. */
#ifndef WORKER_QUANT_METHOD_H
#define WORKER_QUANT_METHOD_H

#include "worker/quant/quantizer.h"

enum { REGULARIZER_STATE = 16 };

struct regularizer_settings {
    double lambda;       /* msqe */
    double coefficient;  /* msqe: held at this / error of the start; negative: learned */
    int64_t steps;       /* of the run */
    double bins, travel; /* lsq-br: lambda; how far a run can move a weight: steps * rate / (1 - momentum) */
    double warmup, ramp; /* shares of the run: without regularization, and until it has its full strength */
    bool hold;           /* scales stay where they are once it has begun */
};

/* A regularizer adds to the loss and pulls weights towards their quantized values. Its whole state is an
 * array of numbers, so that a checkpoint need not know which one it is. */
struct regularizer {
    const char *name;
    /* q has been applied once: its error is that of the start */
    void (*begin)(double *state, const struct quant *q, const struct regularizer_settings *s);
    /* Strength t of the proximal step w <- (w + t Q(w)) / (1 + t) after each optimizer step; NULL: none. */
    double (*pull)(const double *state, const struct quant *q);
    /* Adds its gradient in the latent weights of a chunk, which are at x, to g. NULL: none. q is of the last
     * quant_apply. */
    void (*backward)(const double *state, const struct quant *q, const struct quant_chunk *c, const real *x,
                     real *g);
    bool (*holds)(const double *state);                   /* scales don't learn now; NULL: never */
    void (*update)(double *state, const struct quant *q); /* one step of its own variables */
    double (*coefficient)(const double *state);           /* what the curve shows */
};

struct method {
    const char *name, *title, *source;
    int weight_bits[2], activation_bits[2];
    const char *const *grids;         /* NULL-terminated */
    const char *const *granularities; /* NULL-terminated; the first is the default */
    bool learns;                      /* scales follow quant->slope, moved by the optimizer */
    bool bins;                        /* it wants the levels counted, up to 4 bits */
    bool post_training;               /* nothing is trained: what calibration finds is final */

    const struct quantizer *(*quantizer)(int bits); /* of a layer of that width */
    /* The first scale for count weights, stride apart. */
    void (*start)(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale);
    /* Scale of channel c from the sums of the last pass; NULL: it is not found so. */
    void (*rescale)(struct quant *q, const struct quant_weight *w, int c);
    /* g: gradient in count quantized weights, becomes that in the latent ones. Returns the gradient in their
     * scale. NULL: straight through, and there is none. */
    double (*backward)(const struct quant_weight *w, const real *scale, const real *x, real *g, size_t count,
                       size_t stride);
    /* Is an activation of that width on the levels of a learned basis (levels.c)? NULL: never. */
    bool (*activation_basis)(int bits);
    /* First step of another activation with these values, on codes low..high. */
    real (*activation)(const real *x, size_t count, int low, int high);
    const struct regularizer *regularizer; /* NULL: none */
};

extern const struct method *const method_list[]; /* NULL-terminated */
const struct method *method_find(const char *name);

extern const struct method method_msqe, method_lsq, method_lsq_br, method_lq_nets, method_ptq;
extern const struct regularizer regularizer_msqe, regularizer_bins;

/* What several methods do in the same way. */
extern const char *const method_grids[];       /* sym, twos, midrise */
extern const char *const method_layer_first[]; /* layer, channel */
const struct quantizer *method_uniform(int bits);
void method_fit(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale);
void method_refit(struct quant *q, const struct quant_weight *w, int c);
/* The step of least squared error, and the squared error of a step. */
real method_activation(const real *x, size_t count, int low, int high);
double method_activation_error(const real *x, size_t count, real step, int low, int high);

/* levels.c: from the gradients in trainable levels to those in their bases. */
void quant_backward_levels(struct quant *q, const struct graph *g, const real *gradients);

/* lsq.c, for its relatives */
double lsq_backward(const struct quant_weight *w, const real *scale, const real *x, real *g, size_t count,
                    size_t stride);
double lsq_factor(const struct quant_weight *w); /* 1 / sqrt(N Q_P) */

#endif
