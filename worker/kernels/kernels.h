/* kernels.h - the table of compute kernels, one per instruction set, chosen once at start.
 *
 * One source (lanes_*.c, gcc vector types of 16 numbers) is built as separate objects for several instruction
 * sets; "blas" is im2col + sgemm of OpenBLAS, the portable backend and the oracle of the tests. Kernels are
 * pure: they know layouts and sizes, nothing of graphs. Layouts: see worker/real.h; weights natural
 * (O,I/groups,KH,KW). */
#ifndef WORKER_KERNELS_KERNELS_H
#define WORKER_KERNELS_KERNELS_H

#include "worker/kernels/element.h"
#include "worker/kernels/update.h"
#include "worker/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A 2-d convolution on one sample: (C,H,W) -> (O,OH,OW). Fully connected is the 1x1 case with H=W=1. */
struct conv {
    int C, H, W, O, OH, OW, KH, KW;
    int stride_h, stride_w, dilation_h, dilation_w;
    int top, left, bottom, right; /* zero padding */
    int groups;
    bool exact; /* forward: the products themselves are to be summed, since those of codes are exact; else
                   tiles of Winograd may do with fewer */
};

static inline uint64_t conv_macs(const struct conv *c)
{
    return (uint64_t)c->O * c->OH * c->OW * (c->C / c->groups) * c->KH * c->KW;
}

enum { KERNELS_OUTPUTS = 4 };

struct kernels {
    const char *name;     /* "generic" | "avx2" | "avx512" | "avx512-vnni" | "blas" */
    bool (*usable)(void); /* does this CPU have it? */

    size_t (*conv_scratch)(const struct conv *c); /* bytes per thread, for any of the three below */
    /* y = conv(x, w) + bias for blocks [lo, hi); bias may be NULL */
    void (*conv_forward)(const struct conv *c, const real *x, const real *w, const real *bias, real *y,
                         int lo, int hi, void *scratch);
    /* dx = conv_transposed(dy, w) for blocks [lo, hi), added to what is in dx when `add` */
    void (*conv_backward_data)(const struct conv *c, const real *dy, const real *w, real *dx, bool add,
                               int lo, int hi, void *scratch);
    /* dw[o...] += sum over all blocks, for output channels [lo, hi); dbias likewise. Either may be NULL. lo
     * is a multiple of KERNELS_OUTPUTS, hi is one or c->O: a library that sums in another order for another
     * number of rows is then called with the same rows by any number of threads */
    void (*conv_backward_weight)(const struct conv *c, int blocks, const real *x, const real *dy, real *dw,
                                 real *dbias, int lo, int hi, void *scratch);

    const struct unary_pass *unary; /* [UNARIES] */
    const struct element *element;
    const struct pool_pass *pool;
    const struct update_pass *update;
    const struct int8_kernels *int8;   /* worker/kernels/int8.h */
    const struct bf16 *bf16;           /* worker/kernels/bf16.h */
    const struct fixed_kernels *fixed; /* worker/kernels/fixed.h */
    const struct tiles *tiles; /* worker/kernels/tiles.h; the functions above use them by themselves */
};

extern const struct kernels *const kernels_list[];    /* best first; NULL-terminated */
const struct kernels *kernels_best(void);             /* QUANTD_KERNELS in the environment forces one */
const struct kernels *kernels_find(const char *name); /* NULL when unknown or unusable here */

/* GFLOP/s of one core with multiply-adds that stay in registers, measured for so many seconds */
double kernels_peak(const struct kernels *k, double seconds);
const char *kernels_blas(void); /* OpenBLAS's version and core type, for the record of a result */

#endif
