/* Any bytes as a .qdz file. The check sum is put right, so that the fuzzer gets behind it; a file that
 * decodes must encode and decode again. */
#include "worker/coder/qdz.h"
#include "worker/coder/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(int truth)
{
    if (!truth)
        abort();
}

static void seal(uint8_t *data, size_t length)
{
    uint32_t crc = wire_crc16(data, length - 2);
    for (int i = 0; i < 2; i++)
        data[length - 2 + (size_t)i] = (uint8_t)(crc >> (8 * i));
}

static void encode_again(const struct graph *g)
{
    struct buf out;
    struct graph *h;
    buf_init(&out, SIZE_MAX);
    check(qdz_encode(g, coder_find("huffman"), &out, NULL, NULL, NULL, NULL) == 0);
    check(qdz_decode(out.data, out.length, &h, NULL) == 0);
    check(h->values == g->values && h->nodes == g->nodes);
    graph_free(h);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct graph *g;
    if (length < 4 || length >= 65536)
        return 0;
    uint8_t *copy = malloc(length);
    check(copy != NULL);
    memcpy(copy, data, length);
    seal(copy, length);
    int rc = qdz_decode(copy, length, &g, NULL);
    free(copy);
    check(!rc == (g != NULL));
    if (!rc)
        encode_again(g);
    graph_free(g);
    return 0;
}
