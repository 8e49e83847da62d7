#include "worker/inspect_dataset.h"

#include "worker/data/dataset.h"

#define INSPECT_LIMIT ((size_t)16 << 30) /* decompressed bytes; pixels are not kept */

int inspect_dataset(const char *path, const char *format, json_t **out, struct err *e)
{
    const struct room room = { .limit = INSPECT_LIMIT, .sizes_only = true };
    struct dataset *d;
    int r = dataset_read(path, format, &room, &d, e);

    *out = NULL;
    if (r < 0)
        return r;
    *out = json_pack("{s:s, s:[i, i, i], s:i, s:I, s:I}", "format", d->format, "shape", d->channels,
                     d->height, d->width, "classes", d->classes, "train",
                     (json_int_t)d->split[SPLIT_TRAIN].count, "test", (json_int_t)d->split[SPLIT_TEST].count);
    dataset_free(d);
    return *out != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}
