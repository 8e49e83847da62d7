/* lanes_vector.h - the machine's vector for the sources that are built once per instruction set (lanes_*.c):
 * gcc's vector types, so one text serves all of them. A pixel of 16 samples is PARTS vectors. Comparisons of
 * vectors wider than the machine's would be taken apart number by number, so nothing here is wider. */
#ifndef WORKER_KERNELS_LANES_VECTOR_H
#define WORKER_KERNELS_LANES_VECTOR_H

#include "worker/real.h"

#include <stddef.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VEC_BYTES = 64 };
#elif defined(__AVX2__)
enum { VEC_BYTES = 32 };
#else
enum { VEC_BYTES = 16 };
#endif
enum {
    VEC = VEC_BYTES / sizeof(real),
    PARTS = LANES / VEC /* vectors per pixel */
};

typedef real vec __attribute__((vector_size(VEC_BYTES), may_alias));
/* the same, anywhere */
typedef real vec_any __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));
/* what comparing vectors yields: all bits or none */
typedef real_mask vec_mask __attribute__((vector_size(VEC_BYTES), may_alias));

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* A loop that must be unrolled, so that arrays over its index live in registers; n is a constant. */
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)

INLINE vec load(const real *x)
{
    return *(const vec *)x;
}

INLINE void store(real *y, vec v)
{
    *(vec *)y = v;
}

INLINE vec all(real x)
{
    return (vec){ 0 } + x;
}

/* a where the mask is set, else b */
INLINE vec pick(vec_mask m, vec a, vec b)
{
    return (vec)((m & (vec_mask)a) | (~m & (vec_mask)b));
}

/* A NaN goes through: the machine's maximum and minimum give their second operand then, and of two zeros. */
INLINE vec clip(vec x, vec low, vec high)
{
#if defined(__AVX512F__) && !defined(QUANTD_DOUBLE)
    return (vec)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)x));
#elif defined(__AVX2__) && !defined(QUANTD_DOUBLE)
    return (vec)_mm256_min_ps((__m256)high, _mm256_max_ps((__m256)low, (__m256)x));
#else
    vec least = pick(x < low, low, x);
    return pick(least > high, high, least);
#endif
}

/* The first `count` numbers of rows that lie so far apart, to others. */
static inline void copy_rows(real *to, ptrdiff_t to_row, const real *from, ptrdiff_t from_row, int rows,
                             int count)
{
    for (int i = 0; i < rows; i++, to += to_row, from += from_row)
        memcpy(to, from, (size_t)count * sizeof(real));
}

/* The sum of a vector's lanes, always in the same tree. */
INLINE real lanes_sum(vec v)
{
    real lane[VEC] __attribute__((aligned(VEC_BYTES)));
    *(vec *)lane = v;
    for (int half = VEC / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#ifdef QUANTD_DOUBLE
#define ROUND_SHIFT 6755399441055744.0 /* 1.5 * 2^52: the sum has no room for a fraction */
#else
#define ROUND_SHIFT 12582912.0f /* 1.5 * 2^23 */
#endif

/* To the nearest integer, halves to even, in two additions that any machine does on vectors. Exact for |x| <
 * 2^22 (float); what is larger stays larger, so a clip behind it gives what rint would. */
INLINE vec rounded(vec x)
{
    return (x + ROUND_SHIFT) - ROUND_SHIFT;
}

#define JOIN(a, b)   a##b
#define SYMBOL(a, b) JOIN(a, b) /* SYMBOL(kernels_, KERNEL_SET) */
#define TEXT(x)      #x
#define NAME(x)      TEXT(x)
#if defined(__AVX512VNNI__)
#define SET_NAME "avx512-vnni"
#else
#define SET_NAME NAME(KERNEL_SET)
#endif

#endif
