/* lanes_turn.h - squares of numbers in registers: turned, so that rows become columns, or summed row by row.
 */
#ifndef WORKER_KERNELS_LANES_TURN_H
#define WORKER_KERNELS_LANES_TURN_H

#include "worker/kernels/lanes_vector.h"

#if !defined(QUANTD_DOUBLE)
/* Numbers of a that stay and of b that come where the index has bit d, and the other way round. */
#define KEEP(j, d)    ((j) & (d) ? VEC + (j) - (d) : (j))
#define MOVE(j, d)    ((j) & (d) ? VEC + (j) : (j) + (d))
#define FOUR(M, j, d) M(j, d), M((j) + 1, d), M((j) + 2, d), M((j) + 3, d)
#if defined(__AVX512F__)
#define EVERY(M, d) FOUR(M, 0, d), FOUR(M, 4, d), FOUR(M, 8, d), FOUR(M, 12, d)
#elif defined(__AVX2__)
#define EVERY(M, d) FOUR(M, 0, d), FOUR(M, 4, d)
#else
#define EVERY(M, d) FOUR(M, 0, d)
#endif
#define SWAP(d)                                                                                              \
    EACH (i, VEC)                                                                                            \
        if (!(i & (d))) {                                                                                    \
            vec a = r[i], b = r[i + (d)];                                                                    \
            r[i] = __builtin_shufflevector(a, b, EVERY(KEEP, d));                                            \
            r[i + (d)] = __builtin_shufflevector(a, b, EVERY(MOVE, d));                                      \
        }

/* A square of numbers is turned: halves of ever smaller squares change places. */
INLINE void turn_square(vec r[VEC])
{
#if defined(__AVX512F__)
    SWAP(8)
#endif
#if defined(__AVX2__)
    SWAP(4)
#endif
    SWAP(2)
    SWAP(1)
}

/* r[0][i] = the sum of r[i]: halves of two vectors are added side by side. Always in the same tree. */
#define FOLD(d)                                                                                              \
    EACH (i, d) {                                                                                            \
        vec a = r[i], b = r[i + (d)];                                                                        \
        r[i] =                                                                                               \
            __builtin_shufflevector(a, b, EVERY(KEEP, d)) + __builtin_shufflevector(a, b, EVERY(MOVE, d));   \
    }

INLINE vec turn_sums(vec r[VEC])
{
#if defined(__AVX512F__)
    FOLD(8)
#endif
#if defined(__AVX2__)
    FOLD(4)
#endif
    FOLD(2)
    FOLD(1)
    return r[0];
}
#else
INLINE void turn_square(vec r[VEC])
{
    for (int i = 0; i < VEC; i++)
        for (int j = 0; j < i; j++) {
            real kept = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = kept;
        }
}

INLINE vec turn_sums(vec r[VEC])
{
    vec sums = { 0 };
    for (int i = 0; i < VEC; i++)
        sums[i] = lanes_sum(r[i]);
    return sums;
}
#endif

#endif
