/* grid.h - uniform grids for weights: which integers a b-bit code may take, and the nearest one.
 *
 * A quantized weight is always code * scale. Choi et al. (arXiv 1809.00095), notation of the paper: step d,
 * bits n. sym      mid-tread, codes -(2^(n-1)-1) .. 2^(n-1)-1, scale = d          (n >= 2; n = 2 is ternary)
 *   twos     mid-tread, codes -2^(n-1) .. 2^(n-1)-1,     scale = d          (n >= 2)
 *   midrise  no zero,   odd codes -(2^n-1) .. 2^n-1,     scale = d / 2      (n <= 7: int8 containers)
 *   any grid with n = 1: codes -1, +1, scale = d, sign(0) = +1. */
#ifndef WORKER_QUANT_GRID_H
#define WORKER_QUANT_GRID_H

#include "worker/kernels/update.h"

#include <stddef.h>

struct grid {
    const char *name, *title;
    int bits_max;
    int (*high)(int bits); /* greatest code */
    int (*low)(int bits);  /* least code */
    int odd;               /* 1: only odd codes exist */
};

extern const struct grid *const grid_list[]; /* NULL-terminated */
const struct grid *grid_find(const char *name);
/* The grid, or sym where it has not so many bits. */
const struct grid *grid_of_bits(const struct grid *g, int bits);

struct grid_rule grid_rule(const struct grid *g, int bits, real scale);

/* Nearest code of one weight; whole tensors go through the kernels (worker/kernels/update.h). */
int grid_code(const struct grid_rule *r, real w);

/* Scale that minimises the squared error of count weights, stride apart. Deterministic; O(60 count). */
real grid_fit(const struct grid *g, int bits, const real *w, size_t count, size_t stride);

#endif
