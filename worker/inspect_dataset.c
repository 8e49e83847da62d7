#include "worker/inspect_dataset.h"

#include "worker/data/dataset.h"
#include "worker/data/imageset.h"

#include <string.h>

#define INSPECT_LIMIT ((size_t)16 << 30) /* decompressed bytes; pixels are not kept */

static int answer(json_t *made, json_t **out, struct err *e)
{
    *out = made;
    return made != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* Images of any size, which need no classes: for super-resolution. */
static int inspect_images(const char *path, const struct room *room, json_t **out, struct err *e)
{
    struct imageset *s;
    int channels = 1, r = imageset_read(path, room, &s, e);

    if (r < 0)
        return r;
    for (int k = 0; k < SPLITS; k++)
        for (int64_t i = 0; i < s->split[k].count; i++)
            if (s->split[k].item[i].image.channels > channels)
                channels = s->split[k].item[i].image.channels;
    r = answer(json_pack("{s:s, s:[i, s, s], s:i, s:I, s:I}", "format", "images", "shape", channels, "H", "W",
                         "classes", 0, "train", (json_int_t)s->split[SPLIT_TRAIN].count, "test",
                         (json_int_t)s->split[SPLIT_TEST].count),
               out, e);
    imageset_free(s);
    return r;
}

int inspect_dataset(const char *path, const char *format, json_t **out, struct err *e)
{
    const struct room room = { .limit = INSPECT_LIMIT, .sizes_only = true };
    const bool maybe_images = !format || strcmp(format, "auto") == 0 || strcmp(format, "images") == 0;
    struct dataset *d;
    int r = dataset_read(path, format, &room, &d, e);

    *out = NULL;
    if (r == ERR_INVALID && maybe_images && inspect_images(path, &room, out, NULL) == 0)
        return 0;
    if (r < 0)
        return r;
    r = answer(json_pack("{s:s, s:[i, i, i], s:i, s:I, s:I}", "format", d->format, "shape", d->channels,
                         d->height, d->width, "classes", d->classes, "train",
                         (json_int_t)d->split[SPLIT_TRAIN].count, "test",
                         (json_int_t)d->split[SPLIT_TEST].count),
               out, e);
    dataset_free(d);
    return r;
}
