/* bits.h - convolution of low-bit codes by bit planes: the same sums as int8.h, to the last bit.
 *
 * A code is taken apart, x = base + sum of x_worth[i] over the bits i that are set in it, a weight likewise,
 * w = w_rest + sum of w_worth[j]; then
 *
 *      sum x * w = sum over i, j of x_worth[i] * w_worth[j] * |bits that are set in plane i and in plane j| +
 * ...
 *
 * and 32 channels (or taps of fewer channels) are one word: an AND, a count of bits, an addition. (Umuroglu
 * et al., "FINN", FPGA 2017, section 4.2.) Worths are integers of any kind: powers of two for uniform codes,
 * and the bases of LQ-Nets (Zhang et al., ECCV 2018, equation 7) in fixed point, one set for each output. */
#ifndef WORKER_KERNELS_BITS_H
#define WORKER_KERNELS_BITS_H

#include "base/err.h"
#include "worker/kernels/int8.h"

enum {
    BITS_PLANES = 4, /* of weights; and of codes, where int8.h would do as well */
    BITS_CODES = 8,  /* of codes */
    BITS_TERMS = BITS_CODES * BITS_PLANES
};

/* One pair of planes. Counts go on from term to term, so that powers of two need no multiplication. */
struct bits_term {
    uint8_t x, w; /* planes */
    bool minus;   /* its bits are taken away */
    bool twice;   /* what has been counted is doubled behind it */
    bool flush;   /* the counts times `worth` are added to the sums, and begin again at 0 */
    int worth;    /* row of bits_weights.worth */
};

struct bits_conv {
    struct conv conv; /* of one group */
    uint8_t base;     /* taken from every code */
    uint8_t zero;     /* the code of zero: padding */
    int x_planes, w_planes, terms;
    struct bits_term term[BITS_TERMS];
    int w_low, w_step;           /* w = w_low + w_step * its bits */
    int rests;                   /* rows of bits_weights.rest: 0; 1, for the sum of a window; x_planes */
    int32_t x_worth[BITS_CODES]; /* of that sum; where each plane has a rest of its own: 1 */
};

/* Sizes: outs = quads(O) * 4. Owned. */
struct bits_weights {
    uint32_t *word; /* [quad of outputs][plane][step][4]; then [step]: the bits that stand for weights */
    int32_t *worth; /* [rows][outs] */
    int32_t *rest;  /* [rests][outs] */
};

struct bits_kernels {
    size_t (*scratch)(const struct bits_conv *c); /* bytes per thread */
    /* Blocks [lo, hi) of y = conv(x, w), all forms. start is that of the sum of (x - base) * w. */
    void (*conv)(const struct bits_conv *c, const struct int8_in *x, const struct bits_weights *w,
                 const struct int8_out *y, int lo, int hi, void *scratch);
};

extern const struct bits_kernels bits_generic, bits_avx2, bits_avx512, bits_avx512_vnni, bits_avx512_popcount;

/* Those that belong to a set; where the CPU counts bits of a vector by itself, the ones that do so. */
const struct bits_kernels *bits_of(const struct kernels *k);

/* How the codes low..high and the weights w (natural, O * K of them) come apart. False: there are groups, one
 * of the two needs more than BITS_PLANES planes, or zero is no code. */
bool bits_fit(struct bits_conv *c, uint8_t low, uint8_t high, const int8_t *w);
/* The same where bits are worth numbers of any kind: codes have x_planes bits, weights are sums of +-2^k with
 * that many bits (`basis`), or 0: any. Each pair of planes, x the inner, has a worth and each plane of codes
 * a rest, which bits_pack leaves 0 for the caller to fill in. */
bool bits_fit_bases(struct bits_conv *c, int x_planes, const int8_t *w, int basis);
/* Are planes faster than the set's own convolution of bytes (int8.h)? An estimate from measured figures. */
bool bits_pay(const struct bits_conv *c, const struct kernels *k);
/* The planes of w. ERR_NOMEM; to be freed in any case. */
int bits_pack(const struct bits_conv *c, const int8_t *w, struct bits_weights *packed, struct err *e);
void bits_free(struct bits_weights *w);

/* Taps of a row that share a word, when there are so few channels; steps of a window; words of a pixel. */
static inline int bits_taps(const struct conv *c)
{
    return c->KW == 1 || c->C > 16 ? 1 : c->C > 8 ? 2 : 4;
}

static inline int bits_words(const struct conv *c)
{
    return (c->C + 31) / 32;
}

static inline int bits_steps(const struct conv *c)
{
    return bits_words(c) * c->KH * ((c->KW + bits_taps(c) - 1) / bits_taps(c));
}

/* Where channel c (0..31) of a tap stands in its word. */
static inline int bits_place(int channel, int tap, int taps)
{
    return channel % QUAD * 8 + channel / QUAD + tap * (8 / taps);
}

#endif
