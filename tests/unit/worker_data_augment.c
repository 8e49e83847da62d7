/* Augmentations in a lane, and patches for super-resolution. */
#include "base/mem.h"
#include "tests/unit/temp.h"
#include "worker/data/augment.h"
#include "worker/data/patch.h"
#include "worker/image/bicubic.h"
#include "worker/image/color.h"

#include <math.h>

enum { C = 3, H = 6, W = 5, N = C * H * W };

static struct err error;

/* Pixel (c, y, x) of the lane holds 100 c + 10 y + x; black is -1 - c; the other lanes hold 7. */
static struct augment_sample sample(real *x, bool nhwc)
{
    struct augment_sample s = { x, 5, C, H, W, nhwc, { -1, -2, -3 } };

    for (int i = 0; i < N * LANES; i++)
        x[i] = 7;
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int u = 0; u < W; u++)
                x[(nhwc ? (y * W + u) * C + c : (c * H + y) * W + u) * LANES + 5] =
                    (real)(100 * c + 10 * y + u);
    return s;
}

static int at(const struct augment_sample *s, int c, int y, int x)
{
    return (int)s->x[(s->nhwc ? (y * W + x) * C + c : (c * H + y) * W + x) * LANES + s->lane];
}

/* What pixel (y, x) shows when the image has been moved by (dy, dx). */
static int moved(int c, int y, int x, int dy, int dx)
{
    const int fy = y - dy, fx = x - dx;

    return fy < 0 || fy >= H || fx < 0 || fx >= W ? -1 - c : 100 * c + 10 * fy + fx;
}

static void others_untouched(const real *x)
{
    for (int i = 0; i < N * LANES; i++)
        if (i % LANES != 5)
            assert_true(x[i] == 7);
}

static void test_shift(void **state)
{
    bool seen[5][5] = { { false } };
    real x[N * LANES];
    int distances = 0;

    (void)state;
    for (uint64_t i = 0; i < 400; i++) {
        struct augment_sample s = sample(x, i % 2);
        struct rng r = rng_at(1, 2, AUGMENT_DRAWS * i), same = r;
        augment_shift(&s, 2, &r);
        const int dy = (int)rng_below(&same, 5) - 2, dx = (int)rng_below(&same, 5) - 2;
        assert_true(r.index == same.index);
        for (int k = 0; k < N; k++)
            assert_int_equal(at(&s, k / (H * W), k / W % H, k % W),
                             moved(k / (H * W), k / W % H, k % W, dy, dx));
        others_untouched(x);
        distances += !seen[dy + 2][dx + 2];
        seen[dy + 2][dx + 2] = true;
    }
    assert_int_equal(distances, 25);
}

static void test_crop_flip(void **state)
{
    real x[N * LANES];
    int flips = 0;

    (void)state;
    for (uint64_t i = 0; i < 400; i++) {
        struct augment_sample s = sample(x, i % 2);
        struct rng r = rng_at(1, 3, AUGMENT_DRAWS * i), same = r;
        augment_crop_flip(&s, 4, &r);
        const int dy = (int)rng_below(&same, 9) - 4, dx = (int)rng_below(&same, 9) - 4;
        const bool flip = rng_below(&same, 2) == 1;
        for (int k = 0; k < N; k++) {
            const int c = k / (H * W), y = k / W % H, u = k % W;
            assert_int_equal(at(&s, c, y, u), moved(c, y, flip ? W - 1 - u : u, dy, dx));
        }
        others_untouched(x);
        flips += flip;
    }
    assert_in_range(flips, 160, 240);
}

static void test_cutout(void **state)
{
    real x[N * LANES];
    bool whole = false, cut = false;

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct augment_sample s = sample(x, i % 2);
        struct rng r = rng_at(1, 4, AUGMENT_DRAWS * i), same = r;
        augment_cutout(&s, 3, &r);
        const int top = (int)rng_below(&same, H) - 1, left = (int)rng_below(&same, W) - 1;
        int black = 0;
        for (int k = 0; k < N; k++) {
            const int c = k / (H * W), y = k / W % H, u = k % W;
            const bool in = y >= top && y < top + 3 && u >= left && u < left + 3;
            assert_int_equal(at(&s, c, y, u), in ? -1 - c : 100 * c + 10 * y + u);
            black += in;
        }
        others_untouched(x);
        whole = whole || black == 9 * C;
        cut = cut || black == 4 * C;
    }
    assert_true(whole && cut);
    assert_int_equal(augment_cutout_side(32, 40), 8);
    assert_int_equal(augment_cutout_side(3, 40), 1);
}

static void test_black_is_normalised(void **state)
{
    struct dataset *d = dataset_new();

    (void)state;
    d->channels = 2;
    d->mean[1] = 0.5f;
    d->stddev[1] = 0.25f;
    struct augment_sample s = augment_sample(d, true, NULL, 3);
    assert_true(s.black[0] == 0 && s.black[1] == -2 && s.nhwc && s.lane == 3);
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
        cmocka_unit_test(test_shift),      cmocka_unit_test(test_crop_flip),
        cmocka_unit_test(test_cutout),     cmocka_unit_test(test_black_is_normalised),
        cmocka_unit_test(test_patch_pick), cmocka_unit_test(test_patches_are_pieces_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
