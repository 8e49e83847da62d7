/* bmp.c - Windows bitmaps: 1, 4, 8 bits with a palette, 24 and 32 bits, bottom-up and top-down.
 *
 *     file header   "BM", u32 size, u32 0, u32 offset of the pixels
 *     info header   u32 its size (40, 52, 56, 108 or 124), i32 width, i32 height (negative: top-down), u16 1,
 *                   u16 bits, u32 compression, u32 bytes, 2 * u32 resolution, u32 colours, u32 important ones
 *     masks         of red, green, blue (and alpha): in the header from 52 bytes on, else behind it
 *     palette       blue, green, red, 0 each
 *     pixels        rows padded to 4 bytes; blue first
 *
 * A palette of grays gives a gray image. The fourth byte of 32 bits is alpha only where a mask says so; it is
 * composed over black. Run-length coding, 16 bits and OS/2 headers are refused by name. */
#include "worker/image/image.h"

#include <string.h>

enum { FILE_HEADER = 14, INFO_HEADER = 40, HEADER_V2 = 52, HEADER_V3 = 56, PALETTE_MAX = 256 };
enum { RGB, RLE8, RLE4, BITFIELDS, JPEG, PNG, ALPHABITFIELDS };

struct bitmap {
    const char *name;
    const uint8_t *data;
    size_t length;
    uint32_t header, compression; /* bytes of the info header; an enum of above */
    int width, height, bits;
    bool top_down;
    size_t pixels; /* offset */
    size_t row;    /* bytes */
    int colours;
    uint8_t palette[PALETTE_MAX][3]; /* red, green, blue */
    int place[4];                    /* byte of red, green, blue, alpha in a pixel; -1: no alpha */
};

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static bool header_known(uint32_t size)
{
    return size == INFO_HEADER || size == HEADER_V2 || size == HEADER_V3 || size == 108 || size == 124;
}

/* Two letters alone would be little to go by. */
static bool bmp_probe(const uint8_t *data, size_t length)
{
    if (length < FILE_HEADER + 4 || memcmp(data, "BM", 2) != 0)
        return false;
    uint32_t size = u32(data + FILE_HEADER);
    return header_known(size) || size == 12 || size == 16 || size == 64;
}

static int fail_at(const struct bitmap *b, size_t offset, struct err *e)
{
    return err_at(e, "%s offset %zu", b->name, offset);
}

static int ends_early(const struct bitmap *b, const char *where, struct err *e)
{
    err_set(e, ERR_CORRUPT, "'%s' ends inside its %s", b->name, where);
    return fail_at(b, b->length, e);
}

static int unsupported(const struct bitmap *b, size_t offset, const char *what, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "'%s' is a BMP file with %s, which is not read", b->name, what);
    return fail_at(b, offset, e);
}

static int read_size(struct bitmap *b, struct err *e)
{
    const uint8_t *info = b->data + FILE_HEADER;
    const int64_t width = (int32_t)u32(info + 4), height = (int32_t)u32(info + 8);

    b->top_down = height < 0;
    const int64_t rows = b->top_down ? -height : height;
    if (width < 1 || rows < 1 || width > IMAGE_SIDE_MAX || rows > IMAGE_SIDE_MAX) {
        err_set(e, ERR_CORRUPT, "'%s' claims %lldx%lld pixels; 1 to %d a side are possible", b->name,
                (long long)width, (long long)rows, IMAGE_SIDE_MAX);
        return fail_at(b, FILE_HEADER + 4, e);
    }
    b->width = (int)width;
    b->height = (int)rows;
    return 0;
}

static int check_kind(const struct bitmap *b, struct err *e)
{
    static const char *const packed[] = { [RLE8] = "run-length coding (RLE8)",
                                          [RLE4] = "run-length coding (RLE4)",
                                          [JPEG] = "JPEG inside",
                                          [PNG] = "PNG inside" };
    const bool fields = b->compression == BITFIELDS || b->compression == ALPHABITFIELDS;

    if (!fields && b->compression != RGB)
        return unsupported(
            b, 30, b->compression <= PNG ? packed[b->compression] : "a compression of unknown kind", e);
    if (b->bits == 16)
        return unsupported(b, 28, "16 bits a pixel", e);
    if ((b->bits == 1 || b->bits == 4 || b->bits == 8 || b->bits == 24) && !fields)
        return 0;
    if (b->bits == 32)
        return 0;
    err_set(e, ERR_CORRUPT, "'%s' claims %d bits a pixel%s", b->name, b->bits, fields ? " and masks" : "");
    return fail_at(b, 28, e);
}

static int read_header(struct bitmap *b, struct err *e)
{
    if (b->length < FILE_HEADER + 4)
        return ends_early(b, "header", e);
    b->header = u32(b->data + FILE_HEADER);
    if (b->header == 12 || b->header == 16 || b->header == 64)
        return unsupported(b, FILE_HEADER, "an OS/2 header", e);
    if (!header_known(b->header)) {
        err_set(e, ERR_CORRUPT, "'%s' claims an info header of %u bytes", b->name, b->header);
        return fail_at(b, FILE_HEADER, e);
    }
    if (b->length < FILE_HEADER + b->header)
        return ends_early(b, "header", e);
    b->bits = (int)u16(b->data + 28);
    b->compression = u32(b->data + 30);
    int r = check_kind(b, e);
    return r < 0 ? r : read_size(b, e);
}

/* Which byte of a pixel a mask selects; -1: it is not one whole byte. */
static int mask_byte(uint32_t mask)
{
    for (int i = 0; i < 4; i++)
        if (mask == (uint32_t)255 << 8 * i)
            return i;
    return -1;
}

