/* wire.h - the few forms in which a .qdz file writes things: bytes, LEB128 numbers, counted strings, floats.
 * Everything is little-endian. A reader that ran out of bytes or met nonsense stays `bad` and gives zeros, so
 * that callers look once after a group of reads. */
#ifndef WORKER_CODER_WIRE_H
#define WORKER_CODER_WIRE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_NAME 4096 /* longest name or attribute string, in bytes */

void wire_put_byte(struct buf *b, uint8_t byte);
void wire_put_number(struct buf *b, uint64_t n);    /* LEB128: 7 bits a byte, lowest first, high bit = more */
void wire_put_signed(struct buf *b, int64_t n);     /* zigzag, then as above */
void wire_put_string(struct buf *b, const char *s); /* length, bytes */
void wire_put_floats(struct buf *b, const float *f, size_t count);

/* CRC-16 of polynomial 0x1021 from 0xffff, highest bit first: the check sum of a short file. */
uint16_t wire_crc16(const uint8_t *data, size_t length);

struct wire {
    const uint8_t *data; /* borrowed */
    size_t length, position;
    bool bad;
};

static inline size_t wire_left(const struct wire *w)
{
    return w->length - w->position;
}

const uint8_t *wire_bytes(struct wire *w, size_t count); /* NULL and bad when there are fewer */
uint8_t wire_byte(struct wire *w);
uint64_t wire_number(struct wire *w, uint64_t most); /* bad when it is larger, or longer than needed */
int64_t wire_signed(struct wire *w);
/* Into out[WIRE_NAME + 1], zero-terminated; bad when it is longer or holds a zero. Returns out. */
char *wire_string(struct wire *w, char *out);
void wire_floats(struct wire *w, float *f, size_t count);

#endif
