/* Any bytes into each decoder: an error, or codes inside the range that come back through encoder and
 * decoder. The first four bytes choose the coder, the block's size and its range. */
#include "base/buf.h"
#include "base/err.h"
#include "worker/coder/coder.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(int truth)
{
    if (!truth)
        abort();
}

static void encode_again(const struct coder *c, const struct code_block *b, int32_t *code, size_t count)
{
    struct code_block back = *b;
    struct buf out;
    buf_init(&out, 0);
    check(c->encode(b, &out, NULL) == 0);
    back.code = code;
    check(c->decode(&back, (const uint8_t *)out.data, out.length, NULL) == 0);
    check(!memcmp(b->code, back.code, count * sizeof *code));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const int32_t ranges[][2] = { { -1, 1 },
                                         { 0, 1 },
                                         { -8, 7 },
                                         { 0, 15 },
                                         { -127, 127 },
                                         { 3, 3 },
                                         { INT32_MIN, INT32_MAX },
                                         { -70000, 70000 },
                                         { -5000, 0 },
                                         { 0, 255 },
                                         { 10, 20 },
                                         { -20, -10 } };
    static int32_t code[64 * 64], again[64 * 64];
    if (length < 4)
        return 0;
    int coders = 0;
    while (coder_list[coders])
        coders++;
    const struct coder *c = coder_list[data[0] % coders];
    const int32_t *range = ranges[data[1] % 12];
    struct code_block b = { data[2] % 65, data[3] % 65, range[0], range[1], code };
    size_t count = (size_t)(b.rows * b.columns);
    int rc = c->decode(&b, data + 4, length - 4, NULL);
    check(rc == 0 || rc == ERR_CORRUPT);
    if (rc)
        return 0;
    for (size_t i = 0; i < count; i++)
        check(code[i] >= b.low && code[i] <= b.high);
    encode_again(c, &b, again, count);
    return 0;
}
