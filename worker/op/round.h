/* round.h - rounding to the nearest integer, halves to even, in two additions that any machine does on
 * vectors. Exact for |x| < 2^22 (float); what is larger stays larger, so a clip behind it gives what rint
 * would. */
#ifndef WORKER_OP_ROUND_H
#define WORKER_OP_ROUND_H

#include "worker/real.h"

#ifdef QUANTD_DOUBLE
#define ROUND_SHIFT 6755399441055744.0 /* 1.5 * 2^52: the sum has no room for a fraction */
#else
#define ROUND_SHIFT 12582912.0f /* 1.5 * 2^23 */
#endif

static inline real round_even(real x)
{
    return (x + ROUND_SHIFT) - ROUND_SHIFT;
}

#endif
