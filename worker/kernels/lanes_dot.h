/* lanes_dot.h - four bytes times four bytes, summed up, for the sources that are built once per instruction
 * set. The machine's own instructions, where it has them: vpdpbusd, else vpmaddwd on bytes made wide, or
 * vpmaddubsw where the weights are small enough for it (int8.h: narrow).
 *
 * A pixel of a quad (64 bytes) is BYTE_PARTS vectors; the sums of a part are INTS int32. */
#ifndef WORKER_KERNELS_LANES_DOT_H
#define WORKER_KERNELS_LANES_DOT_H

#include "worker/kernels/int8.h"
#include "worker/kernels/lanes_vector.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { INTS = VEC_BYTES / 4, BYTE_PARTS = PIXEL / VEC_BYTES };

typedef int32_t ivec __attribute__((vector_size(VEC_BYTES), may_alias));
typedef uint32_t uvec __attribute__((vector_size(VEC_BYTES), may_alias));
typedef int16_t hvec __attribute__((vector_size(VEC_BYTES), may_alias));
typedef uint16_t uhvec __attribute__((vector_size(VEC_BYTES), may_alias));

INLINE ivec all_ints(int32_t x)
{
    return (ivec){ 0 } + x;
}

/* The same four bytes in every sample. */
INLINE ivec load_quad(const int8_t *w)
{
    int32_t four;
    memcpy(&four, w, sizeof four);
    return all_ints(four);
}

/* Products of neighbours in 16 bits, added up in 32. */
INLINE ivec multiply_pairs(hvec a, hvec b)
{
#if defined(__AVX512BW__)
    return (ivec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (ivec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    ivec low = ((ivec)a << 16 >> 16) * ((ivec)b << 16 >> 16);
    return low + ((ivec)a >> 16) * ((ivec)b >> 16);
#endif
}

/* A vector of bytes as 16-bit numbers: those at even and at odd places. */
struct halves {
    hvec even, odd;
};

INLINE struct halves widen_codes(ivec x)
{
    return (struct halves){ (hvec)(x & 0x00ff00ff), (hvec)((uhvec)x >> 8) };
}

INLINE struct halves widen_weights(ivec w)
{
    return (struct halves){ (hvec)w << 8 >> 8, (hvec)w >> 8 };
}

INLINE ivec dot_halves(ivec sum, struct halves x, struct halves w)
{
    return sum + (multiply_pairs(x.even, w.even) + multiply_pairs(x.odd, w.odd));
}

/* Only for weights of which pairs of products fit 16 bits, where there is no vpdpbusd. */
INLINE ivec dot_narrow(ivec sum, ivec x, ivec w)
{
#if defined(__AVX512VNNI__)
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif defined(__AVX512BW__)
    return sum + multiply_pairs((hvec)_mm512_maddubs_epi16((__m512i)x, (__m512i)w), (hvec){ 0 } + 1);
#elif defined(__AVX2__)
    return sum + multiply_pairs((hvec)_mm256_maddubs_epi16((__m256i)x, (__m256i)w), (hvec){ 0 } + 1);
#else
    return dot_halves(sum, widen_codes(x), widen_weights(w));
#endif
}

INLINE ivec clip_ints(ivec x, int32_t low, int32_t high)
{
    ivec l = all_ints(low), h = all_ints(high);
#if defined(__AVX512F__)
    return (ivec)_mm512_min_epi32(_mm512_max_epi32((__m512i)x, (__m512i)l), (__m512i)h);
#elif defined(__AVX2__)
    return (ivec)_mm256_min_epi32(_mm256_max_epi32((__m256i)x, (__m256i)l), (__m256i)h);
#else
    ivec below = x < l;
    x = (below & l) | (~below & x);
    ivec above = x > h;
    return (above & h) | (~above & x);
#endif
}

typedef double dvec __attribute__((vector_size(VEC_BYTES), may_alias));
typedef int32_t half_ivec __attribute__((vector_size(VEC_BYTES / 2), may_alias));

#define ROUND_DOUBLE 6755399441055744.0 /* 1.5 * 2^52: the low half of such a double is the integer */

/* The numbers of a vector from `first` on, step by step. */
#if defined(__AVX512F__)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#elif defined(__AVX2__)
#define HALF(v, first) __builtin_shufflevector(v, v, (first), (first) + 1, (first) + 2, (first) + 3)
#define EVEN(a, b)     __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#else
#define HALF(v, first) __builtin_shufflevector(v, v, (first), (first) + 1)
#define EVEN(a, b)     __builtin_shufflevector(a, b, 0, 2, 4, 6)
#endif

/* Half of a vector of integers as doubles. gcc makes four instructions out of what is one here. */
INLINE dvec low_doubles(ivec x)
{
#if defined(__AVX512F__)
    return (dvec)_mm512_cvtepi32_pd(_mm512_castsi512_si256((__m512i)x));
#else
    return __builtin_convertvector(HALF(x, 0), dvec);
#endif
}

INLINE dvec high_doubles(ivec x)
{
#if defined(__AVX512F__)
    return (dvec)_mm512_cvtepi32_pd(_mm512_extracti64x4_epi64((__m512i)x, 1));
#else
    return __builtin_convertvector(HALF(x, INTS / 2), dvec);
#endif
}

/* As many doubles as a vector has integers. */
struct doubles {
    dvec low, high;
};

INLINE struct doubles load_doubles(const double *x)
{
    return (struct doubles){ *(const dvec *)x, *(const dvec *)(x + INTS / 2) };
}

INLINE void store_doubles(double *y, struct doubles v)
{
    *(dvec *)y = v.low;
    *(dvec *)(y + INTS / 2) = v.high;
}

/* x * factor + shift: exact under the condition of int8.h, with or without a fused multiply-add. */
INLINE struct doubles scale_doubles(ivec x, double factor, double shift)
{
    return (struct doubles){ low_doubles(x) * factor + shift, high_doubles(x) * factor + shift };
}

INLINE dvec clip_half(dvec x, double low, double high)
{
    dvec l = (dvec){ 0 } + low, h = (dvec){ 0 } + high;
#if defined(__AVX512F__)
    return (dvec)_mm512_min_pd(_mm512_max_pd((__m512d)x, (__m512d)l), (__m512d)h);
#elif defined(__AVX2__)
    return (dvec)_mm256_min_pd(_mm256_max_pd((__m256d)x, (__m256d)l), (__m256d)h);
#elif defined(__SSE2__)
    return (dvec)_mm_min_pd(_mm_max_pd((__m128d)x, (__m128d)l), (__m128d)h);
#else
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
    return x;
#endif
}

INLINE struct doubles clip_doubles(struct doubles v, double low, double high)
{
    return (struct doubles){ clip_half(v.low, low, high), clip_half(v.high, low, high) };
}

/* Rounded on its own: not to be fused with what is added to it, for a set that can't fuse has two roundings.
 */
INLINE dvec times(dvec x, double factor)
{
    x *= factor;
#if defined(__SSE2__)
    __asm__("" : "+v"(x));
#endif
    return x;
}

INLINE struct doubles times_doubles(struct doubles v, double factor)
{
    return (struct doubles){ times(v.low, factor), times(v.high, factor) };
}

/* To the nearest integers, halves to even; below 2^31. */
INLINE ivec round_doubles(struct doubles v)
{
    dvec low = v.low + ROUND_DOUBLE, high = v.high + ROUND_DOUBLE;
    return EVEN((ivec)low, (ivec)high);
}

INLINE ivec scale_round(ivec x, double factor, double shift)
{
    return round_doubles(scale_doubles(x, factor, shift));
}

#endif
