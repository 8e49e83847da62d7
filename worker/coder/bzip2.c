/* bzip2.c - libbz2 over packed codes, for comparison with papers that report it. The payload's first byte
 * says how the codes were packed: 1..8 = so many codes a byte, as digits to the base high - low + 1, the
 * first code least; 0x12..0x14 = 2 to 4 bytes a code, all lowest bytes first. The shortest result wins. */
#include "base/mem.h"
#include "worker/coder/coder_impl.h"

#include <bzlib.h>
#include <stdlib.h>

#define PLANES 0x10 /* added to the bytes of a code */
#define MOST   8    /* codes in a byte */

/* How many digits to the base span + 1 fit into a byte; 0 when not even one does. */
static int digits_a_byte(uint32_t span)
{
    if (!span)
        return MOST;
    int digits = 0;
    for (uint64_t power = (uint64_t)span + 1; power <= 256 && digits < MOST; power *= (uint64_t)span + 1)
        digits++;
    return digits;
}

static size_t packed_size(size_t count, int packing)
{
    if (packing > PLANES)
        return count * (size_t)(packing - PLANES);
    return (count + (size_t)packing - 1) / (size_t)packing;
}

static void pack(const struct code_block *b, size_t count, int packing, uint8_t *bytes)
{
    const uint32_t low = (uint32_t)b->low, base = code_block_span(b) + 1;
    if (packing > PLANES) {
        for (int plane = 0; plane < packing - PLANES; plane++)
            for (size_t i = 0; i < count; i++)
                *bytes++ = (uint8_t)(((uint32_t)b->code[i] - low) >> (8 * plane));
        return;
    }
    for (size_t i = 0; i < count; i += (size_t)packing) {
        size_t n = count - i < (size_t)packing ? count - i : (size_t)packing;
        uint32_t byte = 0;
        while (n-- > 0)
            byte = byte * base + ((uint32_t)b->code[i + n] - low);
        *bytes++ = (uint8_t)byte;
    }
}

static bool unpack_digits(struct code_block *b, size_t count, int packing, const uint8_t *bytes)
{
    const uint32_t low = (uint32_t)b->low, base = code_block_span(b) + 1;
    for (size_t i = 0; i < count; bytes++) {
        uint32_t byte = *bytes;
        for (int n = 0; n < packing && i < count; n++, byte /= base)
            b->code[i++] = (int32_t)(low + byte % base);
        if (byte)
            return false;
    }
    return true;
}

static bool unpack_planes(struct code_block *b, size_t count, int planes, const uint8_t *bytes)
{
    const uint32_t low = (uint32_t)b->low, span = code_block_span(b);
    for (size_t i = 0; i < count; i++) {
        uint32_t u = 0;
        for (int plane = 0; plane < planes; plane++)
            u |= (uint32_t)bytes[(size_t)plane * count + i] << (8 * plane);
        if (u > span)
            return false;
        b->code[i] = (int32_t)(low + u);
    }
    return true;
}

/* libbz2 counts in unsigned int: hand over what it can take and note what is left. */
static unsigned next_chunk(size_t *left)
{
    unsigned n = *left < (1u << 30) ? (unsigned)*left : 1u << 30;
    *left -= n;
    return n;
}

static int compress(uint8_t *bytes, size_t size, struct buf *out, struct err *e)
{
    bz_stream z = { .next_in = (char *)bytes };
    if (BZ2_bzCompressInit(&z, 9, 0, 0) != BZ_OK)
        return err_set(e, ERR_NOMEM, "out of memory for bzip2");
    char chunk[16384];
    int state;
    do {
        if (!z.avail_in)
            z.avail_in = next_chunk(&size);
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        state = BZ2_bzCompress(&z, size ? BZ_RUN : BZ_FINISH);
        if (state >= 0)
            buf_append(out, chunk, sizeof chunk - z.avail_out);
    } while (state == BZ_RUN_OK || state == BZ_FINISH_OK);
    BZ2_bzCompressEnd(&z);
    if (state != BZ_STREAM_END)
        return err_set(e, ERR_INTERNAL, "bzip2 says %d", state);
    return out->failed ? err_set(e, ERR_NOMEM, "out of memory for the coded weights") : 0;
}

