/* coefficient.h - the learnable coefficient of a penalty that is to vanish (Choi et al., arXiv 1809.00095).
 *
 * Cost:  C = E + alpha R - lambda log alpha,  alpha = e^omega.  dC/domega = alpha R - lambda, so that alpha*
 * = lambda / R: the coefficient grows exactly as fast as the penalty R shrinks, which therefore really goes
 * to zero. omega is moved by Adam and capped at ln(lambda / 1e-8), at a rate that can bring it there in three
 * quarters of the run at the earliest.
 *
 * Whoever has such a penalty pulls with the exact proximal step of alpha R, w <- (w + t target) / (1 + t), a
 * step size of its own: stable for any strength, with the fixed point of a gradient step. With t =
 * COEFFICIENT_PULLS alpha R0 / steps, R0 the penalty at the start, lambda means the same for any network and
 * any length of the run: at alpha = lambda / R0 distances would shrink by e^(-COEFFICIENT_PULLS lambda) in
 * the whole run, and ever faster as R falls. Measured on LeNet-5: with the task's learning rate instead, runs
 * of less than 7 epochs never reached the grid. */
#ifndef WORKER_QUANT_COEFFICIENT_H
#define WORKER_QUANT_COEFFICIENT_H

#include <stdint.h>

#define COEFFICIENT_PULLS 8.0

enum { COEFFICIENT_STATE = 7 }; /* numbers of its state, for a checkpoint */

void coefficient_begin(double state[COEFFICIENT_STATE], double lambda, int64_t steps); /* alpha = 1 */
void coefficient_hold(double state[COEFFICIENT_STATE], double alpha);                  /* never learned */
double coefficient_value(const double state[COEFFICIENT_STATE]);                       /* alpha */
void coefficient_update(double state[COEFFICIENT_STATE], double penalty);              /* one step at R */

#endif
