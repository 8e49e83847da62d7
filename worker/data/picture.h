/* picture.h - members that are images: PNG and BMP, and those that are refused by name. */
#ifndef WORKER_DATA_PICTURE_H
#define WORKER_DATA_PICTURE_H

#include "worker/data/source.h"
#include "worker/image/image.h"

enum picture {
    PICTURE_NO,    /* no image */
    PICTURE_OTHER, /* called or begins like one, but is none that can be read: picture_read says which */
    PICTURE_YES
};

enum picture picture_probe(const char *member, const uint8_t *head, size_t length);

/* Reads the member whole and decodes it; at most `limit` bytes of pixels. */
int picture_read(struct source *in, size_t limit, struct image *image, struct err *e);

#endif
