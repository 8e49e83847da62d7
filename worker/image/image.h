/* image.h - pictures of bytes, and planes of floating-point values made from them.
 *
 * Everything that is read ends up gray (1 channel) or RGB (3 channels), 8 bits each, whatever the file had.
 * Bytes may come from strangers: sizes are checked before anything is allocated, errors name file and offset.
 */
#ifndef WORKER_IMAGE_IMAGE_H
#define WORKER_IMAGE_IMAGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_SIDE_MAX 65535

struct image {
    int width, height; /* 1 .. IMAGE_SIDE_MAX */
    int channels;      /* 1 gray, 3 red, green, blue */
    uint8_t *pixel;    /* owned unless its keeper says otherwise: [height][width][channels] */
};

/* A black image. ERR_INVALID for a size or channel count that is out of range, ERR_TOO_LARGE when the pixels
 * take more than `limit` bytes, ERR_NOMEM. On an error there is nothing to free. */
int image_make(struct image *image, int width, int height, int channels, size_t limit, struct err *e);
void image_free(struct image *image); /* an empty one is fine; it is empty afterwards */
size_t image_bytes(const struct image *image);

/* The top left width x height pixels, which must be inside; a copy. */
int image_crop(const struct image *from, int width, int height, struct image *to, struct err *e);

/* One readable file format. */
struct image_format {
    const char *name;                                  /* "PNG" */
    bool (*probe)(const uint8_t *data, size_t length); /* by the first 32 bytes */
    /* name: of the file, for errors. At most `limit` bytes of pixels, a little more than that in all. */
    int (*read)(const char *name, const uint8_t *data, size_t length, size_t limit, struct image *image,
                struct err *e);
};

extern const struct image_format image_format_png, image_format_bmp;
extern const struct image_format *const image_formats[]; /* NULL-terminated */

/* Which of the formats the bytes begin like; NULL: none. */
const struct image_format *image_probe(const uint8_t *data, size_t length);

/* A whole file in memory, PNG or BMP. ERR_UNSUPPORTED names what is not read, ERR_CORRUPT what is damaged,
 * ERR_TOO_LARGE more than `limit` bytes of pixels; places are "NAME offset N". */
int image_read(const char *name, const uint8_t *data, size_t length, size_t limit, struct image *image,
               struct err *e);

/* Values of one channel of an image: luma, or one colour. */
struct plane {
    int width, height;
    double *value; /* owned: [height][width], 0..255 unless said otherwise */
};

int plane_make(struct plane *plane, int width, int height, struct err *e); /* zeros; as image_make */
void plane_free(struct plane *plane);

#endif
