/* tiles.h - convolution by Winograd's tiles (arXiv 1509.09308): fewer products for more additions. A tile of
 * m x m outputs takes 6 x 6 products a channel instead of m x m x r x r: m = 4 with kernels of 3x3, m = 2
 * with 5x5.
 *
 * Errors are some times those of the direct sums (tests/bench/RESULTS.md), and sums of codes are not exact.
 */
#ifndef WORKER_KERNELS_TILES_H
#define WORKER_KERNELS_TILES_H

#include "worker/kernels/bf16.h"
#include "worker/kernels/kernels.h"

/* The tiles of a batch, block by block, in rows. */
struct tiling {
    int m;              /* outputs of a tile along an axis */
    int columns, tiles; /* in a row, in a block */
};

struct tiling tiles_of(const struct conv *c);

/* Is this layer better off so? Depends on nothing but the layer. */
bool tiles_pay(const struct conv *c);

/* Is the weight gradient of so many blocks better summed up for each pair of blocks apart, all outputs at
 * once? Depends on these two alone. */
bool tiles_part(const struct conv *c, int blocks);

/* Is its backward pass so faster than on pairs of bf16 (bf16.h), too? */
bool tiles_beat_pairs(const struct conv *c);

/* As in struct kernels, for layers where tiles pay. */
struct tiles {
    size_t (*scratch)(const struct conv *c);
    void (*forward)(const struct conv *c, const real *x, const real *w, const real *bias, real *y, int lo,
                    int hi, void *scratch);
    void (*backward_data)(const struct conv *c, const real *dy, const real *w, real *dx, bool add, int lo,
                          int hi, void *scratch);
    void (*backward_weight)(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int lo,
                            int hi, void *scratch);
    /* The same of an input that is (code - zero) * step. NULL for QUANTD_DOUBLE. */
    void (*coded_weight)(const struct conv *c, int blocks, const struct coded *x, real step, const real *dy,
                         real *dw, int lo, int hi, void *scratch);
};

extern const struct tiles tiles_generic, tiles_avx2, tiles_avx512, tiles_avx512_vnni;

#endif
