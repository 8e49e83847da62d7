/* Two IDX files in a row: a byte says which split each belongs to, two bytes how long the first is. */
#include "worker/data/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "train/x", "test/x", "train-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte" };
    struct dataset *d = dataset_new();
    void *state = NULL;
    struct err e;

    if (d == NULL || size < 3) {
        dataset_free(d);
        return -1;
    }
    size_t first = (size_t)data[1] << 8 | data[2];
    if (first > size - 3)
        first = size - 3;
    int r = dataset_format_idx.member(d, &state, names[data[0] & 3], data + 3, first, &e);
    if (r == 0)
        r = dataset_format_idx.member(d, &state, names[data[0] >> 2 & 3], data + 3 + first, size - 3 - first,
                                      &e);
    dataset_format_idx.finish(r == 0 ? d : NULL, &state, &e);
    dataset_free(d);
    return 0;
}
