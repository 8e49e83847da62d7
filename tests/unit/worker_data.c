/* Data sets out of archives: what is read, and that each bad input is refused with its code and place. */
#include "worker/data/dataset.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "worker/inspect_dataset.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT ((size_t)64 << 20)

enum { TAR, ZIP, RAW };

static char dir[] = "/tmp/quantd-data-XXXXXX", path[100];
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

/* --- making archives
 * ---------------------------------------------------------------------------------------- */

static struct archive *archive_begin(int format, int filter)
{
    struct archive *a = archive_write_new();

    if (format == TAR)
        archive_write_set_format_pax_restricted(a);
    else if (format == ZIP)
        archive_write_set_format_zip(a);
    else
        archive_write_set_format_raw(a);
    assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void archive_add(struct archive *a, const char *name, unsigned type, const void *data, size_t length)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    if (type == AE_IFREG)
        archive_entry_set_size(entry, (int64_t)length);
    else if (type == AE_IFLNK)
        archive_entry_set_symlink(entry, "/etc/passwd");
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    if (length > 0)
        assert_int_equal(archive_write_data(a, data, length), length);
    archive_entry_free(entry);
}

static void archive_end(struct archive *a)
{
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

struct bytes {
    uint8_t data[1 << 16];
    size_t length;
};

static void put_u32(struct bytes *b, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        b->data[b->length++] = (uint8_t)(v >> shift);
}

/* n images of 4x3 pixels: pixel j of image i is i + j; labels i % 10. */
static struct bytes idx_images(uint32_t n)
{
    struct bytes b = { .length = 0 };

    put_u32(&b, 2051);
    put_u32(&b, n);
    put_u32(&b, 4);
    put_u32(&b, 3);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < 12; j++)
            b.data[b.length++] = (uint8_t)(i + j);
    return b;
}

static struct bytes idx_labels(uint32_t n)
{
    struct bytes b = { .length = 0 };

    put_u32(&b, 2049);
    put_u32(&b, n);
    for (uint32_t i = 0; i < n; i++)
        b.data[b.length++] = (uint8_t)(i % 10);
    return b;
}

static void archive_idx(struct archive *a, const char *images, struct bytes x, const char *labels,
                        struct bytes y)
{
    archive_add(a, images, AE_IFREG, x.data, x.length);
    archive_add(a, labels, AE_IFREG, y.data, y.length);
}

/* A tar with these test images and labels, as they are. */
static void write_idx(struct bytes x, struct bytes y)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    archive_idx(a, "t10k-images-idx3-ubyte", x, "t10k-labels-idx1-ubyte", y);
    archive_end(a);
}

static void write_raw(const void *data, size_t length)
{
    assert_int_equal(file_publish(path, data, length, 0600, &error), 0);
}

/* `b` compressed by libarchive, into b. */
static void compress(struct bytes *b, int filter)
{
    struct archive *a = archive_begin(RAW, filter);
    char *data;

    archive_add(a, "data", AE_IFREG, b->data, b->length);
    archive_end(a);
    assert_int_equal(file_load(path, sizeof b->data, &data, &b->length, &error), 0);
    memcpy(b->data, data, b->length);
    free(data);
}

static struct dataset *load(const char *format)
{
    struct dataset *d;

