/* Two NumPy arrays in a row: images, then labels; two bytes say how long the first is. */
#include "worker/data/draft.h"
#include "worker/data/list.h"
#include "worker/data/source.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct room room = { .limit = 1 << 20 };
    struct draft d;
    struct source in;
    struct err e;

    if (size < 2 || draft_init(&d, &room, &e) < 0)
        return -1;
    size_t first = (size_t)data[0] << 8 | data[1];
    if (first > size - 2)
        first = size - 2;
    source_memory(&in, "x_train.npy", data + 2, first);
    int r = dataset_format_npy.member(&d, &in, &e);
    source_memory(&in, "y_train.npy", data + 2 + first, size - 2 - first);
    if (r == 0)
        r = dataset_format_npy.member(&d, &in, &e);
    if (r == 0)
        dataset_format_npy.finish(&d, &e);
    free(d.state);
    draft_free(&d);
    return 0;
}
