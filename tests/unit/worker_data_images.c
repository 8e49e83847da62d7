/* Folders of images: as classes, and as a set for super-resolution. */
#include "base/mem.h"
#include "tests/unit/data_files.h"
#include "tests/unit/image_files.h"
#include "worker/data/imageset.h"

static struct file_bytes file;

static void add_png(struct archive *a, const char *name, int width, int height, int channels, uint8_t first)
{
    uint8_t pixel[64 * 64 * 3];

    for (int i = 0; i < width * height * channels; i++)
        pixel[i] = (uint8_t)(first + i);
    make_png_8(&file, width, height, channels, pixel);
    archive_add(a, name, AE_IFREG, file.data, file.length);
}

static struct dataset *load(const char *format)
{
    struct dataset *d;

    if (dataset_load(path, format, LIMIT, &d, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    assert_string_equal(d->format, "images");
    return d;
}

static void refused(const char *format, int code, const char *place, const char *word)
{
    struct dataset *d;

    memset(&error, 0, sizeof error);
    int r = dataset_load(path, format, LIMIT, &d, &error);
    if (r != code || strcmp(error.place, place) != 0 || strstr(error.text, word) == NULL)
        fail_msg("got %s '%s' at '%s'", err_name(r), error.text, error.place);
    assert_null(d);
}

static void test_folders_are_classes(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_GZIP);

    (void)state;
    archive_add(a, "pets/train/", AE_IFDIR, NULL, 0);
    add_png(a, "pets/train/dog/test_1.png", 4, 3, 1, 10);
    add_png(a, "pets/train/cat/1.png", 4, 3, 1, 20);
    add_png(a, "pets/train/dog/deep/2.png", 4, 3, 1, 30);
    add_png(a, "pets/test/bird/train.png", 4, 3, 1, 40);
    archive_add(a, "pets/README.txt", AE_IFREG, "hello", 5);
    archive_add(a, "pets/train/dog/._1.png", AE_IFREG, "junk", 4);
    archive_end(a);
    struct dataset *d = load(NULL);
    assert_int_equal(d->channels, 1);
    assert_int_equal(d->height, 3);
    assert_int_equal(d->width, 4);
    assert_int_equal(d->classes, 3);
    assert_string_equal(d->class_name[0], "bird");
    assert_string_equal(d->class_name[1], "cat");
    assert_string_equal(d->class_name[2], "dog");
    assert_int_equal(d->split[SPLIT_TRAIN].count, 3);
    assert_int_equal(d->split[SPLIT_TEST].count, 1);
    assert_memory_equal(d->split[SPLIT_TRAIN].label, ((int32_t[]){ 2, 1, 2 }), 12);
    assert_int_equal(d->split[SPLIT_TEST].label[0], 0);
    assert_int_equal(d->split[SPLIT_TRAIN].pixel[2 * 12 + 5], 35);
    dataset_free(d);
}

static void test_no_split(void **state)
{
    struct archive *a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);

    (void)state;
    add_png(a, "any/where/b/1.png", 2, 2, 3, 0);
    add_png(a, "./a/1.png", 2, 2, 3, 100);
    archive_end(a);
    struct dataset *d = load("images");
    assert_int_equal(d->split[SPLIT_TEST].count, 2);
    assert_string_equal(d->class_name[0], "a");
    assert_memory_equal(d->split[SPLIT_TEST].label, ((int32_t[]){ 1, 0 }), 8);
    assert_memory_equal(d->split[SPLIT_TEST].pixel, ((uint8_t[]){ 0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11 }),
                        12);
    dataset_free(d);
}

/* Gray before colour and gray after it. */
static void test_gray_among_colour(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    (void)state;
    add_png(a, "train/a/1.png", 2, 1, 1, 7);
    add_png(a, "test/a/1.png", 2, 1, 1, 17);
    add_png(a, "train/a/2.png", 2, 1, 3, 50);
    add_png(a, "train/a/3.png", 2, 1, 1, 90);
    archive_end(a);
    struct dataset *d = load(NULL);
    assert_int_equal(d->channels, 3);
    assert_memory_equal(d->split[SPLIT_TRAIN].pixel,
                        ((uint8_t[]){ 7, 8, 7, 8, 7, 8, 50, 53, 51, 54, 52, 55, 90, 91, 90, 91, 90, 91 }),
                        18);
    assert_memory_equal(d->split[SPLIT_TEST].pixel, ((uint8_t[]){ 17, 18, 17, 18, 17, 18 }), 6);
    dataset_free(d);
    const struct room room = { .limit = LIMIT, .sizes_only = true };
    assert_int_equal(dataset_read(path, NULL, &room, &d, &error), 0);
    assert_int_equal(d->channels, 3);
    assert_int_equal(d->split[SPLIT_TRAIN].count, 3);
    assert_null(d->split[SPLIT_TRAIN].pixel);
    dataset_free(d);
}

