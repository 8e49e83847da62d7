/* raw.c - every code in the same number of bits: code - low in as many as high - low needs. The yardstick. */
#include "worker/coder/bits.h"
#include "worker/coder/coder_impl.h"

static int raw_encode(const struct code_block *b, struct buf *out, struct err *e)
{
    size_t count;
    int rc = code_block_check(b, &count, e);
    if (rc)
        return rc;
    int width = bit_width(code_block_span(b));
    struct bit_writer w = { .out = out };
    for (size_t i = 0; i < count; i++)
        bits_put(&w, (uint32_t)b->code[i] - (uint32_t)b->low, width);
    bits_flush(&w);
    return out->failed ? err_set(e, ERR_NOMEM, "out of memory for the coded weights") : 0;
}

static int raw_decode(struct code_block *b, const uint8_t *data, size_t length, struct err *e)
{
    size_t count;
    int rc = code_block_count(b, &count, e);
    if (rc)
        return rc;
    const uint32_t span = code_block_span(b);
    const int width = bit_width(span);
    if (length != (count * (size_t)width + 7) / 8)
        return err_set(e, ERR_CORRUPT, "%zu bytes for %zu codes of %d bits", length, count, width);
    struct bit_reader r = { .data = data, .length = length };
    for (size_t i = 0; i < count; i++) {
        uint32_t u = bits_get(&r, width);
        if (u > span)
            return err_set(e, ERR_CORRUPT, "code %zu lies outside [%d, %d]", i, b->low, b->high);
        b->code[i] = (int32_t)((uint32_t)b->low + u);
    }
    return bits_finished(&r) ? 0 : err_set(e, ERR_CORRUPT, "bits behind the last code");
}

const struct coder coder_raw = {
    .name = "raw",
    .title = "Fixed width",
    .encode = raw_encode,
    .decode = raw_decode,
};
