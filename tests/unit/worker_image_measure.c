/* Colours, scaling and quality: against their definitions, and against the published files and figures. */
#include "base/mem.h"
#include "tests/unit/temp.h"
#include "worker/image/bicubic.h"
#include "worker/image/color.h"
#include "worker/image/quality.h"

#include <dirent.h>
#include <math.h>

#define LIMIT ((size_t)1 << 28)

static struct err error;
static const char *const set5[] = { "baby", "bird", "butterfly", "head", "woman" };

/* false when the shared data is not on this machine. */
static bool load(const char *name, struct image *image)
{
    const char *root = getenv("QUANTD_DATA") != NULL ? getenv("QUANTD_DATA") : "../shared/data";
    char path[600], *data;
    size_t length;

    snprintf(path, sizeof path, "%s/sr/%s", root, name);
    if (file_load(path, LIMIT, &data, &length, &error) != 0) {
        print_message("*** SKIPPED: %s is not there (set QUANTD_DATA) ***\n", path);
        return false;
    }
    if (image_read(name, (uint8_t *)data, length, LIMIT, image, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    free(data);
    return true;
}

static void test_set5_low_resolution_is_exact(void **state)
{
    int exact = 0;

    (void)state;
    for (int scale = 2; scale <= 4; scale++)
        for (int k = 0; k < 5; k++) {
            struct image truth, published, ours;
            char name[100];
            snprintf(name, sizeof name, "Set5/%s_GT.bmp", set5[k]);
            if (!load(name, &truth))
                skip();
            snprintf(name, sizeof name, "Set5_LR/img_%03d_SRF_%d_LR.png", k + 1, scale);
            if (!load(name, &published))
                skip();
            assert_int_equal(bicubic_shrink(&truth, scale, &ours, &error), 0);
            assert_int_equal(ours.width, published.width);
            assert_int_equal(ours.height, published.height);
            assert_int_equal(ours.channels, published.channels);
            exact += memcmp(ours.pixel, published.pixel, image_bytes(&ours)) == 0;
            image_free(&truth);
            image_free(&published);
            image_free(&ours);
        }
    assert_int_equal(exact, 15);
}

static bool baseline(int k, int scale, double *db)
{
    const struct quality q = { .channel = QUALITY_LUMA, .shave = scale };
    struct image truth, whole;
    struct plane y, estimate;
    char name[100];

    snprintf(name, sizeof name, "Set5/%s_GT.bmp", set5[k]);
    if (!load(name, &truth))
        return false;
    assert_int_equal(image_crop(&truth, truth.width - truth.width % scale,
                                truth.height - truth.height % scale, &whole, &error),
                     0);
    assert_int_equal(color_luma(&whole, &y, &error), 0);
    assert_int_equal(bicubic_baseline(&y, scale, NULL, &estimate, &error), 0);
    assert_int_equal(quality_psnr(&y, &estimate, 1, &q, db, &error), 0);
    image_free(&truth);
    image_free(&whole);
    plane_free(&y);
    plane_free(&estimate);
    return true;
}

static void test_set5_bicubic_figures(void **state)
{
    static const double published[] = { 33.69, 30.41, 28.43 };

    (void)state;
    for (int scale = 2; scale <= 4; scale++) {
        double mean = 0, db;
        for (int k = 0; k < 5; k++) {
            if (!baseline(k, scale, &db))
                skip();
            mean += db / 5;
        }
        print_message("bicubic x%d: %.4f dB\n", scale, mean);
        assert_true(fabs(mean - published[scale - 2]) < 0.005);
    }
}

static void test_t91(void **state)
{
    const char *root = getenv("QUANTD_DATA") != NULL ? getenv("QUANTD_DATA") : "../shared/data";
    char path[600];
    int files = 0, largest = 0, smallest = 1 << 16;
    int64_t pixels = 0;
    struct dirent *entry;

    (void)state;
    snprintf(path, sizeof path, "%s/sr/T91", root);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        print_message("*** SKIPPED: %s is not there (set QUANTD_DATA) ***\n", path);
        skip();
    }
    while ((entry = readdir(dir)) != NULL) {
        struct image image;
        char name[300];
        if (strstr(entry->d_name, ".bmp") == NULL)
            continue;
        snprintf(name, sizeof name, "T91/%s", entry->d_name);
        assert_true(load(name, &image));
        const int sides[] = { image.width, image.height };
        for (int i = 0; i < 2; i++) {
            largest = sides[i] > largest ? sides[i] : largest;
            smallest = sides[i] < smallest ? sides[i] : smallest;
        }
        pixels += (int64_t)image.width * image.height;
        files++;
        image_free(&image);
    }
    closedir(dir);
    assert_int_equal(files, 91);
    assert_int_equal(pixels, 5355633);
    assert_int_equal(smallest, 78);
    assert_int_equal(largest, 508);
}

static struct plane noise(int width, int height, unsigned seed)
{
    struct plane p;

    assert_int_equal(plane_make(&p, width, height, &error), 0);
    for (int i = 0; i < width * height; i++) {
        seed = seed * 1664525u + 1013904223u;
        p.value[i] = (double)(seed >> 8) / (1 << 24) * 255;
    }
    return p;
}

static void test_luma(void **state)
{
    static uint8_t rgb[] = { 0, 0, 0, 255, 255, 255, 255, 0, 0, 10, 100, 200 }, back[12];
    const struct image image = { 2, 2, 3, rgb }, gray = { 12, 1, 1, rgb };
    struct plane ycc[3], y;
    struct image joined;

    (void)state;
    assert_int_equal(color_split(&image, ycc, &error), 0);
    assert_true(fabs(ycc[0].value[0] - 16) < 1e-12);
    assert_true(fabs(ycc[0].value[1] - 235) < 1e-12);
    assert_true(fabs(ycc[0].value[2] - 81.481) < 1e-12);
    assert_true(fabs(ycc[2].value[2] - 240) < 1e-12);
    assert_true(fabs(ycc[1].value[1] - 128) < 1e-12);
    assert_int_equal(color_join(ycc, &joined, &error), 0);
    assert_memory_equal(joined.pixel, rgb, 12);
    image_free(&joined);
    for (int c = 0; c < 3; c++)
        plane_free(&ycc[c]);
    assert_int_equal(color_luma(&gray, &y, &error), 0);
    assert_true(fabs(y.value[3] - 235) < 1e-12);
    plane_free(&y);
    assert_int_equal(color_channel(&image, 2, &y, &error), 0);
    assert_true(y.value[3] == 200);
    y.value[0] = -3;
    y.value[1] = 255.5;
    y.value[2] = 2.5;
    assert_int_equal(color_bytes(&y, 1, &joined, &error), 0);
    memcpy(back, joined.pixel, 4);
    assert_memory_equal(back, ((uint8_t[]){ 0, 255, 3, 200 }), 4);
    plane_free(&y);
    image_free(&joined);
}

/* Any colour comes back from Y, Cb, Cr. */
static void test_colours_round_trip(void **state)
{
    struct image all, joined;
    struct plane ycc[3];

    (void)state;
    assert_int_equal(image_make(&all, 52, 52 * 52, 3, LIMIT, &error), 0);
    for (int i = 0; i < 52 * 52 * 52; i++)
        for (int c = 0, v = i; c < 3; c++, v /= 52)
            all.pixel[3 * i + c] = (uint8_t)(v % 52 * 5);
    assert_int_equal(color_split(&all, ycc, &error), 0);
    assert_int_equal(color_join(ycc, &joined, &error), 0);
    assert_memory_equal(joined.pixel, all.pixel, image_bytes(&all));
    for (int c = 0; c < 3; c++)
        plane_free(&ycc[c]);
    image_free(&all);
    image_free(&joined);
}

/* A constant stays one, a size to itself is the identity, a straight line stays straight away from the edges.
 */
static void test_bicubic_properties(void **state)
{
    static const int sizes[][2] = { { 7, 5 }, { 14, 10 }, { 3, 31 }, { 1, 1 }, { 20, 8 } };
    struct plane a = noise(7, 5, 1), b;

    (void)state;
    assert_int_equal(bicubic_plane(&a, 7, 5, BICUBIC_MIRROR, &b, &error), 0);
    for (int i = 0; i < 35; i++)
        assert_true(fabs(a.value[i] - b.value[i]) < 1e-9);
    plane_free(&b);
    for (int i = 0; i < 35; i++)
        a.value[i] = 41.5;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int edge = 0; edge < 2; edge++) {
            assert_int_equal(bicubic_plane(&a, sizes[k][0], sizes[k][1], edge, &b, &error), 0);
            for (int i = 0; i < b.width * b.height; i++)
                assert_true(fabs(b.value[i] - 41.5) < 1e-9);
            plane_free(&b);
        }
    plane_free(&a);
    a = noise(40, 1, 1);
    for (int i = 0; i < 40; i++)
        a.value[i] = 3 * i;
    assert_int_equal(bicubic_plane(&a, 120, 1, BICUBIC_CLAMP, &b, &error), 0);
    for (int i = 9; i < 111; i++)
        assert_true(fabs(b.value[i] - 3 * ((i + 0.5) / 3 - 0.5)) < 1e-9);
    plane_free(&a);
    plane_free(&b);
}

