/* The shared MNIST and CIFAR-10 files, and the digits that the program draws itself. */
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "worker/data/dataset.h"
#include "worker/data/glyphs_strokes.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT ((size_t)1 << 30)

static char dir[] = "/tmp/quantd-real-XXXXXX", path[100];
static struct err error;

static int group_setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/dataset", dir);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, &error);
}

/* The shared data files `names` packed into an archive at `path`; false when they are not on this machine. */
static bool pack(const char *folder, const char *const *names, int (*set_format)(struct archive *))
{
    const char *root = getenv("QUANTD_DATA") != NULL ? getenv("QUANTD_DATA") : "../shared/data";
    struct archive *a = archive_write_new();
    bool there = true;

    assert_int_equal(set_format(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (; *names != NULL && there; names++) {
        char *from = mem_printf("%s/%s/%s", root, folder, *names), *data;
        size_t length;
        there = file_load(from, (size_t)64 << 20, &data, &length, &error) == 0;
        if (!there) {
            print_message("*** SKIPPED: %s is not there (set QUANTD_DATA) ***\n", from);
        } else {
            struct archive_entry *entry = archive_entry_new();
            archive_entry_set_pathname(entry, *names);
            archive_entry_set_filetype(entry, AE_IFREG);
            archive_entry_set_perm(entry, 0644);
            archive_entry_set_size(entry, (int64_t)length);
            assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
            assert_int_equal(archive_write_data(a, data, length), length);
            archive_entry_free(entry);
            free(data);
        }
        free(from);
    }
    archive_write_free(a);
    return there;
}

static void test_mnist(void **state)
{
    static const char *const names[] = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", NULL };
    static int (*const formats[])(struct archive *) = { archive_write_set_format_ustar,
                                                        archive_write_set_format_zip };
    static const int32_t first[] = { 5, 0, 4, 1, 9 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct dataset *d;
        if (!pack("mnist", names, formats[i]))
            skip();
        assert_int_equal(dataset_load(path, i == 0 ? "idx" : NULL, LIMIT, &d, &error), 0);
        assert_int_equal(d->split[SPLIT_TRAIN].count, 60000);
        assert_int_equal(d->split[SPLIT_TEST].count, 10000);
        assert_int_equal(d->height, 28);
        assert_int_equal(d->classes, 10);
        assert_memory_equal(d->split[SPLIT_TRAIN].label, first, sizeof first);
        dataset_free(d);
    }
}

static void test_cifar10(void **state)
{
    static const char *const names[] = { "test_batch.bin.gz", NULL };
    struct dataset *d;
    int64_t each[10] = { 0 };

    (void)state;
    if (!pack("cifar10", names, archive_write_set_format_ustar))
        skip();
    assert_int_equal(dataset_load(path, NULL, LIMIT, &d, &error), 0);
    assert_string_equal(d->format, "cifar");
    assert_int_equal(d->split[SPLIT_TEST].count, 10000);
    for (int64_t i = 0; i < 10000; i++)
        each[d->split[SPLIT_TEST].label[i]]++;
    for (int k = 0; k < 10; k++)
        assert_int_equal(each[k], 1000);
    dataset_free(d);
}

static void hash_of(const struct dataset *d, char text[HASH_TEXT])
{
    unsigned char digest[HASH_BYTES];

    hash_bytes(d->split[SPLIT_TRAIN].pixel, 100 * 784, digest);
    hash_text(digest, text);
}

static void test_glyphs_are_the_same_everywhere(void **state)
{
    struct dataset *a, *b;
    char first[HASH_TEXT], second[HASH_TEXT];

    (void)state;
    assert_int_equal(dataset_builtin("glyphs", 1, &a, &error), 0);
    assert_int_equal(dataset_builtin("glyphs", 2, &b, &error), 0);
    hash_of(a, first);
    hash_of(b, second);
    assert_string_equal(first, "sha256:62202163fd780dc5df6e050a377385324b6f3a593619a96371aec8f5af3fa58d");
    assert_string_not_equal(first, second);
    assert_memory_not_equal(a->split[SPLIT_TRAIN].pixel, a->split[SPLIT_TEST].pixel, 784);
    dataset_free(a);
    dataset_free(b);
}

static void test_glyphs_are_balanced(void **state)
{
    struct dataset *d;

    (void)state;
    assert_int_equal(dataset_builtin("glyphs", 1, &d, &error), 0);
    assert_int_equal(d->classes, 10);
    assert_true(d->stddev[0] == 1);
    for (int k = 0; k < SPLITS; k++) {
        const struct split *s = &d->split[k];
        int64_t each[10] = { 0 };
        assert_int_equal(s->count, k == SPLIT_TRAIN ? 20000 : 4000);
        for (int64_t i = 0; i < s->count; i++)
            each[s->label[i]]++;
        for (int digit = 0; digit < 10; digit++)
            assert_int_equal(each[digit], s->count / 10);
    }
    dataset_free(d);
    assert_int_equal(dataset_builtin("runes", 1, &d, &error), ERR_NOT_FOUND);
}

/* Every variant of every digit has strokes that the spline can follow. */
static void test_glyph_table(void **state)
{
    (void)state;
    for (int digit = 0; digit < GLYPH_DIGITS; digit++)
        for (int v = 0; v < GLYPH_VARIANTS; v++) {
            const struct glyph *g = &glyph_table[digit][v];
            assert_true(g->stroke[0].count >= 3);
            for (int i = 0; i < GLYPH_STROKES; i++)
                assert_in_range(g->stroke[i].count == 0 ? 3 : g->stroke[i].count, 3, GLYPH_POINTS);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mnist),
        cmocka_unit_test(test_cifar10),
        cmocka_unit_test(test_glyphs_are_the_same_everywhere),
        cmocka_unit_test(test_glyphs_are_balanced),
        cmocka_unit_test(test_glyph_table),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
