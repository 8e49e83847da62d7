/* Augmentations, samples into lanes, and patches for super-resolution. */
#include "base/mem.h"
#include "tests/unit/temp.h"
#include "worker/data/lanes.h"
#include "worker/data/patch.h"
#include "worker/image/bicubic.h"
#include "worker/image/color.h"

#include <math.h>

enum { C = 3, H = 6, W = 5, N = C * H * W };

static struct err error;

/* Pixel (c, y, x) is no other pixel's number; black is 0. */
static int number(int c, int y, int x)
{
    return y < 0 || y >= H || x < 0 || x >= W ? 0 : 1 + (c * H + y) * W + x;
}

/* The changed sample, asked for in spans of every length. */
static void change(const struct augment *a, int span, uint8_t out[C][H][W])
{
    uint8_t plane[H * W];

    for (int c = 0; c < C; c++) {
        for (int i = 0; i < H * W; i++)
            plane[i] = (uint8_t)number(c, i / W, i % W);
        for (int y = 0; y < H; y++)
            for (int from = 0; from < W; from += span)
                augment_row(a, plane, H, W, y, from, W - from < span ? W - from : span, out[c][y] + from);
    }
}

static void test_shift(void **state)
{
    bool seen[5][5] = { { false } };
    uint8_t x[C][H][W];
    int distances = 0;

    (void)state;
    for (uint64_t i = 0; i < 400; i++) {
        struct rng r = rng_at(1, 2, AUGMENT_DRAWS * i), same = r;
        struct augment a = { 0 };
        augment_shift(&a, 2, &r);
        const int dy = (int)rng_below(&same, 5) - 2, dx = (int)rng_below(&same, 5) - 2;
        assert_true(r.index == same.index);
        change(&a, 1 + (int)(i % W), x);
        for (int k = 0; k < N; k++) {
            const int c = k / (H * W), y = k / W % H, u = k % W;
            assert_int_equal(x[c][y][u], number(c, y - dy, u - dx));
        }
        distances += !seen[dy + 2][dx + 2];
        seen[dy + 2][dx + 2] = true;
    }
    assert_int_equal(distances, 25);
}

static void test_crop_flip(void **state)
{
    uint8_t x[C][H][W];
    int flips = 0;

    (void)state;
    for (uint64_t i = 0; i < 400; i++) {
        struct rng r = rng_at(1, 3, AUGMENT_DRAWS * i), same = r;
        struct augment a = { 0 };
        augment_crop_flip(&a, 7, &r); /* further than the image is wide */
        const int dy = (int)rng_below(&same, 15) - 7, dx = (int)rng_below(&same, 15) - 7;
        const bool flip = rng_below(&same, 2) == 1;
        change(&a, 1 + (int)(i % W), x);
        for (int k = 0; k < N; k++) {
            const int c = k / (H * W), y = k / W % H, u = k % W;
            assert_int_equal(x[c][y][u], number(c, y - dy, (flip ? W - 1 - u : u) - dx));
        }
        flips += flip;
    }
    assert_in_range(flips, 160, 240);
}

static void test_cutout(void **state)
{
    uint8_t x[C][H][W];
    bool whole = false, cut = false;

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct rng r = rng_at(1, 4, AUGMENT_DRAWS * i), same = r;
        struct augment a = { 0 };
        augment_cutout(&a, H, W, 3, &r);
        const int top = (int)rng_below(&same, H) - 1, left = (int)rng_below(&same, W) - 1;
        int black = 0;
        change(&a, 1 + (int)(i % W), x);
        for (int k = 0; k < N; k++) {
            const int c = k / (H * W), y = k / W % H, u = k % W;
            const bool in = y >= top && y < top + 3 && u >= left && u < left + 3;
            assert_int_equal(x[c][y][u], in ? 0 : number(c, y, u));
            black += in;
        }
        whole = whole || black == 9 * C;
        cut = cut || black == 4 * C;
    }
    assert_true(whole && cut);
    assert_int_equal(augment_cutout_side(32, 40), 8);
    assert_int_equal(augment_cutout_side(3, 40), 1);
}

enum { SIDE = 28 };

static void deformed(const struct augment *a, const uint8_t *plane, int span, uint8_t *out)
{
    for (int y = 0; y < SIDE; y++)
        for (int from = 0; from < SIDE; from += span)
            augment_row(a, plane, SIDE, SIDE, y, from, SIDE - from < span ? SIDE - from : span,
                        out + y * SIDE + from);
}

/* Where a lone light is, weighed by its pixels. */
static void centre(const uint8_t *plane, double *y, double *x, double *sum)
{
    *y = *x = *sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        *y += plane[i] * (double)(i / SIDE);
        *x += plane[i] * (double)(i % SIDE);
        *sum += plane[i];
    }
    *y /= *sum;
    *x /= *sum;
}

