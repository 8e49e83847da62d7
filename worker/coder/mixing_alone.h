/* mixing_alone.h - bits and numbers by counters that are asked alone, with the direction said where they are
 * asked: mixing.c asks the message, lanes_matrix.c knows. */
#ifndef WORKER_CODER_MIXING_ALONE_H
#define WORKER_CODER_MIXING_ALONE_H

#include "worker/coder/coder_impl.h"
#include "worker/coder/mixing.h"

static inline __attribute__((always_inline)) bool alone_single(struct mixing *m, bool decoding,
                                                               struct counter *c, bool bit)
{
    const int32_t n = c->n < 0 ? 0 : c->n, p = c->p >> 14;
    const uint32_t likely = (uint32_t)(p < 32 ? 32 : p > 65504 ? 65504 : p);

    if (decoding)
        bit = range_get(&m->decoder, likely);
    else
        range_put(&m->encoder, likely, bit);
    const int64_t step = mixing_steps[n];
    c->p +=
        bit ? (int32_t)((MIXING_ONE - c->p) * step >> MIXING_STEP) : -(int32_t)(c->p * step >> MIXING_STEP);
    c->n = n + (n < MIXING_LIMIT);
    return bit;
}

static inline uint32_t alone_even(struct mixing *m, bool decoding, uint32_t value, int bits)
{
    uint32_t result = 0;

    while (bits > 0) {
        const int n = bits < 8 ? bits : 8;
        bits -= n;
        uint32_t part = value >> bits & ((1u << n) - 1);
        if (decoding)
            part = range_get_even(&m->decoder, n);
        else
            range_put_even(&m->encoder, part, n);
        result = result << n | part;
    }
    return result;
}

static inline __attribute__((always_inline)) uint32_t alone_number(struct mixing *m, bool decoding,
                                                                   struct counter_number *c, uint32_t value)
{
    const int wanted = bit_width(value);
    int width = 0;

    while (width < 32 && alone_single(m, decoding, &c->width[width], wanted > width))
        width++;
    if (width < 2)
        return (uint32_t)width;
    uint32_t result = 1;
    int below = width - 1;
    for (int i = 0; i < 2 && below > 0; i++) {
        below--;
        result = result << 1 | alone_single(m, decoding, &c->mantissa[width][result], value >> below & 1);
    }
    const uint32_t tail = alone_even(m, decoding, below ? value & ((1u << below) - 1) : 0, below);
    return (uint32_t)((uint64_t)result << below | tail);
}

#endif
