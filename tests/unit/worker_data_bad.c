/* Data sets that are refused: each with its code, its place and words that help. */
#include "base/mem.h"
#include "tests/unit/data_files.h"

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
    compress_bytes(&gz, ARCHIVE_FILTER_GZIP);
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
    refused(NULL, ERR_INVALID, "", "looks like an empty tar archive");
    a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);
    archive_end(a);
    refused("idx", ERR_INVALID, "", "no files");
    write_raw(zeros, sizeof zeros);
    refused(NULL, ERR_INVALID, "", "looks like an empty tar archive, or other zeros");
    write_raw("<html>", 6);
    refused(NULL, ERR_INVALID, "", "looks like HTML");
    struct dataset *d;
    assert_int_equal(dataset_load("/nonexistent", NULL, LIMIT, &d, &error), ERR_NOT_FOUND);
    assert_int_equal(dataset_load(dir, NULL, LIMIT, &d, &error), ERR_INVALID);
}

/* 48 MB of the same: the file itself, a member, a member that nobody wants. The limit is 8 MB. */
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
            memcpy(same, "\0\0\x08\x03\x7f\xff\xff\xff\0\0\0\x1c\0\0\0\x1c", 16); /* many images of 28x28 */
            for (int k = 0; k < 48; k++) {
                assert_int_equal(archive_write_data(a, same, sizeof same), sizeof same);
                memset(same, 'x', 16);
            }
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
