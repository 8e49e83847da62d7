/* fixed.h - passes over numbers, which are doubles, and over codes (int8.h), one table per instruction set.
 * Every set gives the same bits. `count` is a multiple of LANES, addresses are aligned to 64 bytes. round: to
 * the nearest integer, halves to even; what it gives must stay below 2^31. */
#ifndef WORKER_KERNELS_FIXED_H
#define WORKER_KERNELS_FIXED_H

#include "worker/kernels/int8.h"

/* A pixel of a quad whose lanes come from elsewhere: from[l] counts quads (pixel * LANES + lane) of the
 * plane; NOWHERE: the code of zero. */
struct patch {
    ptrdiff_t to;     /* pixel */
    ptrdiff_t source; /* the one pixel that all come from, or MANY */
    int32_t from[LANES];
};
enum { NOWHERE = INT32_MIN, MANY = INT32_MIN };

/* A stair: the code begins at `start`, and where a number is above limit[k] the bits of change[k] turn. */
struct fixed_stair {
    int count;
    int32_t start, change[15];
    double limit[15];
};

struct fixed_kernels {
    /* y = clip(a + b, low, high); b NULL: 0 */
    void (*add)(double *y, const double *a, const double *b, size_t count, double low, double high);
    /* one row of codes of up to four channels that are `plane` numbers apart */
    void (*codes)(uint8_t *code, const double *x, ptrdiff_t plane, int channels, size_t count,
                  const struct int8_codes *rule);
    /* the same by a stair */
    void (*stair)(uint8_t *code, const double *x, ptrdiff_t plane, int channels, size_t count,
                  const struct fixed_stair *stair);
    /* y = (code - zero) * factor for one channel (0..3) of its quad */
    void (*numbers)(double *y, const uint8_t *code, int channel, size_t count, int32_t zero, double factor);
    /* y = max(y, x) of bytes, `pixels` of a quad; and of numbers */
    void (*max_codes)(uint8_t *y, const uint8_t *x, size_t pixels);
    void (*max)(double *y, const double *x, size_t count);
    /* On each of so many planes of quads, which may be the same ones; distances in pixels. */
    void (*patch)(const struct patch *list, int count, int zero, const uint8_t *from, ptrdiff_t from_plane,
                  uint8_t *to, ptrdiff_t to_plane, int planes);
};

extern const struct fixed_kernels fixed_generic, fixed_avx2, fixed_avx512, fixed_avx512_vnni;

#endif
