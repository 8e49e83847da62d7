/* Two IDX files in a row: a byte says which split each belongs to, two bytes how long the first is. */
#include "worker/data/draft.h"
#include "worker/data/list.h"
#include "worker/data/source.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "train/x", "test/x", "train-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte" };
    const struct room room = { .limit = 1 << 20 };
    struct draft d;
    struct source in;
    struct err e;

    if (size < 3 || draft_init(&d, &room, &e) < 0)
        return -1;
    size_t first = (size_t)data[1] << 8 | data[2];
    if (first > size - 3)
        first = size - 3;
    source_memory(&in, names[data[0] & 3], data + 3, first);
    int r = dataset_format_idx.member(&d, &in, &e);
    source_memory(&in, names[data[0] >> 2 & 3], data + 3 + first, size - 3 - first);
    if (r == 0)
        r = dataset_format_idx.member(&d, &in, &e);
    if (r == 0)
        dataset_format_idx.finish(&d, &e);
    free(d.state);
    draft_free(&d);
    return 0;
}
