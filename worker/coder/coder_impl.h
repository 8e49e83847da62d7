/* coder_impl.h - what the coders share among themselves: the block's size, zigzag numbers, and their own
 * names. */
#ifndef WORKER_CODER_CODER_IMPL_H
#define WORKER_CODER_CODER_IMPL_H

#include "worker/coder/coder.h"

#include <stdbool.h>
#include <stddef.h>

extern const struct coder coder_raw, coder_huffman, coder_bzip2, coder_cabac;

/* Number of codes; ERR_INVALID when rows or columns are negative, their product passes 2^40, or low > high.
 */
int code_block_count(const struct code_block *b, size_t *count, struct err *e);

/* As above, and every code must lie in [low, high]: what each encoder checks first. */
int code_block_check(const struct code_block *b, size_t *count, struct err *e);

/* high - low: the span of a block; at most 2^32 - 1. */
static inline uint32_t code_block_span(const struct code_block *b)
{
    return (uint32_t)b->high - (uint32_t)b->low;
}

/* Number of bits that hold u: 0 for 0. */
static inline int bit_width(uint32_t u)
{
    return u ? 32 - __builtin_clz(u) : 0;
}

/* 0, -1, 1, -2, 2... to 0, 1, 2, 3, 4... and back. */
static inline uint32_t zigzag(int32_t v)
{
    return (uint32_t)v << 1 ^ (v < 0 ? UINT32_MAX : 0);
}

static inline int32_t unzigzag(uint32_t u)
{
    return (int32_t)(u >> 1 ^ (u & 1 ? UINT32_MAX : 0));
}

#endif
