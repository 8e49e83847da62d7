/* coder.h - lossless coders for integer codes: a const struct per file, listed in coder/list.c. */
#ifndef WORKER_CODER_CODER_H
#define WORKER_CODER_CODER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* A layer's integers as a matrix: rows = output channels, columns = the rest, row-major. */
struct code_block {
    int64_t rows, columns;
    int32_t low, high; /* all codes are in [low, high]; both known to the decoder */
    int32_t *code;     /* [rows * columns]; the decoder fills it */
};

struct coder {
    const char *name, *title;
    int (*encode)(const struct code_block *b, struct buf *out, struct err *e);
    /* data holds exactly the encoder's bytes; anything else is ERR_CORRUPT, never more than rows*columns
     * codes */
    int (*decode)(struct code_block *b, const uint8_t *data, size_t length, struct err *e);
};

extern const struct coder *const coder_list[]; /* NULL-terminated */
const struct coder *coder_find(const char *name);

double coder_entropy(const struct code_block *b); /* order-0 entropy in bits per code */

#endif
