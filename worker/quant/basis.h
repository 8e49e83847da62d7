/* basis.h - levels that are sums of a basis, sorted; and the basis that fits given numbers best (LQ-Nets,
 * Zhang et al., arXiv 1807.10029). For numbers of either sign (signs: e in {-1,+1}) and for activations that
 * are never negative (e in {0,1}); 1 to 4 bits.
 *
 *      levels   q_e = sum_k e_k v_k, v in R^K                                               (equation 4)
 *      Q(x)     the nearest level: thresholds half way between sorted neighbours
 *      v        (B B^T)^-1 B x for fixed encodings B                                        (equation 8)
 *
 * An encoding is K bits, bit k for v_k. Levels are sums in the order of k, so that the exported planes add up
 * to the same bits. */
#ifndef WORKER_QUANT_BASIS_H
#define WORKER_QUANT_BASIS_H

#include "worker/quant/quantizer.h"

enum { BASIS_BITS = 4 };

/* Sorted upward; code[j] has bit k set where v_k is added (not: subtracted, or left out). x belongs to level
 * j where threshold[j - 1] < x <= threshold[j]. */
struct basis_levels {
    int count;
    real level[QUANT_LEVELS], threshold[QUANT_LEVELS - 1];
    int code[QUANT_LEVELS];
};

void basis_levels(const real *v, int bits, bool signs, struct basis_levels *l);

/* No element becomes smaller than 1e-3 of the largest, which is at least 1e-8: with {0,1} the lowest level is
 * zero. */
void basis_positive(double *v, int bits);

/* v that minimises sum (x - v . e)^2 + ridge |v - old|^2, for count[e] numbers with the encoding e whose sum
 * is sum[e]. 0, or -1: there are none, or the equations are singular (v is undefined then). */
int basis_solve(const double *count, const double *sum, const real *old, int bits, bool signs, double ridge,
                double v[BASIS_BITS]);

/* A basis for these numbers, 0 or more of them: even levels for a normal distribution (signs), or for the
 * part of one that a ReLU leaves, of their size; then alternation until the error rests. */
void basis_start(const real *x, size_t count, size_t stride, int bits, bool signs, real *v);
/* The alternation: nearest levels, then basis_solve(); never to a larger error. */
void basis_fit(const real *x, size_t count, size_t stride, int bits, bool signs, real *v);

/* v becomes the average of all solutions `now` so far, of weights 0.9^age, corrected for its start at nothing
 * as Adam's (in the authors' code: tf.assign_moving_average, whose zero_debias is on): after the first step v
 * is the first solution. average, weight: zeros at first. */
void basis_average(double *average, double *weight, const double *now, int count, real *v);

#endif
