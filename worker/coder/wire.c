#include "worker/coder/wire.h"

#include <string.h>

void wire_put_byte(struct buf *b, uint8_t byte)
{
    buf_append(b, &byte, 1);
}

void wire_put_number(struct buf *b, uint64_t n)
{
    while (n >= 0x80) {
        wire_put_byte(b, (uint8_t)(n | 0x80));
        n >>= 7;
    }
    wire_put_byte(b, (uint8_t)n);
}

void wire_put_signed(struct buf *b, int64_t n)
{
    wire_put_number(b, (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0));
}

void wire_put_string(struct buf *b, const char *s)
{
    size_t length = strlen(s);
    wire_put_number(b, length);
    buf_append(b, s, length);
}

void wire_put_floats(struct buf *b, const float *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &f[i], sizeof bits);
        const uint8_t bytes[4] = { (uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                   (uint8_t)(bits >> 24) };
        buf_append(b, bytes, sizeof bytes);
    }
}

uint16_t wire_crc16(const uint8_t *data, size_t length)
{
    uint32_t crc = 0xffff;

    for (size_t i = 0; i < length; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

const uint8_t *wire_bytes(struct wire *w, size_t count)
{
    if (w->bad || count > wire_left(w)) {
        w->bad = true;
        return NULL;
    }
    const uint8_t *bytes = w->data + w->position;
    w->position += count;
    return bytes;
}

uint8_t wire_byte(struct wire *w)
{
    const uint8_t *byte = wire_bytes(w, 1);
    return byte ? *byte : 0;
}

uint64_t wire_number(struct wire *w, uint64_t most)
{
    uint64_t n = 0;
    uint8_t byte;
    int shift = 0;
    do {
        byte = wire_byte(w);
        if (shift == 63 && byte > 1)
            w->bad = true;
        n |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !w->bad);
    if ((!byte && shift > 7) || n > most)
        w->bad = true;
    return w->bad ? 0 : n;
}

int64_t wire_signed(struct wire *w)
{
    uint64_t n = wire_number(w, UINT64_MAX);
    return (int64_t)(n >> 1 ^ (n & 1 ? UINT64_MAX : 0));
}

char *wire_string(struct wire *w, char *out)
{
    size_t length = (size_t)wire_number(w, WIRE_NAME);
    const uint8_t *bytes = wire_bytes(w, length);
    if (bytes && memchr(bytes, 0, length))
        w->bad = true;
    if (w->bad)
        length = 0;
    if (length)
        memcpy(out, bytes, length);
    out[length] = '\0';
    return out;
}

void wire_floats(struct wire *w, float *f, size_t count)
{
    if (count > wire_left(w) / 4) {
        w->bad = true;
        return;
    }
    const uint8_t *bytes = wire_bytes(w, 4 * count);
    for (size_t i = 0; bytes && i < count; i++, bytes += 4) {
        uint32_t bits = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                        (uint32_t)bytes[3] << 24;
        memcpy(&f[i], &bits, sizeof bits);
    }
}
