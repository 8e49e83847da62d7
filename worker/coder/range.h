/* range.h - a binary range coder: bits with given probabilities to bytes and back.
 *
 *      0                    bound                              range
 *      ├────── bit is 1 ──────┼─────────── bit is 0 ─────────────┤      bound = range * p / 2^16
 *    low
 *
 * The interval is 32 bits wide and renormalised bytewise, so it never falls below 2^24 and p of 16 bits never
 * loses a symbol. A carry runs back into the bytes already written (rare and short), which needs no escape
 * bytes. The encoder ends with the only multiple of 2^24 at or above low and leaves trailing zero bytes out;
 * the decoder reads zeros behind the end and accepts nothing but this ending. */
#ifndef WORKER_CODER_RANGE_H
#define WORKER_CODER_RANGE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGE_MIN (1u << 24)

struct range_encoder {
    uint8_t *data; /* owned */
    size_t length, capacity;
    uint32_t low, range;
    bool failed; /* out of memory: what was written is lost */
};

int range_encoder_init(struct range_encoder *r, struct err *e); /* ERR_NOMEM */
void range_encoder_deinit(struct range_encoder *r);
void range_encoder_restart(struct range_encoder *r);              /* a new message in the same memory */
int range_encoder_finish(struct range_encoder *r, struct err *e); /* data and length are then the message */

/* The rare parts of range_put. */
void range_carry(struct range_encoder *r);
void range_grow(struct range_encoder *r);

static inline void range_renormalize(struct range_encoder *r)
{
    while (__builtin_expect(r->range < RANGE_MIN, 0)) {
        if (__builtin_expect(r->length == r->capacity, 0))
            range_grow(r);
        r->data[r->length++] = (uint8_t)(r->low >> 24);
        r->low <<= 8;
        r->range <<= 8;
    }
}

static inline void range_advance(struct range_encoder *r, uint32_t by)
{
    uint32_t low = r->low + by;
    bool carry = low < by;
    r->low = low;
    if (__builtin_expect(carry, 0))
        range_carry(r);
}

/* p: the probability that bit is 1, in 1/65536, 1 to 65535. */
static inline void range_put(struct range_encoder *r, uint32_t p, bool bit)
{
    uint32_t bound = (uint32_t)((uint64_t)r->range * p >> 16);
    range_advance(r, bit ? 0 : bound);
    r->range = bit ? bound : r->range - bound;
    range_renormalize(r);
}

/* The lowest `bits` bits of value, 0 to 8, each as likely 0 as 1. */
static inline void range_put_even(struct range_encoder *r, uint32_t value, int bits)
{
    r->range >>= bits;
    range_advance(r, r->range * value);
    range_renormalize(r);
}

struct range_decoder {
    const uint8_t *data;     /* borrowed */
    size_t length, position; /* position also counts the zeros behind the end */
    uint32_t code, range;    /* code: where in [0, range) the message lies */
};

void range_decoder_init(struct range_decoder *r, const uint8_t *data, size_t length);
bool range_decoder_finished(const struct range_decoder *r); /* the message ends as the encoder would end it */

static inline void range_refill(struct range_decoder *r)
{
    while (r->range < RANGE_MIN) {
        r->code = r->code << 8 | (r->position < r->length ? r->data[r->position] : 0);
        r->position++;
        r->range <<= 8;
    }
}

static inline bool range_get(struct range_decoder *r, uint32_t p)
{
    uint32_t bound = (uint32_t)((uint64_t)r->range * p >> 16);
    bool bit = r->code < bound;
    r->code -= bit ? 0 : bound;
    r->range = bit ? bound : r->range - bound;
    range_refill(r);
    return bit;
}

/* A forged message can point behind the last of the 2^bits parts: the result is capped, the ending will not
 * fit. */
static inline uint32_t range_get_even(struct range_decoder *r, int bits)
{
    r->range >>= bits;
    uint32_t value = r->code / r->range;
    if (value >> bits)
        value = (1u << bits) - 1;
    r->code -= value * r->range;
    range_refill(r);
    return value;
}

#endif
