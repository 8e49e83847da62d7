/* bf16.h - the backward pass of a convolution whose input and weights are integer codes: products of bf16
 * with sums in float, twice the rate of float where the machine has VDPBF16PS. Codes (at most 8 bits) are
 * exact in bf16's 8 significant bits; the output's gradient alone is rounded, to nearest, halves to even.
 * Sets without the instruction compute the same from the same rounded numbers; the last bits differ, as
 * between all sets.
 *
 * Pairs are two blocks side by side; a last block that is alone is paired with itself, upper rows with lower
 * ones.
 *
 * Order of calls: pack_dy, pack_x (by pairs of blocks) and pack_weights; then weight() by output channels and
 * data() by blocks. Formats of the packed arrays are a set's own affair; their sizes are not. One group only.
 *
 * For QUANTD_DOUBLE there is none of this. */
#ifndef WORKER_KERNELS_BF16_H
#define WORKER_KERNELS_BF16_H

#include "worker/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conv;

typedef uint32_t bf16_pair; /* two bf16; the one that comes first in the low half */

/* Codes as the integer forward pass reads them: u8 [block][ceil(C/4)][H][W][LANES][4], code + zero; channels
 * that are missing in the last four hold 0. */
struct coded {
    const uint8_t *code;
    int zero; /* 0, or 128 where codes have a sign */
};

/* Room for one layer's backward pass: one block of memory, in this order. Bytes from its start. */
struct bf16_room {
    size_t dy_channels, dy_blocks, x, weights, sums, bytes;
};

/* A 1x1 layer of few pixels, or of many inputs and outputs: the weight gradient then runs over samples with
 * features in the lanes. */
enum { BF16_FEW_PIXELS = 8, BF16_MANY_INPUTS = 192, BF16_MANY_OUTPUTS = 64 };
bool bf16_dense(const struct conv *c);

struct bf16_room bf16_room(const struct conv *c, int blocks);

struct bf16 {
    bool fast;                               /* the machine has the instruction: others are faster in float */
    size_t (*scratch)(const struct conv *c); /* bytes per thread, for data() and weight() */
    /* Pairs of blocks [lo, hi) of dy: scale[o] * dy for data() (scale: one number or, with `scales` = O, one
     * per output), dy for weight(), and the sums of every output's dy for bias(). No data: only the latter.
     */
    void (*pack_dy)(const struct conv *c, int blocks, const real *dy, const real *scale, int scales,
                    void *room, bool data, int lo, int hi);
    void (*pack_x)(const struct conv *c, int blocks, const struct coded *x, void *room, int lo, int hi);
    /* Input channels [lo, hi); lo is a multiple of 8, hi is one or C. w: codes in natural order. */
    void (*pack_weights)(const struct conv *c, int blocks, const int8_t *w, void *room, int lo, int hi);
    /* dx = sum over outputs and taps for blocks [lo, hi), added to what is in dx when `add` */
    void (*data)(const struct conv *c, int blocks, const void *room, real *dx, bool add, int lo, int hi,
                 void *scratch);
    /* dw[o...] += step * sum over all blocks, for output channels [lo, hi); lo as in conv_backward_weight */
    void (*weight)(const struct conv *c, int blocks, const void *room, real step, real *dw, int lo, int hi,
                   void *scratch);
    /* dbias[o] += sum over all blocks of dy */
    void (*bias)(const struct conv *c, int blocks, const void *room, real *dbias, int lo, int hi);
};

extern const struct bf16 bf16_generic, bf16_avx2, bf16_avx512, bf16_avx512_vnni;

#endif
