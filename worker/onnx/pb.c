/* pb.c - a walk over the wire format that trusts nothing, before protobuf-c's unpacker gets to see the bytes.
 *
 * Which fields hold messages is asked of the descriptors that the unpacker itself goes by: exactly the places
 * where it would recurse are the ones counted here. */
#include "worker/onnx/pb.h"

#include "worker/onnx/onnx.h"

#include <stdint.h>

enum { DEPTH = 16, VARINT_BYTES = 10 };
#define FIELDS   ((size_t)1 << 22)
#define MESSAGES ((size_t)1 << 20) /* an empty message is 2 bytes here and some 200 when unpacked */

enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 };

struct level {
    size_t end; /* offset behind the message */
    const ProtobufCMessageDescriptor *type;
};

struct walk {
    const unsigned char *data;
    size_t at, fields, messages;
    int depth;
    struct level level[DEPTH];
    struct err *e;
};

static int corrupt(struct walk *w, size_t offset, const char *what)
{
    err_set(w->e, ERR_CORRUPT, "%s", what);
    return err_at(w->e, "offset %zu", offset);
}

static int varint(struct walk *w, uint64_t *value)
{
    const size_t start = w->at, end = w->level[w->depth].end;
    *value = 0;
    for (int i = 0; i < VARINT_BYTES; ++i) {
        if (w->at == end)
            return corrupt(w, start, "A number runs over the end of its message");
        const unsigned char byte = w->data[w->at++];
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return 0;
    }
    return corrupt(w, start, "A number is longer than ten bytes");
}

static int skip(struct walk *w, uint64_t bytes)
{
    if (bytes > w->level[w->depth].end - w->at)
        return corrupt(w, w->at, "A field runs over the end of its message");
    w->at += (size_t)bytes;
    return 0;
}

/* The message type of a field, NULL when it holds something else or is unknown to the schema. */
static const ProtobufCMessageDescriptor *message_of(const ProtobufCMessageDescriptor *type, uint64_t number)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(type, (unsigned int)number);
    return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static int bytes_field(struct walk *w, uint64_t number, size_t start)
{
    uint64_t length;
    const int bad = varint(w, &length);
    if (bad)
        return bad;
    const ProtobufCMessageDescriptor *inner = message_of(w->level[w->depth].type, number);
    if (!inner)
        return skip(w, length);
    if (length > w->level[w->depth].end - w->at)
        return corrupt(w, start, "A message runs over the end of the one around it");
    if (w->depth + 1 == DEPTH)
        return corrupt(w, start, "Messages are nested too deeply");
    if (++w->messages > MESSAGES)
        return corrupt(w, start, "Too many messages");
    w->level[++w->depth] = (struct level){ w->at + (size_t)length, inner };
    return 0;
}

static int field(struct walk *w)
{
    const size_t start = w->at;
    uint64_t tag, ignored;
    const int bad = varint(w, &tag);
    if (bad)
        return bad;
    const uint64_t number = tag >> 3;
    if (number == 0 || number >= (uint64_t)1 << 29)
        return corrupt(w, start, "A field number is out of range");
    if (++w->fields > FIELDS)
        return corrupt(w, start, "Too many fields");
    switch ((enum wire)(tag & 7)) {
    case WIRE_VARINT:
        return varint(w, &ignored);
    case WIRE_64:
        return skip(w, 8);
    case WIRE_32:
        return skip(w, 4);
    case WIRE_BYTES:
        return bytes_field(w, number, start);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        break;
    }
    return corrupt(w, start, "A field has a type that ONNX never uses");
}

int pb_check_as(const ProtobufCMessageDescriptor *type, const void *data, size_t length, struct err *e)
{
    struct walk w = { .data = data, .level = { { length, type } }, .e = e };
    for (;;) {
        while (w.at == w.level[w.depth].end)
            if (w.depth-- == 0)
                return 0;
        const int bad = field(&w);
        if (bad)
            return bad;
    }
}

int pb_check(const void *data, size_t length, struct err *e)
{
    return pb_check_as(&onnx__model_proto__descriptor, data, length, e);
}
