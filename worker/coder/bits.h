/* bits.h - bits in and out, the most significant bit of a byte first; the last byte is filled with zeros. */
#ifndef WORKER_CODER_BITS_H
#define WORKER_CODER_BITS_H

#include "base/buf.h"

#include <stdint.h>
#include <string.h>

struct bit_writer {
    struct buf *out;
    uint64_t held; /* the lowest `count` bits are not written yet; count < 32 between calls */
    int count;
};

/* Append the lowest `bits` bits of value, 0 to 32; the others must be zero. */
static inline void bits_put(struct bit_writer *w, uint32_t value, int bits)
{
    w->held = w->held << bits | value;
    w->count += bits;
    if (w->count < 32)
        return;
    w->count -= 32;
    uint32_t word = __builtin_bswap32((uint32_t)(w->held >> w->count));
    buf_append(w->out, &word, sizeof word);
}

/* Write what is held. Errors of the buffer are sticky: the caller looks at out->failed. */
static inline void bits_flush(struct bit_writer *w)
{
    while (w->count > 0) {
        uint8_t byte = (uint8_t)(w->count >= 8 ? w->held >> (w->count - 8) : w->held << (8 - w->count));
        buf_append(w->out, &byte, 1);
        w->count -= 8;
    }
    w->count = 0;
}

/* Behind the end there are only zeros, and `lacking` says that some of them were taken. */
struct bit_reader {
    const uint8_t *data;
    size_t length, position;
    uint64_t held; /* the highest `count` bits are the next ones */
    int count;
    bool lacking;
};

/* Make at least 56 bits ready, unless the data ends. */
static inline void bits_fill(struct bit_reader *r)
{
    if (r->length - r->position >= 8) {
        uint64_t word;
        memcpy(&word, r->data + r->position, sizeof word);
        r->held |= __builtin_bswap64(word) >> r->count;
        r->position += (size_t)(63 - r->count) >> 3;
        r->count |= 56;
        return;
    }
    while (r->count <= 56 && r->position < r->length) {
        r->held |= (uint64_t)r->data[r->position++] << (56 - r->count);
        r->count += 8;
    }
}

/* The next `bits` bits, 1 to 32, without taking them. */
static inline uint32_t bits_peek(struct bit_reader *r, int bits)
{
    if (r->count < bits)
        bits_fill(r);
    return (uint32_t)(r->held >> (64 - bits));
}

/* Take bits that were peeked. */
static inline void bits_skip(struct bit_reader *r, int bits)
{
    if (r->count < bits) {
        r->lacking = true;
        r->held = 0;
        r->count = 0;
        return;
    }
    r->held <<= bits;
    r->count -= bits;
}

/* The next `bits` bits, 0 to 32. */
static inline uint32_t bits_get(struct bit_reader *r, int bits)
{
    if (!bits)
        return 0;
    uint32_t value = bits_peek(r, bits);
    bits_skip(r, bits);
    return value;
}

/* Exactly everything was read: nothing lacked, and what is left is less than a byte of zeros. */
static inline bool bits_finished(struct bit_reader *r)
{
    if (r->count < 8)
        bits_fill(r);
    return !r->lacking && r->position == r->length && r->count < 8 &&
           (!r->count || !(r->held >> (64 - r->count)));
}

#endif
