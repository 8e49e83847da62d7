/* slope.h - what one more nonzero code, or a larger one, of a tensor would cost, from where its codes are. */
#ifndef WORKER_RATE_SLOPE_H
#define WORKER_RATE_SLOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOPE_LEVELS = 16 };

/* [rows][columns][inner] codes, or [columns][rows] where turned. */
struct slope_tensor {
    const int8_t *code;
    size_t rows, columns, inner;
    bool turned;
};

/* Bits from code 0 to +-1 of each weight, in the order of the codes:
 *
 *     log2((1 - p) / p) + 1 - log2 P(|code| = 1 | not zero), at least 1/2
 *
 * with p from the densities around it. more[m - 1]: bits from m to m + 1, log2(P(m) / P(m + 1)), at least
 * 0.3. odds: scratch of rows + columns numbers. Returns what all codes take, in bits. */
double slope_bits(const struct slope_tensor *t, float *slope, double more[SLOPE_LEVELS], double *odds);

/* Bits that all codes take less when their step grows, by its logarithm: codes on both sides of a boundary
 * say how many weights lie at it (the geometric mean of the two, exact where their density falls by a
 * constant factor from code to code), and a code m has its boundary at m - 1/2. slope, more: of slope_bits.
 */
double slope_of_step(const struct slope_tensor *t, const float *slope, const double more[SLOPE_LEVELS]);

#endif
