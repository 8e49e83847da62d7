/* Data sets out of archives: what is read. */
#include "base/mem.h"
#include "tests/unit/data_files.h"
#include "worker/data/lanes.h"
#include "worker/inspect_dataset.h"

static struct dataset *load(const char *format)
{
    struct dataset *d;

    if (dataset_load(path, format, LIMIT, &d, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    return d;
}

static void check_idx(const struct dataset *d, int64_t train, int64_t test)
{
    assert_string_equal(d->format, "idx");
    assert_int_equal(d->channels, 1);
    assert_int_equal(d->height, 4);
    assert_int_equal(d->width, 3);
    assert_int_equal(d->split[SPLIT_TRAIN].count, train);
    assert_int_equal(d->split[SPLIT_TEST].count, test);
    assert_true(d->mean[0] == 0 && d->stddev[0] == 1);
    for (int k = 0; k < SPLITS; k++)
        for (int64_t i = 0; i < d->split[k].count; i++) {
            assert_int_equal(d->split[k].label[i], i % 10);
            assert_int_equal(d->split[k].pixel[i * 12 + 11], i + 11);
        }
}

static void test_idx_in_every_wrapping(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2,
                                   ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD };

    (void)state;
    for (int format = TAR; format <= ZIP; format++)
        for (size_t outer = 0; outer < sizeof filters / sizeof *filters; outer++)
            for (size_t inner = 0; inner < sizeof filters / sizeof *filters; inner++) {
                struct bytes x = idx_images(20), y = idx_labels(20);
                if (format == ZIP && outer > 0)
                    continue;
                if (inner > 0) {
                    compress_bytes(&x, filters[inner]);
                    compress_bytes(&y, filters[inner]);
                }
                struct archive *a = archive_begin(format, filters[outer]);
                archive_add(a, "data/", AE_IFDIR, NULL, 0);
                archive_add(a, "data/README", AE_IFREG, "hello", 5);
                archive_add(a, "data/._train-images-idx3-ubyte", AE_IFREG, "junk", 4);
                archive_idx(a, "data/train-images-idx3-ubyte.gz", x, "data/train-labels-idx1-ubyte.gz", y);
                archive_idx(a, "./data/t10k-images.idx3-ubyte", x, "./data/t10k-labels.idx1-ubyte", y);
                archive_end(a);
                struct dataset *d = load(inner % 2 ? "idx" : "auto");
                check_idx(d, 20, 20);
                assert_int_equal(d->classes, 10);
                dataset_free(d);
            }
}

static void test_idx_folders_are_the_split(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    (void)state;
    archive_idx(a, "train/images-idx3-ubyte", idx_images(5), "train/labels-idx1-ubyte", idx_labels(5));
    archive_idx(a, "test/train-images", idx_images(3), "test/train-labels", idx_labels(3));
    archive_end(a);
    struct dataset *d = load(NULL);
    check_idx(d, 5, 3);
    assert_int_equal(d->classes, 5);
    dataset_free(d);
}

static void test_idx_test_only(void **state)
{
    (void)state;
    write_idx(idx_images(7), idx_labels(7));
    struct dataset *d = load(NULL);
    check_idx(d, 0, 7);
    dataset_free(d);
}

/* Labels of more than ten classes: when they are dense, also when counted from one. */
static void test_idx_many_classes(void **state)
{
    struct bytes y = idx_labels(26);

    (void)state;
    for (int i = 0; i < 26; i++)
        y.data[8 + i] = (uint8_t)(i + 1);
    write_idx(idx_images(26), y);
    struct dataset *d = load("idx");
    assert_int_equal(d->classes, 27);
    dataset_free(d);
}

static void test_cifar(void **state)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_GZIP);
    struct bytes b = cifar_records(4), c = cifar_records(12);

    (void)state;
    archive_add(a, "cifar-10-batches-bin/batches.meta.txt", AE_IFREG, "airplane\n", 9);
    archive_add(a, "cifar-10-batches-bin/data_batch_1.bin", AE_IFREG, b.data, b.length);
    archive_add(a, "cifar-10-batches-bin/data_batch_2.bin", AE_IFREG, b.data, b.length);
    archive_add(a, "cifar-10-batches-bin/test_batch.bin", AE_IFREG, c.data, c.length);
    archive_end(a);
    struct dataset *d = load("auto");
    assert_string_equal(d->format, "cifar");
    assert_int_equal(d->channels, 3);
    assert_int_equal(d->height, 32);
    assert_int_equal(d->classes, 10);
    assert_int_equal(d->split[SPLIT_TRAIN].count, 8);
    assert_int_equal(d->split[SPLIT_TEST].count, 12);
    assert_int_equal(d->split[SPLIT_TRAIN].label[7], 3);
    assert_int_equal(d->split[SPLIT_TEST].pixel[11 * 3072 + 2048], 14);
    dataset_free(d);
}

static void test_put(void **state)
{
    struct dataset *d;
    struct lanes_table table;
    struct lane lane[6];
    real x[3 * 4 * LANES];

    (void)state;
    assert_non_null(d = dataset_new());
    d->channels = 3;
    d->height = d->width = 2;
    d->split[0].count = 1;
    d->split[0].pixel = mem_alloc(12);
    for (int i = 0; i < 12; i++)
        d->split[0].pixel[i] = (uint8_t)(i * 20);
    d->mean[1] = 0.5f;
    d->stddev[1] = 0.25f;
    for (int i = 0; i < 6; i++)
        lane[i] = (struct lane){ .pixel = d->split[0].pixel };
    lanes_table(d, &table);
    lanes_put(d, &table, lane, 6, false, x);
    assert_true(x[2 * LANES + 5] == (real)40 / 255);
    assert_true(x[6 * LANES + 5] == ((real)120 / 255 - 0.5f) / 0.25f);
    assert_true(x[6 * LANES + 6] == 0);
    lanes_put(d, &table, lane, 6, true, x);
    assert_true(x[(2 * 3 + 1) * LANES + 5] == ((real)120 / 255 - 0.5f) / 0.25f);
    dataset_free(d);
    dataset_free(NULL);
}

static void test_inspect(void **state)
{
    json_t *o;

    (void)state;
    write_idx(idx_images(30), idx_labels(30));
    assert_int_equal(inspect_dataset(path, NULL, &o, &error), 0);
    char *text = json_dumps(o, JSON_COMPACT);
    assert_string_equal(text,
                        "{\"format\":\"idx\",\"shape\":[1,4,3],\"classes\":10,\"train\":0,\"test\":30}");
    free(text);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_in_every_wrapping),
        cmocka_unit_test(test_idx_folders_are_the_split),
        cmocka_unit_test(test_idx_test_only),
        cmocka_unit_test(test_idx_many_classes),
        cmocka_unit_test(test_cifar),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_inspect),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