/* A light moves where the map says, to parts of a pixel; some samples stay; spans don't matter; what is drawn
 * is bounded. */
static void test_deform(void **state)
{
    static uint8_t plane[SIDE * SIDE], out[SIDE * SIDE], again[SIDE * SIDE];
    double most = 0;
    int same = 0;

    (void)state;
    for (int i = 0; i < 9; i++)
        plane[(5 + i / 3) * SIDE + 19 + i % 3] = 200; /* around (6, 20) */
    for (uint64_t n = 0; n < 400; n++) {
        struct rng r = rng_at(1, 6, AUGMENT_DEFORM_DRAWS * n);
        struct augment a = { 0 };
        double y, x, sum;
        augment_deform(&a, SIDE, SIDE, &r);
        assert_true(r.index < AUGMENT_DEFORM_DRAWS * (n + 1));
        deformed(&a, plane, SIDE, out);
        deformed(&a, plane, 1 + (int)(n % 11), again);
        assert_memory_equal(out, again, sizeof out);
        same += memcmp(out, plane, sizeof out) == 0;
        centre(out, &y, &x, &sum);
        assert_true(fabs(sum / 1800 - 1) < 0.3); /* areas change as scales do */
        most = fmax(most, hypot(y - 6, x - 20));
        if (!a.deformed)
            continue;
        a.down.height = a.across.height = 0;
        deformed(&a, plane, SIDE, out);
        centre(out, &y, &x, &sum);
        assert_true(fabs(a.row[0] * y + a.row[1] * x + a.row[2] - 6) < 0.1);
        assert_true(fabs(a.column[0] * y + a.column[1] * x + a.column[2] - 20) < 0.1);
    }
    assert_in_range(same, 80, 160);
    assert_true(most > 2 && most < 6);
}

/* Wider than what is laid out at a time; changed samples beside unchanged ones; channels normalised each by
 * itself, black too. */
static void test_lanes(void **state)
{
    enum { WIDE = 150 };
    static uint8_t pixel[2][2 * WIDE];
    static real x[2 * 2 * WIDE * LANES];
    struct dataset *d = dataset_new();
    struct lanes_table table;
    struct lane lane[LANES] = { { 0 } };

    (void)state;
    d->channels = 2;
    d->height = 1;
    d->width = WIDE;
    d->mean[1] = 0.5f;
    d->stddev[1] = 0.25f;
    for (int i = 0; i < 2 * 2 * WIDE; i++)
        pixel[i / (2 * WIDE)][i % (2 * WIDE)] = (uint8_t)(i * 7);
    lanes_table(d, &table);
    for (int i = 0; i < LANES; i++) {
        lane[i].pixel = pixel[i % 2];
        lane[i].change.dx = i;
        lane[i].change.mirror = i == 4;
    }
    for (int k = 0; k < 4; k++) {
        const bool nhwc = k & 1;
        const int count = k & 2 ? LANES : 5;
        memset(x, 0x7f, sizeof x);
        lanes_put(d, &table, lane, count, nhwc, x);
        for (int i = 0; i < 2 * WIDE * LANES; i++) {
            const int at = i % LANES, c = i / LANES / WIDE, u = i / LANES % WIDE;
            const int from = (at == 4 ? WIDE - 1 - u : u) - at;
            const real byte = from < 0 ? 0 : pixel[at % 2][c * WIDE + from];
            const real want = at >= count ? 0 : (byte / 255 - d->mean[c]) / d->stddev[c];
            assert_true(x[(nhwc ? u * 2 + c : c * WIDE + u) * LANES + at] == want);
        }
    }
    dataset_free(d);
}

/* --- patches --- */

static struct image noise(int width, int height, int channels)
{
    struct image image;
    unsigned seed = (unsigned)width;

    assert_int_equal(image_make(&image, width, height, channels, SIZE_MAX, &error), 0);
    for (size_t i = 0; i < image_bytes(&image); i++) {
        seed = seed * 1664525u + 1013904223u;
        image.pixel[i] = (uint8_t)(seed >> 24);
    }
    return image;
}

