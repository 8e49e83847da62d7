/* imageset.h - images of any size with their names, for super-resolution: split by folders train/ and test/,
 * else all in the test split, as everywhere. */
#ifndef WORKER_DATA_IMAGESET_H
#define WORKER_DATA_IMAGESET_H

#include "worker/data/dataset.h"
#include "worker/image/image.h"

struct imageset {
    struct imageset_split {
        int64_t count;
        struct imageset_item {
            char *name; /* owned: the path below train/ or test/ */
            struct image
                image;  /* its pixels belong to the set, read only; NULL after a load for sizes only */
            size_t at;  /* their place in `pixel` */
        } * item;       /* owned, sorted by name */
        uint8_t *pixel; /* owned: of all items; mapped as in struct split */
        size_t mapped;
    } split[SPLITS];
};

/* PNG and BMP of an archive, in any folders; other files are passed over, but other image formats are refused
 * by name. Errors and room as dataset_read. ERR_INVALID when there is none. */
int imageset_read(const char *path, const struct room *room, struct imageset **set, struct err *e);
int imageset_load(const char *path, size_t limit, struct imageset **set, struct err *e);
void imageset_free(struct imageset *set); /* NULL is fine */

#endif
