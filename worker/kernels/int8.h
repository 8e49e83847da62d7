/* int8.h - convolution on integers: activations u8, weights s8, sums int32. Exact: every set of kernels gives
 * the same bits, and so does any cut of the blocks.
 *
 * Four channels stand together, because the machine multiplies and adds four bytes at once:
 *
 *      activations  [block][ceil(C / 4)][H][W][16 samples][4 channels], one pixel is 64 bytes
 *      sums         [block][O][OH][OW][16]
 *
 * What missing channels hold does not matter: their weights are 0. A signed activation is stored + 128; the
 * caller takes 128 * sum of the weights from the start of the sum, and padding has the code 128.
 *
 * Sums don't overflow while 255 * sum |w| + |start| of an output stays below 2^31: the caller's duty. */
#ifndef WORKER_KERNELS_INT8_H
#define WORKER_KERNELS_INT8_H

#include "worker/kernels/kernels.h"

enum { QUAD = 4, PIXEL = LANES * QUAD }; /* channels that stand together; bytes of one pixel of a quad */

static inline int quads(int channels)
{
    return (channels + QUAD - 1) / QUAD;
}

struct int8_conv {
    struct conv conv;
    uint8_t zero; /* the code of zero: padding */
    bool narrow;  /* set by int8_pack: weights so small that pairs of products fit 16 bits */
};

/* Codes to be read. Distances are in pixels (of 64 bytes). */
struct int8_in {
    const uint8_t *code; /* the pixel (0, 0) of block 0 */
    ptrdiff_t row, plane, block;
    bool margins; /* the padding is there in memory, all around: nothing is copied */
};

enum int8_form {
    INT8_SUMS,    /* int32 sum */
    INT8_REALS,   /* real (sum * factor + shift), the sum rounded to real */
    INT8_NUMBERS, /* double clip(sum * factor + shift + more, least, most), and codes of that. The product and
                     the shift are exact as long as they have 52 bits: factor = m / 2^s and shift = n / 2^s
                     with integers m, n is a multiplier and a shift. Adding `more` rounds to 53 bits */
    INT8_CODES /* u8 clip(round(sum * factor + shift) + zero, low, high), halves to even; four outputs stand
                  together. Exact likewise, and as long as it stays below 2^31 */
};

/* Codes of a result that is written as numbers too: clip(round(v * factor) + zero, low, high), where |v *
 * factor| stays below 2^31. */
struct int8_codes {
    uint8_t *at; /* NULL: none are wanted */
    ptrdiff_t row, plane, block;
    double factor;
    int zero, low, high;
};

/* Where results go. Arrays have quads(O) * 4 elements. Distances: see int8_in; planes are outputs, or quads
 * of outputs for codes. Rows past the last output are not written, except as channels of a quad. */
struct int8_out {
    enum int8_form form;
    void *at;
    ptrdiff_t row, plane, block;
    const int32_t *start; /* what sums start from; NULL: 0 */
    const double *factor, *shift;
    int32_t zero, low, high; /* INT8_CODES */
    /* INT8_NUMBERS; `at` may be NULL when codes are all that is wanted */
    double least, most;
    const double *more; /* NULL: 0; distances as those of the result */
    struct int8_codes codes;
};

struct int8_kernels {
    size_t (*scratch)(const struct int8_conv *c); /* bytes per thread */
    /* blocks [lo, hi) of y = conv(x, w); w is packed */
    void (*conv)(const struct int8_conv *c, const struct int8_in *x, const int8_t *w,
                 const struct int8_out *y, int lo, int hi, void *scratch);
    /* Codes of up to four channels, [channel][pixels][LANES] apart by `plane` reals, to one plane of quads:
     * clip(rint(x / scale) + zero, low, high) of the range, which must lie in 0..255; missing channels 0. */
    void (*codes)(uint8_t *code, const real *x, ptrdiff_t plane, int channels, size_t pixels,
                  const struct quant_range *r);
    /* The same of normalized channels, x -> (x - mean) * factor + shift; nothing else of n is looked at. */
    void (*norm_codes)(uint8_t *code, const real *x, ptrdiff_t plane, int channels, size_t pixels,
                       const struct norm n[QUAD], const struct quant_range *r);
    /* And back: (code - zero) * scale, the number that the quantizer itself would give. */
    void (*numbers)(real *x, const uint8_t *code, ptrdiff_t plane, int channels, size_t pixels, int zero,
                    real scale);
};

extern const struct int8_kernels int8_generic, int8_avx2, int8_avx512, int8_avx512_vnni;

/* Groups are taken together until both their channels and their outputs fill quads; weights between them are
 * 0. Depthwise convolution costs nothing more by that. */
struct int8_groups {
    int count, channels, outputs; /* of a joined one; the last may be smaller */
};

struct int8_groups int8_groups(const struct conv *c);

/* Bytes of packed weights: [quad of outputs][quad of a joined group's channels][KH][KW][4 outputs][4]. */
size_t int8_packed(const struct conv *c);
/* w: natural (O, C / groups, KH, KW). packed: aligned to 16. */
void int8_pack(struct int8_conv *c, const int8_t *w, int8_t *packed);

/* Images without margins, one after the other; and results likewise. */
struct int8_in int8_dense_in(const struct conv *c, const uint8_t *code);
struct int8_out int8_dense_out(const struct conv *c, enum int8_form form, void *at);

#endif
