/* image_files.h - small PNG and BMP files made for the tests. */
#ifndef TESTS_UNIT_IMAGE_FILES_H
#define TESTS_UNIT_IMAGE_FILES_H

#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct file_bytes {
    uint8_t data[1 << 17];
    size_t length;
};

static inline void png_on_write(png_structp png, png_bytep data, size_t length)
{
    struct file_bytes *f = png_get_io_ptr(png);

    memcpy(f->data + f->length, data, length);
    f->length += length;
}

/* rows: packed as PNG has them, `row` bytes each. palette and trans (of palette_size entries) may be NULL. */
static inline void make_png(struct file_bytes *f, int width, int height, int depth, int type, bool interlaced,
                            const uint8_t *rows, size_t row, const png_color *palette, int palette_size,
                            const uint8_t *trans)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);

    f->length = 0;
    png_set_write_fn(png, f, png_on_write, NULL);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (palette != NULL)
        png_set_PLTE(png, info, palette, palette_size);
    if (trans != NULL)
        png_set_tRNS(png, info, trans, palette_size, NULL);
    png_bytep *list = calloc((size_t)height, sizeof *list);
    for (int y = 0; y < height; y++)
        list[y] = (png_bytep)rows + (size_t)y * row;
    png_set_rows(png, info, list);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    free(list);
    png_destroy_write_struct(&png, &info);
}

static inline void make_png_8(struct file_bytes *f, int width, int height, int channels, const uint8_t *pixel)
{
    make_png(f, width, height, 8, channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, false, pixel,
             (size_t)width * channels, NULL, 0, NULL);
}

static inline void put_le(struct file_bytes *f, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        f->data[f->length++] = (uint8_t)(v >> 8 * i);
}

/* The headers of a BMP; height negative: top-down. What follows them is the caller's. */
static inline void bmp_header(struct file_bytes *f, uint32_t header, int width, int height, int bits,
                              uint32_t compression, uint32_t colours, uint32_t behind)
{
    f->length = 0;
    put_le(f, 'B' | 'M' << 8, 2);
    put_le(f, 0, 4);
    put_le(f, 0, 4);
    put_le(f, 14 + header + behind, 4);
    put_le(f, header, 4);
    put_le(f, (uint32_t)width, 4);
    put_le(f, (uint32_t)height, 4);
    put_le(f, 1, 2);
    put_le(f, (uint32_t)bits, 2);
    put_le(f, compression, 4);
    put_le(f, 0, 4);
    put_le(f, 2835, 4);
    put_le(f, 2835, 4);
    put_le(f, colours, 4);
    put_le(f, 0, 4);
    while (f->length < 14 + header)
        put_le(f, 0, 1);
}

#endif
