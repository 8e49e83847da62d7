/* pb.h - protobuf at the level of bytes: the check before unpacking, and a small writer. Private to onnx/. */
#ifndef WORKER_ONNX_PB_H
#define WORKER_ONNX_PB_H

#include "base/buf.h"
#include "base/err.h"
#include "onnx/onnx.pb-c.h"

/* As pb_check() of onnx.h, for any message type of the schema. */
int pb_check_as(const ProtobufCMessageDescriptor *type, const void *data, size_t length, struct err *e);

/* Append one field to a message under construction. Failure is sticky in the buffer (see buf.h). */
void pb_put_int(struct buf *b, unsigned number, int64_t value);
void pb_put_float(struct buf *b, unsigned number, float value);
void pb_put_bytes(struct buf *b, unsigned number, const void *data, size_t length);
void pb_put_text(struct buf *b, unsigned number, const char *text);
void pb_put_message(struct buf *b, unsigned number, struct buf *message); /* and frees message's content */

#endif