static void test_bicubic_refused(void **state)
{
    struct plane a = noise(7, 5, 1), b;
    struct image image, small;

    (void)state;
    assert_int_equal(bicubic_plane(&a, 0, 5, BICUBIC_CLAMP, &b, &error), ERR_INVALID);
    assert_int_equal(bicubic_plane(&a, 70000, 5, BICUBIC_CLAMP, &b, &error), ERR_INVALID);
    assert_int_equal(bicubic_baseline(&a, 2, NULL, &b, &error), ERR_INVALID);
    plane_free(&a);
    assert_int_equal(image_make(&image, 3, 9, 1, LIMIT, &error), 0);
    assert_int_equal(bicubic_shrink(&image, 4, &small, &error), ERR_INVALID);
    image_free(&image);
}

static void test_psnr(void **state)
{
    struct plane a = noise(20, 16, 1), b = noise(20, 16, 1), small = noise(4, 20, 1);
    struct quality q = { .shave = 2 };
    char text[QUALITY_TEXT];
    double db;

    (void)state;
    assert_int_equal(quality_psnr(&a, &b, 1, &q, &db, &error), 0);
    assert_true(isinf(db) && db > 0);
    for (int i = 0; i < 20 * 16; i++) {
        a.value[i] = 250;
        b.value[i] = 260.25;
    }
    b.value[0] = 1e6; /* in the border */
    assert_int_equal(quality_psnr(&a, &b, 1, &q, &db, &error), 0);
    assert_true(fabs(db - 20 * log10(255 / 10.25)) < 1e-9);
    q.clip = true;
    assert_int_equal(quality_psnr(&a, &b, 1, &q, &db, &error), 0);
    assert_true(fabs(db - 20 * log10(255 / 5.0)) < 1e-9);
    q = (struct quality){ .shave = 2, .round = true };
    assert_int_equal(quality_psnr(&a, &b, 1, &q, &db, &error), 0);
    assert_true(fabs(db - 20 * log10(255 / 10.0)) < 1e-9);
    q.shave = 8;
    assert_int_equal(quality_psnr(&a, &b, 1, &q, &db, &error), ERR_INVALID);
    assert_int_equal(quality_psnr(&a, &small, 1, &q, &db, &error), ERR_INVALID);
    q = (struct quality){ .channel = QUALITY_LUMA, .shave = 3, .clip = true, .round = true };
    quality_text(&q, text);
    assert_string_equal(text, "Y = 16 + (65.481 R + 128.553 G + 24.966 B)/255, peak 255, 3 pixels shaved off "
                              "every border, estimate clipped to 0..255 and rounded");
    q = (struct quality){ .channel = QUALITY_RGB, .shave = 1 };
    quality_text(&q, text);
    assert_string_equal(text, "R, G, B, peak 255, 1 pixel shaved off every border, estimate as it is");
    plane_free(&a);
    plane_free(&b);
    plane_free(&small);
}

