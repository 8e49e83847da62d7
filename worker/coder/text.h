/* text.h - a compressor for a few hundred bytes of names and small numbers, where any header would cost too
 * much. Each bit is predicted from up to five bytes before it; the model has read typical networks
 * beforehand. */
#ifndef WORKER_CODER_TEXT_H
#define WORKER_CODER_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Append the coded form of data, whatever it is; never more than a byte longer. */
int text_encode(const uint8_t *data, size_t length, struct buf *out, struct err *e);

/* Fill text[length] from exactly what text_encode made. ERR_CORRUPT, ERR_NOMEM. */
int text_decode(const uint8_t *data, size_t coded, uint8_t *text, size_t length, struct err *e);

/* How long a text of so many coded bytes may be: what a reader may allocate. */
size_t text_most(size_t coded);

extern const char text_typical[]; /* what the model has read beforehand */
extern const size_t text_typical_length;

#endif