    if (dataset_load(path, format, LIMIT, &d, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    return d;
}

/* The error, its place when given, and a word of its text. */
static void refused(const char *format, int code, const char *place, const char *word)
{
    struct dataset *d;

    memset(&error, 0, sizeof error);
    int r = dataset_load(path, format, LIMIT, &d, &error);
    if (r != code || strcmp(error.place, place) != 0 || strstr(error.text, word) == NULL)
        fail_msg("got %s '%s' at '%s'", err_name(r), error.text, error.place);
    assert_null(d);
    assert_int_equal(error.code, code);
}

/* --- what is read
 * --------------------------------------------------------------------------------------------- */

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
                    compress(&x, filters[inner]);
                    compress(&y, filters[inner]);
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

static struct bytes cifar_records(int n)
{
    struct bytes b = { .length = 0 };

    for (int i = 0; i < n; i++) {
        b.data[b.length++] = (uint8_t)(i % 10);
        for (int j = 0; j < 3072; j++)
            b.data[b.length++] = (uint8_t)(i + j / 1024 + 1); /* a block of zeros would be the end of a tar */
    }
    return b;
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
    real x[3 * 4 * LANES] = { 0 };

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
    dataset_put(d, 0, 0, false, x, 5);
    assert_true(x[2 * LANES + 5] == (real)40 / 255);
    assert_true(x[6 * LANES + 5] == ((real)120 / 255 - 0.5f) / 0.25f);
    assert_true(x[6 * LANES + 4] == 0);
    dataset_put(d, 0, 0, true, x, 7);
    assert_true(x[(2 * 3 + 1) * LANES + 7] == ((real)120 / 255 - 0.5f) / 0.25f);
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

/* --- what is refused
 * -------------------------------------------------------------------------------------------- */

static void test_counts_that_lie(void **state)
{
    struct bytes x = idx_images(20), y = idx_labels(20);

    (void)state;
    x.data[7]++;
    write_idx(x, y);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 4", "claims 21 images");
    y.data[7]--;
    write_idx(idx_images(20), y);
    refused(NULL, ERR_CORRUPT, "t10k-labels-idx1-ubyte offset 4", "claims 19 labels");
    write_idx(idx_images(20), idx_labels(19));
    refused(NULL, ERR_CORRUPT, "t10k-labels-idx1-ubyte offset 4", "20 test images, but 19 labels");

    /* 2^31 bytes and overflowing products in a small header */
    x = idx_images(7);
    memcpy(x.data + 4, "\0\0\x80\0\0\0\x01\0\0\0\x01\0", 12);
    write_idx(x, y);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 4", "2147483648 bytes");
    memcpy(x.data + 4, "\xff\xff\xff\xff\0\0\x10\0\0\0\x10\0", 12);
    write_idx(x, y);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 4", "claims 4294967295 images");
    memcpy(x.data + 4, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    write_idx(x, y);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 8", "4294967295x4294967295");
    x.length = 9;
    write_idx(x, y);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 9", "inside the header");
}

static void test_label_out_of_range(void **state)
{
    struct bytes y = idx_labels(20);

    (void)state;
    y.data[8 + 13] = 200;
    write_idx(idx_images(20), y);
    refused(NULL, ERR_INVALID, "t10k-labels-idx1-ubyte offset 21", "label 200");
}

static void test_missing_and_double_files(void **state)
{
    struct bytes x = idx_images(20), y = idx_labels(20);
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    (void)state;
    archive_add(a, "train-images-idx3-ubyte", AE_IFREG, x.data, x.length);
    archive_end(a);
    refused(NULL, ERR_INVALID, "train-images-idx3-ubyte", "training labels are missing");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_add(a, "train-labels-idx1-ubyte", AE_IFREG, y.data, y.length);
    archive_end(a);
    refused(NULL, ERR_INVALID, "train-labels-idx1-ubyte", "training images are missing");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_add(a, "train-images-idx3-ubyte", AE_IFREG, x.data, x.length);
    archive_add(a, "train-images-again", AE_IFREG, x.data, x.length);
    archive_end(a);
    refused(NULL, ERR_INVALID, "train-images-again offset 0", "two files");
}

static void test_wrong_magic(void **state)
{
    struct bytes x = idx_images(20), c = cifar_records(3);

    (void)state;
    x.data[3] = 0x33;
    write_idx(x, idx_labels(20));
    refused("idx", ERR_UNSUPPORTED, "t10k-images-idx3-ubyte offset 0", "magic 2099");
    memcpy(x.data, "\x89PNG", 4);
    write_idx(x, idx_labels(20));
    refused("idx", ERR_CORRUPT, "t10k-images-idx3-ubyte offset 0", "looks like a PNG image");
    write_raw(c.data, c.length);
    refused("idx", ERR_CORRUPT, "dataset offset 0", "not an IDX file");
    x = idx_images(20);
    write_raw(x.data, x.length);
    refused("cifar", ERR_CORRUPT, "dataset offset 0", "looks like an IDX file of images");
    write_idx(idx_images(20), idx_labels(20));
    refused("cifar", ERR_INVALID, "",
            "no file in format cifar: 't10k-images-idx3-ubyte' looks like an IDX file");
    refused("npz?", ERR_UNSUPPORTED, "", "no data format");
}

static void test_cifar_damage(void **state)
{
    struct bytes b = cifar_records(3);

    (void)state;
    write_raw(b.data, b.length - 1);
    refused("cifar", ERR_CORRUPT, "dataset offset 6146", "2 records");
    b.data[2 * 3073] = 10;
    write_raw(b.data, b.length);
    refused("cifar", ERR_INVALID, "dataset offset 6146", "label 10");
    write_raw(b.data, 3074);
    refused("cifar", ERR_UNSUPPORTED, "dataset offset 3073", "CIFAR-100");
}

static void test_truncated_inside_and_outside(void **state)
{
    struct bytes x = idx_images(2000), gz = x;
    struct archive *a;
    char *data;
    size_t length;

    (void)state;
    for (size_t i = 16; i < gz.length; i++)
        gz.data[i] = (uint8_t)(i * i * 2654435761u >> 13);
    compress(&gz, ARCHIVE_FILTER_GZIP);
    gz.length = gz.length * 2 / 3;
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_add(a, "train-images-idx3-ubyte.gz", AE_IFREG, gz.data, gz.length);
    archive_end(a);
    struct dataset *d;
    assert_int_equal(dataset_load(path, NULL, LIMIT, &d, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "truncated"));
    assert_memory_equal(error.place, "train-images-idx3-ubyte.gz offset ", 34);

    write_idx(x, idx_labels(20));
    assert_int_equal(file_load(path, 1 << 20, &data, &length, &error), 0);
    write_raw(data, 5000);
    free(data);
    refused(NULL, ERR_CORRUPT, "t10k-images-idx3-ubyte offset 0", "runcated");
}

static void test_names_that_lead_out(void **state)
{
    static const struct {
        const char *name, *word;
    } bad[] = {
        { "../t10k-images-idx3-ubyte", "leads out" },
        { "a/../../x", "leads out" },
        { "a/..", "leads out" },
        { "..\\x", "leads out" },
        { "/etc/passwd", "absolute" },
        { "\\x", "absolute" },
        { "a\nb", "control" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
        archive_add(a, bad[i].name, AE_IFREG, "x", 1);
        archive_end(a);
        refused(NULL, ERR_INVALID, "", bad[i].word);
    }
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_add(a, "..fine/x..", AE_IFREG, "x", 1);
    archive_end(a);
    refused(NULL, ERR_INVALID, "", "no file in a known format: '..fine/x..'");
}

static void test_links_and_devices(void **state)
{
    static const unsigned types[] = { AE_IFLNK, AE_IFCHR, AE_IFIFO };

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
        archive_add(a, "train-images-idx3-ubyte", types[i], NULL, 0);
        archive_end(a);
        refused(NULL, ERR_INVALID, "",
                types[i] == AE_IFLNK ? "'train-images-idx3-ubyte' in the archive is a link"
                                     : "is not a regular file");
    }
}

static void test_empty_and_unknown(void **state)
{
    static char zeros[10240];
    struct archive *a;

    (void)state;
    write_raw("", 0);
    refused(NULL, ERR_INVALID, "", "empty");
    a = archive_begin(TAR, ARCHIVE_FILTER_NONE);
    archive_end(a);
    refused(NULL, ERR_INVALID, "", "no files");
    a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);
    archive_end(a);
    refused("idx", ERR_INVALID, "", "no files");
    write_raw(zeros, sizeof zeros);
    refused(NULL, ERR_INVALID, "", "no files");
    write_raw("<html>", 6);
    refused(NULL, ERR_INVALID, "", "looks like HTML");
    struct dataset *d;
    assert_int_equal(dataset_load("/nonexistent", NULL, LIMIT, &d, &error), ERR_NOT_FOUND);
    assert_int_equal(dataset_load(dir, NULL, LIMIT, &d, &error), ERR_INVALID);
}

/* 48 MB of the same, in the file itself, in a member, in a member that nobody wants: over the limit of 8 MB.
 */
static void test_bombs(void **state)
{
    static char same[1 << 20];
    static const int filters[] = { ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_XZ,
                                   ARCHIVE_FILTER_ZSTD };
    struct dataset *d;

    (void)state;
    memset(same, 'x', sizeof same);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        for (int format = TAR; format <= RAW; format++) {
            if (format == ZIP)
                continue;
            struct archive *a = archive_begin(format, filters[i]);
            struct archive_entry *entry = archive_entry_new();
            archive_entry_set_pathname(entry, i % 2 ? "README" : "train-images-idx3-ubyte");
            archive_entry_set_filetype(entry, AE_IFREG);
            archive_entry_set_size(entry, 48 << 20);
            assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
            for (int k = 0; k < 48; k++)
                assert_int_equal(archive_write_data(a, same, sizeof same), sizeof same);
            archive_entry_free(entry);
            archive_end(a);
            assert_int_equal(dataset_load(path, NULL, 8 << 20, &d, &error), ERR_TOO_LARGE);
            assert_non_null(strstr(error.text, "limit"));
            assert_int_equal(dataset_load(path, NULL, (size_t)1 << 40, &d, &error), ERR_TOO_LARGE);
            assert_non_null(strstr(error.text, "expand"));
        }
}

/* A tar header that claims 2 GiB in a file of 612 bytes allocates what is there. */
static void test_tar_header_that_claims(void **state)
{
    static char tar[612];
    unsigned sum = 0;

    (void)state;
    strcpy(tar, "train-images-idx3-ubyte");
    strcpy(tar + 100, "0000644");
    strcpy(tar + 124, "20000000000");
    strcpy(tar + 257, "ustar");
    memcpy(tar + 263, "00", 2);
    tar[156] = '0';
    memset(tar + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)tar[i];
    snprintf(tar + 148, 8, "%06o", sum);
    memcpy(tar + 512, "\0\0\x08\x03\x80\0\0\0", 8);
    write_raw(tar, sizeof tar);
    refused(NULL, ERR_CORRUPT, "train-images-idx3-ubyte offset 0", "runcated");
}

/* Each allocation of ours fails once: an error, no leak. */
static void test_out_of_memory(void **state)
{
    struct dataset *d;
    int r = ERR_NOMEM;

    (void)state;
    write_idx(idx_images(20), idx_labels(20));
    for (int n = 0; r != 0; n++) {
        assert_true(n < 100);
        mem_fail_after(n);
        r = dataset_load(path, NULL, LIMIT, &d, &error);
        assert_true(r == 0 || r == ERR_NOMEM);
    }
    mem_fail_after(-1);
    dataset_free(d);
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
        cmocka_unit_test(test_counts_that_lie),
        cmocka_unit_test(test_label_out_of_range),
        cmocka_unit_test(test_missing_and_double_files),
        cmocka_unit_test(test_wrong_magic),
        cmocka_unit_test(test_cifar_damage),
        cmocka_unit_test(test_truncated_inside_and_outside),
        cmocka_unit_test(test_names_that_lead_out),
        cmocka_unit_test(test_links_and_devices),
        cmocka_unit_test(test_empty_and_unknown),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_tar_header_that_claims),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