/* Exactly `size` bytes out of exactly `length`. */
static int expand(const uint8_t *data, size_t length, uint8_t *bytes, size_t size, struct err *e)
{
    bz_stream z = { .next_in = (char *)(uintptr_t)data, .next_out = (char *)bytes };
    if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
        return err_set(e, ERR_NOMEM, "out of memory for bzip2");
    int state = BZ_OK;
    while (state == BZ_OK) {
        if (!z.avail_in)
            z.avail_in = next_chunk(&length);
        if (!z.avail_out)
            z.avail_out = next_chunk(&size);
        unsigned in = z.avail_in, out = z.avail_out;
        state = BZ2_bzDecompress(&z);
        if (state == BZ_OK && z.avail_in == in && z.avail_out == out)
            state = BZ_UNEXPECTED_EOF;
    }
    bool exact = state == BZ_STREAM_END && !z.avail_in && !length && !z.avail_out && !size;
    BZ2_bzDecompressEnd(&z);
    if (state == BZ_MEM_ERROR)
        return err_set(e, ERR_NOMEM, "out of memory for bzip2");
    return exact ? 0 : err_set(e, ERR_CORRUPT, "the bzip2 stream is damaged");
}

static int encode_packed(const struct code_block *b, size_t count, int packing, uint8_t *bytes,
                         struct buf *out, struct err *e)
{
    uint8_t head = (uint8_t)packing;
    pack(b, count, packing, bytes);
    buf_append(out, &head, 1);
    return compress(bytes, packed_size(count, packing), out, e);
}

static int bzip2_encode(const struct code_block *b, struct buf *out, struct err *e)
{
    size_t count;
    int rc = code_block_check(b, &count, e);
    if (rc || !count)
        return rc;
    int digits = digits_a_byte(code_block_span(b));
    int first = digits ? 1 : PLANES + (bit_width(code_block_span(b)) + 7) / 8;
    int last = digits ? digits : first;
    uint8_t *bytes = mem_alloc(packed_size(count, first));
    struct buf best, trial;
    buf_init(&best, SIZE_MAX);
    buf_init(&trial, SIZE_MAX);
    if (!bytes)
        rc = err_set(e, ERR_NOMEM, "out of memory for bzip2");
    for (int packing = first; !rc && packing <= last; packing++) {
        buf_clear(&trial);
        rc = encode_packed(b, count, packing, bytes, &trial, e);
        if (best.length && best.length <= trial.length)
            continue;
        struct buf shorter = trial;
        trial = best;
        best = shorter;
    }
    if (!rc && buf_append(out, best.data, best.length))
        rc = err_set(e, ERR_NOMEM, "out of memory for the coded weights");
    buf_free(&best);
    buf_free(&trial);
    free(bytes);
    return rc;
}

static bool packing_fits(const struct code_block *b, int packing)
{
    int digits = digits_a_byte(code_block_span(b));
    if (digits)
        return packing >= 1 && packing <= digits;
    return packing == PLANES + (bit_width(code_block_span(b)) + 7) / 8;
}

static int bzip2_decode(struct code_block *b, const uint8_t *data, size_t length, struct err *e)
{
    size_t count;
    int rc = code_block_count(b, &count, e);
    if (rc)
        return rc;
    if (!count || !length)
        return count || length ? err_set(e, ERR_CORRUPT, "%zu bytes for %zu codes", length, count) : 0;
    int packing = data[0];
    if (!packing_fits(b, packing))
        return err_set(e, ERR_CORRUPT, "codes in [%d, %d] are not packed by %d", b->low, b->high, packing);
    size_t size = packed_size(count, packing);
    uint8_t *bytes = mem_alloc(size);
    if (!bytes)
        return err_set(e, ERR_NOMEM, "out of memory for bzip2");
    rc = expand(data + 1, length - 1, bytes, size, e);
    if (!rc) {
        bool good = packing > PLANES ? unpack_planes(b, count, packing - PLANES, bytes)
                                     : unpack_digits(b, count, packing, bytes);
        if (!good)
            rc = err_set(e, ERR_CORRUPT, "a code lies outside [%d, %d]", b->low, b->high);
    }
    free(bytes);
    return rc;
}

const struct coder coder_bzip2 = {
    .name = "bzip2",
    .title = "bzip2 over packed codes",
    .encode = bzip2_encode,
    .decode = bzip2_decode,
};