/* Behind a header of 40 bytes there are three masks, or four; behind longer ones nothing. *behind: bytes. */
static int read_masks(struct bitmap *b, size_t *behind, struct err *e)
{
    const bool four = b->header >= HEADER_V3 || b->compression == ALPHABITFIELDS;
    const uint8_t *mask = b->data + FILE_HEADER + INFO_HEADER;

    *behind = 0;
    b->place[0] = 2; /* blue, green, red */
    b->place[1] = 1;
    b->place[2] = 0;
    b->place[3] = -1;
    if (b->compression == RGB)
        return 0;
    if (b->header == INFO_HEADER)
        *behind = four ? 16 : 12;
    if (b->length < FILE_HEADER + b->header + *behind)
        return ends_early(b, "masks", e);
    for (int c = 0; c < (four ? 4 : 3); c++) {
        b->place[c] = mask_byte(u32(mask + 4 * c));
        if (b->place[c] < 0 && (c < 3 || u32(mask + 4 * c) != 0))
            return unsupported(b, FILE_HEADER + INFO_HEADER + 4 * (size_t)c, "masks that are not whole bytes",
                               e);
    }
    return 0;
}

static int read_palette(struct bitmap *b, size_t offset, struct err *e)
{
    const uint32_t claimed = u32(b->data + 46), most = (uint32_t)1 << b->bits;

    if (claimed > most) {
        err_set(e, ERR_CORRUPT, "'%s' claims a palette of %u colours for %d bits a pixel", b->name, claimed,
                b->bits);
        return fail_at(b, 46, e);
    }
    b->colours = (int)(claimed != 0 ? claimed : most);
    if (b->length - offset < (size_t)b->colours * 4)
        return ends_early(b, "palette", e);
    for (int i = 0; i < b->colours; i++)
        for (int c = 0; c < 3; c++)
            b->palette[i][c] = b->data[offset + 4 * (size_t)i + 2 - (size_t)c];
    return 0;
}

static int read_layout(struct bitmap *b, struct err *e)
{
    size_t behind;
    int r = read_masks(b, &behind, e);

    if (r == 0 && b->bits <= 8)
        r = read_palette(b, FILE_HEADER + b->header + behind, e);
    if (r < 0)
        return r;
    b->pixels = u32(b->data + 10);
    b->row = ((size_t)b->width * b->bits + 31) / 32 * 4;
    const size_t bytes = b->row * b->height; /* < 2^34 */
    if (b->pixels < FILE_HEADER + b->header || b->pixels > b->length) {
        err_set(e, ERR_CORRUPT, "'%s' claims that its pixels begin at offset %zu of %zu", b->name, b->pixels,
                b->length);
        return fail_at(b, 10, e);
    }
    if (b->length - b->pixels < bytes) {
        err_set(e, ERR_CORRUPT, "'%s' has %dx%d pixels, %zu bytes, but %zu follow", b->name, b->width,
                b->height, bytes, b->length - b->pixels);
        return fail_at(b, b->pixels, e);
    }
    return 0;
}

static bool palette_is_gray(const struct bitmap *b)
{
    for (int i = 0; i < b->colours; i++)
        if (b->palette[i][0] != b->palette[i][1] || b->palette[i][0] != b->palette[i][2])
            return false;
    return b->bits <= 8;
}

/* --- one row each --- */

static int row_indexed(const struct bitmap *b, const uint8_t *from, uint8_t *to, int channels)
{
    const int in_byte = 8 / b->bits, mask = (1 << b->bits) - 1;

    for (int x = 0; x < b->width; x++) {
        int shift = 8 - b->bits * (x % in_byte + 1);
        int index = from[x / in_byte] >> shift & mask;
        if (index >= b->colours)
            return index;
        memcpy(to + (size_t)x * channels, b->palette[index], (size_t)channels);
    }
    return -1;
}

static void row_direct(const struct bitmap *b, const uint8_t *from, uint8_t *to)
{
    const int step = b->bits / 8;

    for (int x = 0; x < b->width; x++, from += step, to += 3) {
        const unsigned alpha = b->place[3] >= 0 ? from[b->place[3]] : 255;
        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)((from[b->place[c]] * alpha + 127) / 255);
    }
}

static int read_rows(const struct bitmap *b, struct image *image, struct err *e)
{
    const size_t row = (size_t)image->width * image->channels;

    for (int y = 0; y < b->height; y++) {
        const uint8_t *from = b->data + b->pixels + (size_t)(b->top_down ? y : b->height - 1 - y) * b->row;
        uint8_t *to = image->pixel + (size_t)y * row;
        if (b->bits > 8) {
            row_direct(b, from, to);
            continue;
        }
        int beyond = row_indexed(b, from, to, image->channels);
        if (beyond >= 0) {
            err_set(e, ERR_CORRUPT, "'%s' uses colour %d of a palette of %d", b->name, beyond, b->colours);
            return fail_at(b, (size_t)(from - b->data), e);
        }
    }
    return 0;
}

static int bmp_read(const char *name, const uint8_t *data, size_t length, size_t limit, struct image *image,
                    struct err *e)
{
    struct bitmap b = { .name = name, .data = data, .length = length };

    *image = (struct image){ 0 };
    int r = read_header(&b, e);
    if (r == 0)
        r = read_layout(&b, e);
    if (r == 0)
        r = image_make(image, b.width, b.height, palette_is_gray(&b) ? 1 : 3, limit, e);
    if (r == 0)
        r = read_rows(&b, image, e);
    if (r < 0)
        image_free(image);
    return r;
}

const struct image_format image_format_bmp = { .name = "BMP", .probe = bmp_probe, .read = bmp_read };