static void test_refused(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    (void)state;
    add_png(a, "a/1.png", 2, 2, 1, 0);
    add_png(a, "a/2.png", 2, 3, 1, 0);
    archive_end(a);
    refused(NULL, ERR_INVALID, "a/2.png offset 0", "'a/1.png' has 2x2 pixels, 'a/2.png' has 2x3");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    add_png(a, "train/1.png", 2, 2, 1, 0);
    archive_end(a);
    refused(NULL, ERR_INVALID, "train/1.png offset 0", "in no folder");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    add_png(a, "./1.png", 2, 2, 1, 0);
    archive_end(a);
    refused("images", ERR_INVALID, "./1.png offset 0", "in no folder");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    add_png(a, "a/1.png", 2, 2, 1, 0);
    archive_add(a, "a/2.jpg", AE_IFREG, "\xff\xd8\xff\xe0", 4);
    archive_end(a);
    refused(NULL, ERR_UNSUPPORTED, "a/2.jpg offset 0", "looks like a JPEG image; PNG and BMP are read");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    add_png(a, "a/1.png", 2, 2, 1, 0);
    archive_add(a, "a/2.png", AE_IFREG, file.data, file.length - 3);
    archive_end(a);
    char place[40];
    snprintf(place, sizeof place, "a/2.png offset %zu", file.length - 3);
    refused(NULL, ERR_CORRUPT, place, "the file ends too early");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_add(a, "a/2.jpg", AE_IFREG, "\xff\xd8\xff\xe0", 4);
    archive_end(a);
    refused(NULL, ERR_INVALID, "", "'a/2.jpg' looks like a JPEG image");
}

/* A small file of many pixels is a bomb like any other. */
static void test_pixels_count(void **state)
{
    static uint8_t black[4000 * 4000];
    struct dataset *d;
    struct imageset *set;

    (void)state;
    make_png_8(&file, 4000, 4000, 1, black);
    assert_true(file.length < 100000);
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    for (int i = 0; i < 3; i++) {
        char name[20];
        snprintf(name, sizeof name, "a/%d.png", i);
        archive_add(a, name, AE_IFREG, file.data, file.length);
    }
    archive_end(a);
    assert_int_equal(dataset_load(path, NULL, (size_t)40 << 20, &d, &error), ERR_TOO_LARGE);
    assert_int_equal(imageset_load(path, (size_t)40 << 20, &set, &error), ERR_TOO_LARGE);
}

static void test_imageset(void **state)
{
    static const struct room rooms[] = { { .limit = LIMIT },
                                         { .limit = LIMIT, .memory = 10, .spill_dir = dir } };
    struct archive *a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);

    (void)state;
    add_png(a, "div/train/b.png", 5, 2, 3, 1);
    add_png(a, "div/train/a.png", 2, 7, 1, 2);
    add_png(a, "div/test/c.png", 3, 3, 3, 3);
    archive_add(a, "div/notes", AE_IFREG, "x", 1);
    archive_end(a);
    for (int i = 0; i < 2; i++) {
        struct imageset *set;
        assert_int_equal(imageset_read(path, &rooms[i], &set, &error), 0);
        const struct imageset_split *train = &set->split[SPLIT_TRAIN], *test = &set->split[SPLIT_TEST];
        assert_int_equal(train->count, 2);
        assert_string_equal(train->item[0].name, "a.png");
        assert_int_equal(train->item[0].image.height, 7);
        assert_int_equal(train->item[0].image.pixel[13], 15);
        assert_int_equal(train->item[1].image.channels, 3);
        assert_int_equal(train->item[1].image.pixel[29], 30);
        assert_int_equal(test->count, 1);
        assert_int_equal(test->item[0].image.pixel[0], 3);
        assert_int_equal(train->mapped > 0, i);
        imageset_free(set);
    }
    imageset_free(NULL);
}

static void test_imageset_refused(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    struct imageset *set;

    (void)state;
    archive_add(a, "notes", AE_IFREG, "<html>", 6);
    archive_end(a);
    assert_int_equal(imageset_load(path, LIMIT, &set, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "'notes' looks like HTML"));
    write_raw("\xff\xd8\xff\xe0", 4);
    assert_int_equal(imageset_load(path, LIMIT, &set, &error), ERR_UNSUPPORTED);
    assert_null(set);
}

static void test_out_of_memory(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    struct imageset *set;
    struct dataset *d;
    int r = ERR_NOMEM;

    (void)state;
    add_png(a, "a/1.png", 2, 2, 1, 0);
    add_png(a, "b/1.png", 2, 2, 3, 0);
    archive_end(a);
    for (int n = 0; r != 0; n++) {
        assert_true(n < 200);
        mem_fail_after(n);
        r = dataset_load(path, NULL, LIMIT, &d, &error);
        assert_true(r == 0 || r == ERR_NOMEM || r == ERR_CORRUPT);
    }
    dataset_free(d);
    r = ERR_NOMEM;
    for (int n = 0; r != 0; n++) {
        assert_true(n < 200);
        mem_fail_after(n);
        r = imageset_load(path, LIMIT, &set, &error);
        assert_true(r == 0 || r == ERR_NOMEM || r == ERR_CORRUPT);
    }
    mem_fail_after(-1);
    imageset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_are_classes), cmocka_unit_test(test_no_split),
        cmocka_unit_test(test_gray_among_colour),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pixels_count),        cmocka_unit_test(test_imageset),
        cmocka_unit_test(test_imageset_refused),    cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
