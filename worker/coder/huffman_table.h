/* huffman_table.h - canonical codes: from counts to lengths to bits, their transmission, and the decoder's
 * tables. */
#ifndef WORKER_CODER_HUFFMAN_TABLE_H
#define WORKER_CODER_HUFFMAN_TABLE_H

#include "worker/coder/bits.h"
#include "worker/coder/coder_impl.h"

enum { HUFFMAN_LONGEST = 20, HUFFMAN_QUICK = 10 };

struct huffman_code {
    uint32_t bits;
    int length; /* 0: the symbol does not occur, or it is the only one */
    bool used;
};

/* code[symbols] from how often each symbol was seen: an optimal prefix code, at most HUFFMAN_LONGEST bits. */
int huffman_build(struct huffman_code *code, const uint64_t *seen, int symbols, struct err *e);
void huffman_put_lengths(struct bit_writer *w, const struct huffman_code *code, int symbols);

struct huffman_table {
    int32_t *symbol; /* owned; used symbols sorted by (length, symbol) */
    int used, longest;
    uint32_t first[HUFFMAN_LONGEST + 2]; /* first code of each length, left-aligned to HUFFMAN_LONGEST bits */
    int32_t start[HUFFMAN_LONGEST + 1];  /* its place in symbol[] */
    struct {
        int16_t symbol;
        uint8_t length; /* 0: longer than HUFFMAN_QUICK */
    } quick[1 << HUFFMAN_QUICK];
};

/* Read what huffman_put_lengths wrote. ERR_CORRUPT unless the code is complete. */
int huffman_get_lengths(struct huffman_table *t, struct bit_reader *r, int symbols, struct err *e);
void huffman_table_deinit(struct huffman_table *t);

/* The next symbol, in [0, symbols) whatever the bits; r->lacking tells of a short message. */
static inline int huffman_get(const struct huffman_table *t, struct bit_reader *r)
{
    if (!t->longest)
        return t->symbol[0];
    uint32_t next = bits_peek(r, HUFFMAN_LONGEST);
    int length = t->quick[next >> (HUFFMAN_LONGEST - HUFFMAN_QUICK)].length;
    if (length) {
        bits_skip(r, length);
        return t->quick[next >> (HUFFMAN_LONGEST - HUFFMAN_QUICK)].symbol;
    }
    for (length = HUFFMAN_QUICK + 1; length < t->longest && next >= t->first[length + 1]; length++)
        ;
    bits_skip(r, length);
    return t->symbol[t->start[length] + (int)((next - t->first[length]) >> (HUFFMAN_LONGEST - length))];
}

#endif
