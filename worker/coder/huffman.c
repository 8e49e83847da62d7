/* huffman.c - canonical Huffman codes. A payload is the code lengths, then the codes, then zeros to a byte.
 *
 * The alphabet is code - low when high - low < 4096. Wider codes (biases) are cut in two: the width of the
 * zigzag number is the symbol, the bits below its leading one follow as they are. */
#include "base/mem.h"
#include "worker/coder/bits.h"
#include "worker/coder/huffman_table.h"

#include <stdlib.h>

#define DIRECT_SPAN 4096u

struct alphabet {
    bool direct;
    int symbols;
};

static struct alphabet alphabet_of(const struct code_block *b)
{
    uint32_t span = code_block_span(b);
    bool direct = span < DIRECT_SPAN;
    return (struct alphabet){ .direct = direct, .symbols = direct ? (int)span + 1 : 33 };
}

static inline int symbol_of(const struct alphabet *a, int32_t v, int32_t low)
{
    return a->direct ? (int)((uint32_t)v - (uint32_t)low) : bit_width(zigzag(v));
}

static int huffman_encode(const struct code_block *b, struct buf *out, struct err *e)
{
    size_t count;
    int rc = code_block_check(b, &count, e);
    if (rc || !count)
        return rc;
    struct alphabet a = alphabet_of(b);
    struct huffman_code *code = mem_array((size_t)a.symbols, sizeof *code);
    uint64_t *seen = mem_array((size_t)a.symbols, sizeof *seen);
    if (!code || !seen) {
        rc = err_set(e, ERR_NOMEM, "out of memory for the Huffman code");
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        seen[symbol_of(&a, b->code[i], b->low)]++;
    rc = huffman_build(code, seen, a.symbols, e);
    if (rc)
        goto out;
    struct bit_writer w = { .out = out };
    huffman_put_lengths(&w, code, a.symbols);
    for (size_t i = 0; i < count; i++) {
        int s = symbol_of(&a, b->code[i], b->low);
        bits_put(&w, code[s].bits, code[s].length);
        if (!a.direct && s > 1)
            bits_put(&w, zigzag(b->code[i]) & ((1u << (s - 1)) - 1), s - 1);
    }
    bits_flush(&w);
    rc = out->failed ? err_set(e, ERR_NOMEM, "out of memory for the coded weights") : 0;
out:
    free(code);
    free(seen);
    return rc;
}

static int decode_codes(struct code_block *b, size_t count, const struct alphabet *a,
                        const struct huffman_table *table, struct bit_reader *r, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        int s = huffman_get(table, r);
        int64_t v;
        if (a->direct)
            v = (int64_t)b->low + s;
        else
            v = unzigzag(s > 1 ? 1u << (s - 1) | bits_get(r, s - 1) : (uint32_t)s);
        if (v < b->low || v > b->high || r->lacking)
            return err_set(e, ERR_CORRUPT, "code %zu is damaged", i);
        b->code[i] = (int32_t)v;
    }
    return bits_finished(r) ? 0 : err_set(e, ERR_CORRUPT, "bits behind the last code");
}

static int huffman_decode(struct code_block *b, const uint8_t *data, size_t length, struct err *e)
{
    size_t count;
    int rc = code_block_count(b, &count, e);
    if (rc)
        return rc;
    if (!count || !length)
        return count || length ? err_set(e, ERR_CORRUPT, "%zu bytes for %zu codes", length, count) : 0;
    struct alphabet a = alphabet_of(b);
    struct bit_reader r = { .data = data, .length = length };
    struct huffman_table table = { 0 };
    rc = huffman_get_lengths(&table, &r, a.symbols, e);
    if (!rc)
        rc = decode_codes(b, count, &a, &table, &r, e);
    huffman_table_deinit(&table);
    return rc;
}

const struct coder coder_huffman = {
    .name = "huffman",
    .title = "Canonical Huffman code",
    .encode = huffman_encode,
    .decode = huffman_decode,
};