static void test_patch_pick(void **state)
{
    struct imageset_item item[3] = { { .image = { .width = 11, .height = 9 } },
                                     { .image = { .width = 5, .height = 90 } },
                                     { .image = { .width = 6, .height = 20 } } };
    const struct imageset_split set = { .count = 3, .item = item };
    struct patches p;
    int seen[3][20][8] = { { { 0 } } }, turns[8] = { 0 };

    (void)state;
    /* size 6, scale 2: 3 x 2 positions in the first image, none in the second, 8 in the third */
    assert_int_equal(patches_new(&set, 6, 2, &p, &error), 0);
    assert_int_equal(p.before[3], 14);
    for (uint64_t i = 0; i < 14000; i++) {
        const struct rng r = rng_at(1, 5, PATCH_DRAWS * i);
        const struct patch a = patch_pick(&p, true, r), b = patch_pick(&p, false, r);
        assert_true(a.image == b.image && a.top == b.top && a.left == b.left && b.turn == 0);
        seen[a.image][a.top][a.left]++;
        turns[a.turn]++;
    }
    int places = 0;
    for (int i = 0; i < 3; i++)
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 8; x++)
                if (seen[i][y][x] > 0) {
                    assert_in_range(seen[i][y][x], 850, 1150);
                    assert_true(y % 2 == 0 && x % 2 == 0);
                    places++;
                }
    assert_int_equal(places, 14);
    for (int t = 0; t < 8; t++)
        assert_in_range(turns[t], 1600, 1900);
    patches_free(&p);
    assert_int_equal(patches_new(&set, 6, 4, &p, &error), ERR_INVALID);
    assert_int_equal(patches_new(&set, 12, 2, &p, &error), ERR_INVALID);
}

static double turned(const double *v, int width, const struct patch *at_patch, int scale, int n, int i, int j)
{
    int y = i, x = at_patch->turn & 1 ? n - 1 - j : j;

    for (int quarter = at_patch->turn >> 1; quarter > 0; quarter--) {
        const int keep = y;
        y = x;
        x = n - 1 - keep;
    }
    return v[(at_patch->top / scale + y) * width + at_patch->left / scale + x];
}

/* A patch must be what it is in the whole image, at the borders too. */
static void check_patches(int width, int height, int size, int scale, bool rgb, bool enlarged)
{
    static real input[3 * 24 * 24 * LANES], truth[3 * 24 * 24 * LANES];
    struct image image = noise(width, height, 3), whole, shrunk;
    const int n = enlarged ? size : size / scale, channels = rgb ? 3 : 1;
    struct plane plane[3], want[3];
    struct patch_maker *m;

    assert_int_equal(patch_maker_new(size, scale, rgb, enlarged, &m, &error), 0);
    assert_int_equal(image_crop(&image, width - width % scale, height - height % scale, &whole, &error), 0);
    assert_int_equal(bicubic_shrink(&image, scale, &shrunk, &error), 0);
    for (int c = 0; c < channels; c++) {
        struct plane small, large;
        assert_int_equal(
            rgb ? color_channel(&whole, c, &plane[c], &error) : color_luma(&whole, &plane[c], &error), 0);
        assert_int_equal(bicubic_baseline(&plane[c], scale, &small, &large, &error), 0);
        if (rgb && !enlarged)
            assert_int_equal(color_channel(&shrunk, c, &want[c], &error), 0);
        else
            want[c] = enlarged ? large : small;
        if (enlarged || rgb)
            plane_free(&small);
        if (!enlarged)
            plane_free(&large);
    }
    for (int top = 0; top + size <= whole.height; top += scale)
        for (int left = 0; left + size <= whole.width; left += scale) {
            const struct patch at_patch = { 0, top, left, (top / scale + left) % 8 };
            patch_make(m, &image, &at_patch, input, truth, 9);
            for (int c = 0; c < channels; c++) {
                for (int i = 0; i < size * size; i++)
                    assert_true(fabs((double)truth[(c * size * size + i) * LANES + 9] * 255 -
                                     turned(plane[c].value, whole.width, &at_patch, 1, size, i / size,
                                            i % size)) < 1e-4);
                for (int i = 0; i < n * n; i++)
                    assert_true(fabs((double)input[(c * n * n + i) * LANES + 9] * 255 -
                                     turned(want[c].value, want[c].width, &at_patch, enlarged ? 1 : scale, n,
                                            i / n, i % n)) < 1e-4);
            }
        }
    for (int c = 0; c < channels; c++) {
        plane_free(&plane[c]);
        plane_free(&want[c]);
    }
    patch_maker_free(m);
    image_free(&image);
    image_free(&whole);
    image_free(&shrunk);
}

static void test_patches_are_pieces_of_the_whole(void **state)
{
    (void)state;
    for (int scale = 2; scale <= 4; scale++)
        for (int kind = 0; kind < 4; kind++)
            check_patches(31, 26, scale * 4, scale, kind & 1, kind >> 1);
    check_patches(9, 8, 8, 4, false, true); /* an image smaller than the window around the patch */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_crop_flip),
        cmocka_unit_test(test_cutout),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_deform),
        cmocka_unit_test(test_patch_pick),
        cmocka_unit_test(test_patches_are_pieces_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
