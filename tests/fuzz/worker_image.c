/* Any bytes as an image file. */
#include "worker/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image;
    struct err e;

    if (image_read("x", data, size, 1 << 20, &image, &e) == 0)
        image_free(&image);
    return 0;
}
