#include "worker/inspect_dataset.h"

#include "worker/data/dataset.h"

#define INSPECT_LIMIT ((size_t)2 << 30) /* decompressed bytes: ten times CIFAR-10 */

int inspect_dataset(const char *path, const char *format, json_t **out, struct err *e)
{
    struct dataset *d;
    int r = dataset_load(path, format, INSPECT_LIMIT, &d, e);

    *out = NULL;
    if (r < 0)
        return r;
    *out = json_pack("{s:s, s:[i, i, i], s:i, s:I, s:I}", "format", d->format, "shape", d->channels,
                     d->height, d->width, "classes", d->classes, "train",
                     (json_int_t)d->split[SPLIT_TRAIN].count, "test", (json_int_t)d->split[SPLIT_TEST].count);
    dataset_free(d);
    return *out != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}
