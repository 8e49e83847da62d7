/* update.h - passes over weights after a step, one table per instruction set: optimizers, and the quantizer
 * of weights with its sums. Any count, any address; arrays don't overlap. */
#ifndef WORKER_KERNELS_UPDATE_H
#define WORKER_KERNELS_UPDATE_H

#include "worker/real.h"

#include <stddef.h>

struct optimizer_step {
    real learning_rate, momentum, weight_decay;
    int64_t number; /* 1 for the first step: Adam's bias correction */
};

/* One quantized tensor's rule, ready for inner loops: codes low..high, only odd ones where odd is set. */
struct grid_rule {
    int low, high, odd; /* odd also for 1 bit */
    real scale;
};

/* What the update of the scale and the regularizer need from one pass over weights: kept lane by lane in
 * double, in the order of memory. */
struct grid_sums {
    double error;  /* sum (w - q)^2 */
    double wk, kk; /* sum w*k, sum k*k: closed-form scale wk/kk for fixed codes (Lloyd) */
    int64_t zeros; /* codes that are 0 */
};

struct update_pass {
    /* v <- m v + g + decay w; w <- w - rate v: heavy-ball momentum with L2 decay in the gradient */
    void (*sgd)(const struct optimizer_step *s, real *w, const real *g, real *v, size_t count);
    /* Adam (Kingma and Ba, arXiv 1412.6980) with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101) */
    void (*adam)(const struct optimizer_step *s, real *w, const real *g, real *m, real *v, size_t count);
    /* q = code * scale for the nearest code: halves to even, in an odd grid zero to +1; the same bits in
     * every set. code may be NULL, else all codes must fit; adds to *sums. */
    void (*quantize)(const struct grid_rule *r, const real *w, real *q, int8_t *code, size_t count,
                     struct grid_sums *sums);
    /* w <- w + share * (q - w) */
    void (*pull)(real *w, const real *q, size_t count, real share);
};

extern const struct update_pass update_generic, update_avx2, update_avx512, update_avx512_vnni;

#endif
