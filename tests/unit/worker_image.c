/* PNG and BMP files of every kind, and damaged ones. */
#include "base/mem.h"
#include "tests/unit/image_files.h"
#include "tests/unit/temp.h"
#include "worker/image/image.h"

#include <zlib.h>

#define LIMIT ((size_t)1 << 24)

static struct file_bytes file;
static struct err error;

static struct image read_file(void)
{
    struct image image;

    if (image_read("x", file.data, file.length, LIMIT, &image, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    return image;
}

static void refused(int code, const char *place, const char *word)
{
    struct image image;

    memset(&error, 0, sizeof error);
    int r = image_read("x", file.data, file.length, LIMIT, &image, &error);
    if (r != code || strcmp(error.place, place) != 0 || strstr(error.text, word) == NULL)
        fail_msg("got %s '%s' at '%s'", err_name(r), error.text, error.place);
    assert_null(image.pixel);
}

static void expect(int width, int height, int channels, const uint8_t *pixel)
{
    struct image image = read_file();

    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    assert_int_equal(image.channels, channels);
    assert_memory_equal(image.pixel, pixel, image_bytes(&image));
    image_free(&image);
    image_free(&image);
}

static void test_png_plain_and_interlaced(void **state)
{
    uint8_t pixel[13 * 11 * 3];

    (void)state;
    for (size_t i = 0; i < sizeof pixel; i++)
        pixel[i] = (uint8_t)(i * 37 >> 2);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        make_png(&file, 13, 11, 8, PNG_COLOR_TYPE_RGB, interlaced, pixel, 39, NULL, 0, NULL);
        expect(13, 11, 3, pixel);
        make_png(&file, 13, 11, 8, PNG_COLOR_TYPE_GRAY, interlaced, pixel, 13, NULL, 0, NULL);
        expect(13, 11, 1, pixel);
    }
}

static void test_png_depths(void **state)
{
    static const uint8_t bits[] = { 0xa0, 0x40 }, nibbles[] = { 0x0f, 0x80 };
    static const uint8_t wide[] = { 0x12, 0x34, 0xff, 0x7f, 0x00, 0x80 };

    (void)state;
    make_png(&file, 3, 2, 1, PNG_COLOR_TYPE_GRAY, false, bits, 1, NULL, 0, NULL);
    expect(3, 2, 1, (const uint8_t[]){ 255, 0, 255, 0, 255, 0 });
    make_png(&file, 3, 1, 4, PNG_COLOR_TYPE_GRAY, true, nibbles, 2, NULL, 0, NULL);
    expect(3, 1, 1, (const uint8_t[]){ 0, 255, 136 });
    make_png(&file, 1, 1, 16, PNG_COLOR_TYPE_RGB, false, wide, 6, NULL, 0, NULL);
    expect(1, 1, 3, (const uint8_t[]){ 0x12, 0xff, 0 }); /* v/257 rounded: 18.13, 254.9, 0.498 */
}

static void test_png_palette_and_alpha(void **state)
{
    static const png_color colours[] = { { 10, 20, 30 }, { 200, 100, 0 } },
                           grays[] = { { 9, 9, 9 }, { 70, 70, 70 } };
    static const uint8_t indices[] = { 0x40 }, trans[] = { 255, 51 };
    static const uint8_t rgba[] = { 100, 200, 255, 128, 1, 2, 3, 255 }, ga[] = { 200, 0, 200, 255 };

    (void)state;
    make_png(&file, 2, 1, 1, PNG_COLOR_TYPE_PALETTE, false, indices, 1, colours, 2, NULL);
    expect(2, 1, 3, (const uint8_t[]){ 10, 20, 30, 200, 100, 0 });
    make_png(&file, 2, 1, 1, PNG_COLOR_TYPE_PALETTE, false, indices, 1, colours, 2, trans);
    expect(2, 1, 3, (const uint8_t[]){ 10, 20, 30, 40, 20, 0 });
    make_png(&file, 2, 1, 1, PNG_COLOR_TYPE_PALETTE, true, indices, 1, grays, 2, NULL);
    expect(2, 1, 1, (const uint8_t[]){ 9, 70 });
    make_png(&file, 2, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, false, rgba, 8, NULL, 0, NULL);
    expect(2, 1, 3, (const uint8_t[]){ 50, 100, 128, 1, 2, 3 });
    make_png(&file, 2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, ga, 4, NULL, 0, NULL);
    expect(2, 1, 1, (const uint8_t[]){ 0, 200 });
}

static void test_png_damage(void **state)
{
    uint8_t pixel[64 * 64];

    (void)state;
    for (size_t i = 0; i < sizeof pixel; i++)
        pixel[i] = (uint8_t)(i * i * 2654435761u >> 20);
    make_png_8(&file, 64, 64, 1, pixel);
    const struct file_bytes good = file;
    for (size_t length = 8; length < good.length; length += 7) { /* wherever it is cut off */
        struct image image;
        file.length = length;
        assert_int_equal(image_read("x", file.data, file.length, LIMIT, &image, &error), ERR_CORRUPT);
        assert_memory_equal(error.place, "x offset ", 9);
    }
    file = good;
    file.data[200] ^= 1;
    struct image image;
    assert_int_equal(image_read("x", file.data, file.length, LIMIT, &image, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "no sound PNG"));
    file = good;
    file.data[file.length - 1] ^= 1;
    assert_int_equal(image_read("x", file.data, file.length, LIMIT, &image, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "CRC"));
    file = good;
    assert_int_equal(image_read("x", file.data, file.length, 4095, &image, &error), ERR_TOO_LARGE);
    file.length = 20;
    memcpy(file.data, "GIF89a", 6);
    refused(ERR_UNSUPPORTED, "x offset 0", "neither PNG nor BMP");
}

/* 65535 x 65535 pixels claimed: refused before anything is allocated for them. */
static void test_png_that_claims(void **state)
{
    uint8_t pixel[4] = { 0 };
    struct image image;

    (void)state;
    make_png_8(&file, 2, 2, 1, pixel);
    memcpy(file.data + 16, "\0\0\xff\xff\0\0\xff\xff", 8);
    png_save_uint_32(file.data + 29, (png_uint_32)crc32(0, file.data + 12, 17));
    assert_int_equal(image_read("x", file.data, file.length, LIMIT, &image, &error), ERR_TOO_LARGE);
    memcpy(file.data + 16, "\0\1\0\0\0\0\0\1", 8);
    png_save_uint_32(file.data + 29, (png_uint_32)crc32(0, file.data + 12, 17));
    assert_int_equal(image_read("x", file.data, file.length, LIMIT, &image, &error), ERR_CORRUPT);
}

static void bmp_24(uint32_t header, int height)
{
    bmp_header(&file, header, 2, height, 24, 0, 0, 0);
    for (int y = 0; y < 2; y++) {
        for (int i = 0; i < 6; i++)
            put_le(&file, (uint32_t)(10 * y + i), 1);
        put_le(&file, 0, 2);
    }
}

static void test_bmp_24(void **state)
{
    static const uint32_t headers[] = { 40, 52, 56, 108, 124 };

    (void)state;
    for (int i = 0; i < 5; i++) {
        bmp_24(headers[i], 2);
        expect(2, 2, 3, (const uint8_t[]){ 12, 11, 10, 15, 14, 13, 2, 1, 0, 5, 4, 3 });
        bmp_24(headers[i], -2);
        expect(2, 2, 3, (const uint8_t[]){ 2, 1, 0, 5, 4, 3, 12, 11, 10, 15, 14, 13 });
    }
}

static void bmp_indexed(int bits, uint32_t colours, const uint8_t *row)
{
    bmp_header(&file, 40, 3, 1, bits, 0, colours, 4 * colours);
    for (uint32_t i = 0; i < colours; i++)
        put_le(&file, i == 1 ? 0x00c86400 : 0, 4);
    for (int i = 0; i < 4; i++)
        put_le(&file, row[i], 1);
}

static void test_bmp_palette(void **state)
{
    static const uint8_t out[] = { 0, 0, 0, 200, 100, 0, 0, 0, 0 };

    (void)state;
    bmp_indexed(1, 2, (const uint8_t[]){ 0x40, 0, 0, 0 });
    expect(3, 1, 3, out);
    bmp_indexed(4, 3, (const uint8_t[]){ 0x21, 0, 0, 0 });
    expect(3, 1, 3, out);
    bmp_indexed(8, 2, (const uint8_t[]){ 0, 1, 0, 0 });
    expect(3, 1, 3, out);
    memset(file.data + 54 + 4, 7, 3);
    expect(3, 1, 1, (const uint8_t[]){ 0, 7, 0 });
    bmp_indexed(8, 2, (const uint8_t[]){ 0, 2, 0, 0 });
    refused(ERR_CORRUPT, "x offset 62", "colour 2 of a palette of 2");
}

static void test_bmp_32(void **state)
{
    (void)state;
    bmp_header(&file, 40, 1, 1, 32, 0, 0, 0);
    put_le(&file, 0x00010203, 4);
    expect(1, 1, 3, (const uint8_t[]){ 1, 2, 3 }); /* the fourth byte is nothing */
    bmp_header(&file, 40, 1, 1, 32, 3, 0, 12);
    for (int i = 0; i < 3; i++)
        put_le(&file, 255u << 8 * i, 4);
    put_le(&file, 0x00010203, 4);
    expect(1, 1, 3, (const uint8_t[]){ 3, 2, 1 });
    bmp_header(&file, 108, 1, 1, 32, 3, 0, 0);
    const size_t end = file.length;
    file.length = 54;
    for (int i = 0; i < 4; i++)
        put_le(&file, i < 3 ? 0xff0000u >> 8 * i : 0xff000000u, 4);
    file.length = end;
    put_le(&file, 0x80ff0040, 4);
    expect(1, 1, 3, (const uint8_t[]){ 128, 0, 32 });
    file.data[54] = 1;
    refused(ERR_UNSUPPORTED, "x offset 54", "masks");
}

static void test_bmp_refused(void **state)
{
    (void)state;
    bmp_header(&file, 40, 2, 2, 8, 1, 0, 0);
    refused(ERR_UNSUPPORTED, "x offset 30", "RLE8");
    bmp_header(&file, 40, 2, 2, 4, 2, 0, 0);
    refused(ERR_UNSUPPORTED, "x offset 30", "RLE4");
    bmp_header(&file, 40, 2, 2, 16, 0, 0, 0);
    refused(ERR_UNSUPPORTED, "x offset 28", "16 bits");
    bmp_header(&file, 40, 2, 2, 7, 0, 0, 0);
    refused(ERR_CORRUPT, "x offset 28", "7 bits");
    bmp_header(&file, 12, 2, 2, 24, 0, 0, 0);
    refused(ERR_UNSUPPORTED, "x offset 14", "OS/2");
    bmp_header(&file, 40, 65536, 2, 24, 0, 0, 0);
    refused(ERR_CORRUPT, "x offset 18", "65536x2");
    bmp_header(&file, 40, 2, (int)0x80000000, 24, 0, 0, 0);
    refused(ERR_CORRUPT, "x offset 18", "2x2147483648");
    bmp_header(&file, 40, 65535, 65535, 32, 0, 0, 0);
    refused(ERR_CORRUPT, "x offset 54", "17179344900 bytes, but 0 follow");
    bmp_header(&file, 40, 2, 2, 8, 0, 257, 0);
    refused(ERR_CORRUPT, "x offset 46", "257 colours");
    bmp_24(40, 2);
    file.length--;
    refused(ERR_CORRUPT, "x offset 54", "but 15 follow");
    file.data[10] = 200;
    refused(ERR_CORRUPT, "x offset 10", "begin at offset 200");
    for (; file.length >= 18; file.length--)
        assert_true(image_read("x", file.data, file.length, LIMIT, &(struct image){ 0 }, &error) ==
                    ERR_CORRUPT);
}

static void test_make_and_crop(void **state)
{
    struct image a, b;

    (void)state;
    assert_int_equal(image_make(&a, 0, 1, 1, LIMIT, &error), ERR_INVALID);
    assert_int_equal(image_make(&a, 65536, 1, 1, LIMIT, &error), ERR_INVALID);
    assert_int_equal(image_make(&a, 1, 1, 2, LIMIT, &error), ERR_INVALID);
    assert_int_equal(image_make(&a, 65535, 65535, 3, LIMIT, &error), ERR_TOO_LARGE);
    assert_int_equal(image_make(&a, 3, 2, 3, 18, &error), 0);
    for (int i = 0; i < 18; i++)
        a.pixel[i] = (uint8_t)i;
    assert_int_equal(image_crop(&a, 4, 2, &b, &error), ERR_INVALID);
    assert_int_equal(image_crop(&a, 2, 2, &b, &error), 0);
    assert_memory_equal(b.pixel, ((uint8_t[]){ 0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14 }), 12);
    image_free(&a);
    image_free(&b);
}

static void test_out_of_memory(void **state)
{
    uint8_t pixel[16 * 16 * 4] = { 0 };
    int r = ERR_NOMEM;

    (void)state;
    make_png(&file, 16, 16, 8, PNG_COLOR_TYPE_RGB_ALPHA, true, pixel, 64, NULL, 0, NULL);
    for (int n = 0; r != 0; n++) {
        struct image image;
        assert_true(n < 100);
        mem_fail_after(n);
        r = image_read("x", file.data, file.length, LIMIT, &image, &error);
        mem_fail_after(-1);
        assert_true(r == 0 || r == ERR_NOMEM || r == ERR_CORRUPT); /* zlib's own is libpng's "zlib failed" */
        image_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_plain_and_interlaced),
        cmocka_unit_test(test_png_depths),
        cmocka_unit_test(test_png_palette_and_alpha),
        cmocka_unit_test(test_png_damage),
        cmocka_unit_test(test_png_that_claims),
        cmocka_unit_test(test_bmp_24),
        cmocka_unit_test(test_bmp_palette),
        cmocka_unit_test(test_bmp_32),
        cmocka_unit_test(test_bmp_refused),
        cmocka_unit_test(test_make_and_crop),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