/* SSIM by the definition: for each window the weighted moments about the weighted means. */
static double ssim_plainly(const struct plane *a, const struct plane *b, int shave)
{
    double weight[11][11], sum = 0, total = 0;
    int windows = 0;

    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 11; j++)
            sum += weight[i][j] = exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / (2 * 1.5 * 1.5));
    for (int y = shave; y + 11 <= a->height - shave; y++)
        for (int x = shave; x + 11 <= a->width - shave; x++, windows++) {
            double ma = 0, mb = 0, va = 0, vb = 0, cov = 0;
            for (int pass = 0; pass < 2; pass++)
                for (int i = 0; i < 11; i++)
                    for (int j = 0; j < 11; j++) {
                        const double u = a->value[(y + i) * a->width + x + j],
                                     v = b->value[(y + i) * a->width + x + j], w = weight[i][j] / sum;
                        if (pass == 0) {
                            ma += w * u;
                            mb += w * v;
                        } else {
                            va += w * (u - ma) * (u - ma);
                            vb += w * (v - mb) * (v - mb);
                            cov += w * (u - ma) * (v - mb);
                        }
                    }
            total += (2 * ma * mb + 6.5025) * (2 * cov + 58.5225) /
                     ((ma * ma + mb * mb + 6.5025) * (va + vb + 58.5225));
        }
    return total / windows;
}

static void test_ssim(void **state)
{
    struct plane a = noise(30, 24, 1), b = noise(30, 24, 2);
    struct quality q = { .shave = 3 };
    double s;

    (void)state;
    assert_int_equal(quality_ssim(&a, &a, 1, &q, &s, &error), 0);
    assert_true(fabs(s - 1) < 1e-12);
    assert_int_equal(quality_ssim(&a, &b, 1, &q, &s, &error), 0);
    assert_true(fabs(s - ssim_plainly(&a, &b, 3)) < 1e-10);
    for (int i = 0; i < 30 * 24; i++) {
        b.value[i] = 0.8 * a.value[i] + 20 + 0.1 * b.value[i];
    }
    assert_int_equal(quality_ssim(&a, &b, 1, &q, &s, &error), 0);
    assert_true(s > 0.5 && fabs(s - ssim_plainly(&a, &b, 3)) < 1e-10);
    q.shave = 7;
    assert_int_equal(quality_ssim(&a, &b, 1, &q, &s, &error), ERR_INVALID);
    plane_free(&a);
    plane_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set5_low_resolution_is_exact),
        cmocka_unit_test(test_set5_bicubic_figures),
        cmocka_unit_test(test_t91),
        cmocka_unit_test(test_luma),
        cmocka_unit_test(test_colours_round_trip),
        cmocka_unit_test(test_bicubic_properties),
        cmocka_unit_test(test_bicubic_refused),
        cmocka_unit_test(test_psnr),
        cmocka_unit_test(test_ssim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
