/* element.h - passes over activations number by number, one table per instruction set. They know nothing of
 * shapes: `count` numbers, a multiple of LANES, at addresses aligned to 64 bytes that don't overlap. All that
 * is called back- adds to the gradient dx; where `add` is asked for and false it writes. Sums are kept lane
 * by lane, in the order of memory. */
#ifndef WORKER_KERNELS_ELEMENT_H
#define WORKER_KERNELS_ELEMENT_H

#include "worker/real.h"

#include <stdbool.h>
#include <stddef.h>

/* y = f(x) with up to two constants. Backward sees x or y: see the table in op/unary.c. */
enum unary {
    UNARY_RELU,
    UNARY_LEAKY_RELU,   /* a: slope below 0 */
    UNARY_SIGMOID,      /* sees y */
    UNARY_TANH,         /* sees y */
    UNARY_HARD_SIGMOID, /* clip(a x + b, 0, 1) */
    UNARY_HARD_SWISH,
    UNARY_CLIP, /* from a to b */
    UNARIES
};

struct unary_pass {
    void (*forward)(real *y, const real *x, size_t count, real a, real b);
    void (*backward)(real *dx, const real *dy, const real *seen, size_t count, real a, real b, bool add);
};

/* q = clip(rint(x / scale) + zero, low, high) */
struct quant_range {
    real scale, zero, low, high;
    real held; /* for the slope in the scale, what x / scale is above high: 0 where the quantizer clips (LSQ),
                  high where the activation in front of it does */
};

/* A normalization of one channel and what is done behind it. */
struct norm {
    real mean, factor, shift;
    bool relu;                       /* f: ReLU or nothing */
    real ceiling;                    /* of the ReLU; INFINITY: none */
    const struct quant_range *quant; /* f: this instead, of which zero is 0; NULL: it is not. Backward, what
                                        is not clipped lets a gradient through */
};

/* Its gradient; the factor is 0 for unused lanes. */
struct norm_slope {
    real factor[LANES], shift, slope;
};

struct element {
    void (*sum)(real *y, const real *a, const real *b, size_t count, real factor); /* y = a + factor * b */
    void (*add)(real *y, const real *x, size_t count, real factor);                /* y += factor * x */

    void (*quantize)(real *y, const real *x, size_t count, const struct quant_range *r);   /* q */
    void (*dequantize)(real *y, const real *x, size_t count, const struct quant_range *r); /* of a q */
    void (*fake_quantize)(real *y, const real *x, size_t count,
                          const struct quant_range *r); /* both, zero 0 */
    /* straight through: dx += factor * dy where q is not clipped before rounding */
    void (*quantize_back)(real *dx, const real *dy, const real *x, size_t count, const struct quant_range *r,
                          real factor);
    /* Both gradients of fake_quantize: dx = dy where q is not clipped, added when `add` (dx may be NULL);
     * returns the sum of dy times the slope in the scale (LSQ, arXiv 1902.08153, equation 3). */
    double (*fake_back)(real *dx, const real *dy, const real *x, size_t count, const struct quant_range *r,
                        bool add);

    /* y = level[number of thresholds below x], of `levels` sorted levels and one threshold less */
    void (*levels)(real *y, const real *x, size_t count, const real *threshold, const real *level,
                   int levels);
    /* For the gradient in the levels: sum[j] += dy of all x above threshold[j - 1] (j = 0: of all), of
     * `levels` sums; returns the sum of dy * x where low <= x <= high. */
    double (*levels_back)(const real *dy, const real *x, size_t count, const real *threshold, int levels,
                          real low, real high, double *sum);
    /* lane by lane, added for each threshold: how many x lie above it, and their sum */
    void (*above)(const real *x, size_t count, const real *threshold, int thresholds, real (*number)[LANES],
                  real (*sum)[LANES]);

    /* sum[l] += (x - centre)^power, power 1 or 2 */
    void (*norm_sum)(real sum[LANES], const real *x, size_t count, real centre, int power);
    /* y = f((x - mean) * factor + shift + other); other may be NULL */
    void (*norm)(real *y, const real *x, const real *other, size_t count, const struct norm *n);
    /* With dz: dy where the ReLU lets it through. sum_dz[l] += dz, product[l] += dz * (x - mean) */
    void (*norm_back_sum)(real sum_dz[LANES], real product[LANES], const real *dy, const real *x,
                          size_t count, const struct norm *n);
    /* The same for n->quant; slope[l] += dy times the slope in its scale, see fake_back. */
    void (*norm_quant_back_sum)(real sum_dz[LANES], real product[LANES], real slope[LANES], const real *dy,
                                const real *x, size_t count, const struct norm *n);
    /* The same where something was added: the output y tells what passes the ReLU. dz takes the place of dy.
     * dq, not NULL: the gradient of what n->quant makes of y; what is not clipped comes to dy. */
    void (*norm_add_back_sum)(real sum_dz[LANES], real product[LANES], real slope[LANES], real *dy,
                              const real *dq, const real *x, const real *y, size_t count,
                              const struct norm *n);
    /* dx += factor[l] * (dz - shift - (x - mean) * slope) */
    void (*norm_back)(real *dx, const real *dy, const real *x, size_t count, const struct norm *n,
                      const struct norm_slope *slope, bool add);
};

/* The pixels under a window that lie in the image, and their numbers in the kernel. */
struct taps {
    int rows, columns;
    ptrdiff_t row, column; /* numbers from one to the next */
    int first, next_row;   /* of the first tap; from a row's to the next row's */
};

/* A run of windows side by side: pixel i of the output belongs to the window at x + i * step. */
struct pool_pass {
    void (*max)(const struct taps *t, const real *x, ptrdiff_t step, real *y, real_mask *won, int pixels);
    void (*max_back)(const struct taps *t, real *dx, ptrdiff_t step, const real *dy, const real_mask *won,
                     int pixels);
    void (*mean)(const struct taps *t, const real *x, ptrdiff_t step, real *y, real factor, int pixels);
    void (*mean_back)(const struct taps *t, real *dx, ptrdiff_t step, const real *dy, real factor,
                      int pixels);
};

extern const struct unary_pass unary_generic[UNARIES], unary_avx2[UNARIES], unary_avx512[UNARIES],
    unary_avx512_vnni[UNARIES];
extern const struct element element_generic, element_avx2, element_avx512, element_avx512_vnni;
extern const struct pool_pass pool_generic, pool_avx2, pool_avx512, pool_avx512_vnni;

#endif
