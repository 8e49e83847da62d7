/* Any bytes as an uploaded data set, in every format. */
#include "worker/data/imageset.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = { "auto", "idx", "cifar", "npy", "images" };
    char path[40];
    int fd = memfd_create("dataset", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct dataset *d;
        struct err e;
        if (dataset_load(path, formats[i], 4 << 20, &d, &e) == 0)
            dataset_free(d);
    }
    struct imageset *set;
    struct err e;
    if (imageset_load(path, 4 << 20, &set, &e) == 0)
        imageset_free(set);
    close(fd);
    return 0;
}
