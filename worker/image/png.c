/* png.c - PNG of every colour type and depth, interlaced too, by libpng's row interface.
 *
 * Palettes and 1, 2, 4 bits are expanded, 16 bits are rounded to 8, alpha is composed over black (what the
 * image looks like on a black page). A palette of grays gives a gray image. Gamma and colour profiles are
 * passed over: a pixel is the number in the file. */
#include "worker/image/image.h"

#include "base/mem.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)16 << 20) /* of libpng itself: two rows and a zlib window */

struct reader {
    const char *name;
    const uint8_t *data;
    size_t length, offset;
    size_t used; /* bytes that libpng has allocated in all */
    size_t limit;
    png_structp png;
    png_infop info;
    uint8_t *raw; /* owned until it becomes the image: [height][width][raw_channels] */
    int raw_channels;
    bool gray_palette;
    int code; /* of the error, once there is one */
    char text[160];
};

static bool png_probe(const uint8_t *data, size_t length)
{
    return length >= 4 && memcmp(data, "\x89PNG", 4) == 0;
}

/* --- what libpng calls; errors leave by longjmp --- */

static void on_error(png_structp png, png_const_charp text)
{
    struct reader *r = png_get_error_ptr(png);

    if (r->code == 0) {
        r->code = ERR_CORRUPT;
        snprintf(r->text, sizeof r->text, "%s", text);
    }
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t size)
{
    struct reader *r = png_get_io_ptr(png);

    if (size > r->length - r->offset) {
        r->offset = r->length;
        png_error(png, "the file ends too early");
    }
    memcpy(to, r->data + r->offset, size);
    r->offset += size;
}

static png_voidp on_alloc(png_structp png, size_t size)
{
    struct reader *r = png_get_mem_ptr(png);

    if (size > MEMORY_MAX - r->used)
        return NULL;
    r->used += size;
    return mem_alloc(size);
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    free(p);
}

/* --- steps --- */

static void set_limits(png_structp png)
{
    png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_set_chunk_cache_max(png, 64);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    /* Chunks that change nothing are not even unpacked. tRNS stays. */
    static const png_byte skipped[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0"
                                      "sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, (int)(sizeof skipped / 5));
}

static bool palette_is_gray(const struct reader *r)
{
    png_colorp palette;
    int count = 0;

    if (png_get_PLTE(r->png, r->info, &palette, &count) == 0)
        return false;
    for (int i = 0; i < count; i++)
        if (palette[i].red != palette[i].green || palette[i].red != palette[i].blue)
            return false;
    return true;
}

static void read_header(struct reader *r)
{
    png_read_info(r->png, r->info);
    r->gray_palette = png_get_color_type(r->png, r->info) == PNG_COLOR_TYPE_PALETTE && palette_is_gray(r);
    png_set_expand(r->png);
    png_set_scale_16(r->png);
}

static void read_pixels(struct reader *r)
{
    const int passes = png_set_interlace_handling(r->png);

    png_read_update_info(r->png, r->info);
    const size_t row = png_get_rowbytes(r->png, r->info);
    const png_uint_32 height = png_get_image_height(r->png, r->info);
    r->raw_channels = png_get_channels(r->png, r->info);
    r->raw = mem_array(height, row);
    if (r->raw == NULL) {
        r->code = ERR_NOMEM;
        png_error(r->png, "");
    }
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < height; y++)
            png_read_row(r->png, r->raw + y * row, NULL);
    png_read_end(r->png, NULL);
}

static void check_size(struct reader *r)
{
    size_t pixels = (size_t)png_get_image_width(r->png, r->info) * png_get_image_height(r->png, r->info);
    int type = png_get_color_type(r->png, r->info);
    size_t channels = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA ? 1 : 3;

    if (pixels * channels <= r->limit)
        return;
    r->code = ERR_TOO_LARGE;
    png_error(r->png, "");
}

/* false when libpng jumped out. */
static bool read_all(struct reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return false;
    set_limits(r->png);
    png_set_read_fn(r->png, r, on_read);
    read_header(r);
    check_size(r);
    read_pixels(r);
    return true;
}

/* raw [pixel][1..4] to [pixel][1 or 3] in place: no pixel moves to behind where it was. */
static void compose(uint8_t *raw, size_t pixels, int raw_channels, int channels)
{
    const bool alpha = raw_channels % 2 == 0;
    const uint8_t *from = raw;

    for (uint8_t *to = raw; to < raw + pixels * (size_t)channels; to += channels, from += raw_channels) {
        const unsigned weight = alpha ? from[raw_channels - 1] : 255;
        for (int c = 0; c < channels; c++)
            to[c] = (uint8_t)((from[c] * weight + 127) / 255);
    }
}

static void take_image(struct reader *r, struct image *image)
{
    const int colours = r->raw_channels < 3 ? 1 : 3;

    *image = (struct image){
        .width = (int)png_get_image_width(r->png, r->info),
        .height = (int)png_get_image_height(r->png, r->info),
        .channels = r->gray_palette ? 1 : colours,
        .pixel = r->raw,
    };
    r->raw = NULL;
    if (image->channels == r->raw_channels)
        return;
    compose(image->pixel, (size_t)image->width * image->height, r->raw_channels, image->channels);
    uint8_t *smaller = mem_grow(image->pixel, image_bytes(image), 1);
    image->pixel = smaller != NULL ? smaller : image->pixel;
}

static int fail(const struct reader *r, struct err *e)
{
    if (r->code == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "no memory for the image '%s'", r->name);
    if (r->code == ERR_TOO_LARGE)
        return err_set(e, ERR_TOO_LARGE, "the pixels of '%s' take more than the limit of %zu bytes", r->name,
                       r->limit);
    err_set(e, ERR_CORRUPT, "'%s' is no sound PNG file: %s", r->name, r->text);
    return err_at(e, "%s offset %zu", r->name, r->offset);
}

static int png_read(const char *name, const uint8_t *data, size_t length, size_t limit, struct image *image,
                    struct err *e)
{
    struct reader r = { .name = name, .data = data, .length = length, .limit = limit };

    *image = (struct image){ 0 };
    r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, &r, on_alloc, on_free);
    if (r.png != NULL)
        r.info = png_create_info_struct(r.png);
    if (r.info == NULL)
        r.code = ERR_NOMEM;
    else if (read_all(&r))
        take_image(&r, image);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.raw);
    return r.code == 0 ? 0 : fail(&r, e);
}

const struct image_format image_format_png = { .name = "PNG", .probe = png_probe, .read = png_read };
