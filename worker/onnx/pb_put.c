/* pb_put.c - writes the wire format. Fields go out in the order of the calls: same calls, same bytes. */
#include "worker/onnx/pb.h"

#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32 = 5 };

static void varint(struct buf *b, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (unsigned char)(value & 0x7f);
        value >>= 7;
        if (value)
            bytes[n] |= 0x80;
        ++n;
    } while (value);
    buf_append(b, bytes, n);
}

static void tag(struct buf *b, unsigned number, enum wire wire)
{
    varint(b, (uint64_t)number << 3 | wire);
}

void pb_put_int(struct buf *b, unsigned number, int64_t value)
{
    tag(b, number, WIRE_VARINT);
    varint(b, (uint64_t)value);
}

void pb_put_float(struct buf *b, unsigned number, float value)
{
    tag(b, number, WIRE_32);
    buf_append(b, &value, sizeof value); /* little-endian, as every machine this runs on */
}

void pb_put_bytes(struct buf *b, unsigned number, const void *data, size_t length)
{
    tag(b, number, WIRE_BYTES);
    varint(b, length);
    buf_append(b, data, length);
}

void pb_put_text(struct buf *b, unsigned number, const char *text)
{
    pb_put_bytes(b, number, text, strlen(text));
}

void pb_put_message(struct buf *b, unsigned number, struct buf *message)
{
    if (message->failed)
        b->failed = true;
    pb_put_bytes(b, number, message->data, message->length);
    buf_free(message);
}
