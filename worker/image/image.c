#include "worker/image/image.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const struct image_format *const image_formats[] = { &image_format_png, &image_format_bmp, NULL };

static bool side_ok(int side)
{
    return side >= 1 && side <= IMAGE_SIDE_MAX;
}

/* At most 65535 * 65535 * 3 < 2^34: fits. */
size_t image_bytes(const struct image *image)
{
    return (size_t)image->width * (size_t)image->height * (size_t)image->channels;
}

int image_make(struct image *image, int width, int height, int channels, size_t limit, struct err *e)
{
    const struct image made = { .width = width, .height = height, .channels = channels };

    *image = (struct image){ 0 };
    if (!side_ok(width) || !side_ok(height))
        return err_set(e, ERR_INVALID, "an image of %dx%d pixels; 1 to %d a side are possible", width, height,
                       IMAGE_SIDE_MAX);
    if (channels != 1 && channels != 3)
        return err_set(e, ERR_INVALID, "an image of %d channels; 1 and 3 are possible", channels);
    if (image_bytes(&made) > limit)
        return err_set(e, ERR_TOO_LARGE, "an image of %dx%d pixels takes %zu bytes; the limit is %zu", width,
                       height, image_bytes(&made), limit);
    uint8_t *pixel = mem_alloc(image_bytes(&made));
    if (pixel == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an image of %dx%d pixels", width, height);
    *image = made;
    image->pixel = pixel;
    return 0;
}

void image_free(struct image *image)
{
    free(image->pixel);
    *image = (struct image){ 0 };
}

int image_crop(const struct image *from, int width, int height, struct image *to, struct err *e)
{
    const size_t pixel = (size_t)from->channels, row = (size_t)from->width * pixel;

    *to = (struct image){ 0 };
    if (width > from->width || height > from->height)
        return err_set(e, ERR_INVALID, "%dx%d pixels can't be cut out of %dx%d", width, height, from->width,
                       from->height);
    int r = image_make(to, width, height, from->channels, SIZE_MAX, e);
    for (int y = 0; r == 0 && y < height; y++)
        memcpy(to->pixel + (size_t)y * width * pixel, from->pixel + y * row, (size_t)width * pixel);
    return r;
}

const struct image_format *image_probe(const uint8_t *data, size_t length)
{
    for (int i = 0; image_formats[i] != NULL; i++)
        if (image_formats[i]->probe(data, length))
            return image_formats[i];
    return NULL;
}

int image_read(const char *name, const uint8_t *data, size_t length, size_t limit, struct image *image,
               struct err *e)
{
    const struct image_format *format = image_probe(data, length);

    *image = (struct image){ 0 };
    if (format != NULL)
        return format->read(name, data, length, limit, image, e);
    err_set(e, ERR_UNSUPPORTED, "'%s' is neither PNG nor BMP", name);
    return err_at(e, "%s offset 0", name);
}

int plane_make(struct plane *plane, int width, int height, struct err *e)
{
    *plane = (struct plane){ 0 };
    if (!side_ok(width) || !side_ok(height))
        return err_set(e, ERR_INVALID, "a plane of %dx%d pixels; 1 to %d a side are possible", width, height,
                       IMAGE_SIDE_MAX);
    double *value = mem_array((size_t)width * (size_t)height, sizeof *value);
    if (value == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a plane of %dx%d pixels", width, height);
    *plane = (struct plane){ width, height, value };
    return 0;
}

void plane_free(struct plane *plane)
{
    free(plane->value);
    *plane = (struct plane){ 0 };
}
