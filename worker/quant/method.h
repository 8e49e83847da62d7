/* method.h - a quantization method is a const struct: what it can do, and its regularizer. One list. */
#ifndef WORKER_QUANT_METHOD_H
#define WORKER_QUANT_METHOD_H

#include "worker/quant/quant.h"

enum { REGULARIZER_STATE = 16 };

/* A regularizer adds to the loss and pulls weights towards their quantized values. Its whole state is an
 * array of numbers, so that a checkpoint need not know which one it is. */
struct regularizer {
    const char *name;
    double (*cost)(const double *state, const struct quant *q); /* what it adds to the loss now */
    /* Strength t of the proximal step w <- (w + t Q(w)) / (1 + t) after each optimizer step. */
    double (*pull)(const double *state, const struct quant *q);
    /* q has been applied once: its error is that of the start */
    void (*begin)(double *state, const struct quant *q, double lambda, int64_t steps);
    void (*update)(double *state, const struct quant *q); /* one step of its own variables */
    double (*coefficient)(const double *state);           /* what the curve shows */
};

struct method {
    const char *name, *title, *source;
    int weight_bits[2], activation_bits[2];
    const char *const *grids;         /* NULL-terminated */
    const char *const *granularities; /* NULL-terminated */
    const struct regularizer *regularizer;
};

extern const struct method *const method_list[]; /* NULL-terminated */
const struct method *method_find(const char *name);

extern const struct regularizer regularizer_msqe;

#endif
