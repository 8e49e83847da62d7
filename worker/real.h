/* real.h - the number type of the training core and its 16-lane vector.
 *
 * Everything in graph/, op/ and kernels/ computes in `real`. The worker is built with float; the gradient
 * checks build the same sources with -DQUANTD_DOUBLE, so that finite differences mean something.
 *
 * Batch in lanes: an activation of one block of 16 samples is x[feature][LANES], features in row-major order
 * of the sample's shape (C,H,W). A batch is x[block][feature][LANES]; unused lanes of the last block are
 * zero. */
#ifndef WORKER_REAL_H
#define WORKER_REAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16

#ifdef QUANTD_DOUBLE
typedef double real;
typedef int64_t real_mask; /* the integer of the same width: what vector comparisons yield */
#define real_exp   exp
#define real_log   log
#define real_sqrt  sqrt
#define real_fabs  fabs
#define real_rint  rint
#define real_floor floor
#define real_tanh  tanh
#define real_pow   pow
#else
typedef float real;
typedef int32_t real_mask;
#define real_exp   expf
#define real_log   logf
#define real_sqrt  sqrtf
#define real_fabs  fabsf
#define real_rint  rintf
#define real_floor floorf
#define real_tanh  tanhf
#define real_pow   powf
#endif

typedef real lanes __attribute__((vector_size(LANES * sizeof(real)), aligned(64), may_alias));
typedef real_mask lanes_mask __attribute__((vector_size(LANES * sizeof(real)), aligned(64), may_alias));

#endif
