/* Checksums on the way in, bare data that looks like a tar, and pixels that do not fit in memory. */
#include "base/mem.h"
#include "tests/unit/data_files.h"
#include "worker/data/gunzip.h"
#include "worker/data/store.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <zlib.h>

/* `b` as a gzip file with a name. */
static void gzip(struct bytes *b, const char *name)
{
    struct bytes out = { .length = 0 };
    gz_header header = { .name = (Bytef *)name };
    z_stream z = {
        .next_in = b->data, .avail_in = (uInt)b->length, .next_out = out.data, .avail_out = sizeof out.data
    };

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (name != NULL)
        deflateSetHeader(&z, &header);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.length = z.total_out;
    deflateEnd(&z);
    *b = out;
}

static void damage(struct bytes *b, size_t from_end)
{
    b->data[b->length - from_end] ^= 0x40;
}

static void expect(int code, const char *place, const char *word)
{
    struct dataset *d;
    int r = dataset_load(path, NULL, LIMIT, &d, &error);

    if (r != code || strncmp(error.place, place, strlen(place)) != 0 || strstr(error.text, word) == NULL)
        fail_msg("got %s '%s' at '%s'", err_name(r), error.text, error.place);
}

static void test_gzip_members_are_checked(void **state)
{
    (void)state;
    for (size_t from_end = 1; from_end <= 8; from_end++) { /* length, then CRC */
        struct bytes x = idx_images(20), y = idx_labels(20);
        gzip(&x, NULL);
        gzip(&y, NULL);
        damage(&y, from_end);
        write_idx(x, y);
        expect(ERR_CORRUPT, "t10k-labels-idx1-ubyte offset ",
               from_end > 4 ? "incorrect data check" : "incorrect length check");
    }
}

static void test_gzip_around_is_checked(void **state)
{
    static struct bytes tar;
    char *data;

    (void)state;
    write_idx(idx_images(20), idx_labels(20));
    assert_int_equal(file_load(path, sizeof tar.data, &data, &tar.length, &error), 0);
    memcpy(tar.data, data, tar.length);
    free(data);
    gzip(&tar, NULL);
    write_raw(tar.data, tar.length);
    struct dataset *d;
    assert_int_equal(dataset_load(path, NULL, LIMIT, &d, &error), 0);
    dataset_free(d);
    damage(&tar, 6);
    write_raw(tar.data, tar.length);
    expect(ERR_CORRUPT, "", "incorrect data check");
}

/* The other checksums are libarchive's business; it does see to them. */
static void test_other_checksums(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_XZ };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bytes x = idx_images(20), y = idx_labels(20);
        compress_bytes(&y, filters[i]);
        damage(&y, i == 0 ? 4 : 34); /* the whole file's CRC; the block's */
        write_idx(x, y);
        expect(ERR_CORRUPT, "t10k-labels-idx1-ubyte offset ", "");
    }
    struct archive *a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);
    archive_write_zip_set_compression_store(a);
    struct bytes x = idx_images(20), zip;
    archive_idx(a, "t10k-images", x, "t10k-labels", idx_labels(20));
    archive_end(a);
    char *data;
    assert_int_equal(file_load(path, sizeof zip.data, &data, &zip.length, &error), 0);
    uint8_t *pixels = memmem(data, zip.length, x.data, x.length);
    assert_non_null(pixels);
    pixels[100] ^= 1;
    write_raw(data, zip.length);
    free(data);
    expect(ERR_CORRUPT, "t10k-images offset ", "CRC");
}

static void test_gzip_joined_and_padded(void **state)
{
    struct bytes both = cifar_records(1), second = cifar_records(2);
    struct dataset *d;

    (void)state;
    gzip(&both, "test_batch.bin");
    gzip(&second, "other");
    memcpy(both.data + both.length, second.data, second.length);
    both.length += second.length;
    memset(both.data + both.length, 0, 700);
    write_raw(both.data, both.length + 700);
    assert_int_equal(dataset_load(path, NULL, LIMIT, &d, &error), 0); /* by the name that gzip kept */
    assert_int_equal(d->split[SPLIT_TEST].count, 3);
    dataset_free(d);
    both.data[both.length + 3] = 'x';
    write_raw(both.data, both.length + 700);
    expect(ERR_CORRUPT, "test_batch.bin offset ", "no gzip data");
}

/* Label 0 and a black image come first: the first 512 bytes are zeros, as at the end of a tar. */
static void test_zeros_are_no_tar(void **state)
{
    for (int zipped = 0; zipped < 2; zipped++) {
        struct bytes b = cifar_records(4);
        struct dataset *d;

        (void)state;
        memset(b.data, 0, 3073);
        if (zipped)
            gzip(&b, "data_batch_1.bin");
        write_raw(b.data, b.length);
        assert_int_equal(dataset_load(path, "cifar", LIMIT, &d, &error), 0);
        assert_int_equal(d->split[zipped ? SPLIT_TRAIN : SPLIT_TEST].count, 4);
        dataset_free(d);
    }
}

static int files_in_dir(void)
{
    DIR *list = opendir(dir);
    int count = 0;

    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(list);
    return count;
}

/* The same bytes wherever they are kept, and no file is left. */
static void test_spill(void **state)
{
    static const size_t memory[] = { 0, 1, 100000, 3000000, 5000000 };
    struct budget budget = { 0 };
    struct store s[2];

    (void)state;
    for (size_t m = 0; m < sizeof memory / sizeof *memory; m++) {
        budget = (struct budget){ .room = { .limit = 8000000, .memory = memory[m], .spill_dir = dir } };
        uint8_t *data[2], piece[3001];
        size_t mapped[2];
        int before = files_in_dir();
        store_init(&s[0], &budget);
        store_init(&s[1], &budget);
        for (int i = 0; i < 1000; i++) {
            memset(piece, i, sizeof piece);
            assert_int_equal(store_append(&s[i % 2], piece, sizeof piece, &error), 0);
        }
        assert_true(budget.in_memory <= memory[m]);
        assert_int_equal(files_in_dir(), before);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(store_take(&s[k], &data[k], &mapped[k], &error), 0);
            for (size_t i = 0; i < 500 * sizeof piece; i++)
                if (data[k][i] != (uint8_t)(2 * (i / sizeof piece) + k))
                    fail_msg("byte %zu is %d", i, data[k][i]);
            store_release(data[k], mapped[k]);
        }
        assert_int_equal(mapped[0] > 0, memory[m] < 3000000);
        assert_int_equal(store_append(&s[0], piece, 5000000, &error), ERR_TOO_LARGE);
        store_free(&s[0]);
    }
}

static void test_spill_has_no_room(void **state)
{
    struct budget budget = { .room = { .limit = 1 << 24, .memory = 10, .spill_dir = "/nonexistent" } };
    const struct rlimit small = { 1 << 20, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
    static uint8_t zeros[3 << 20];
    struct store s;

    (void)state;
    store_init(&s, &budget);
    assert_int_equal(store_append(&s, zeros, 100, &error), ERR_NOT_FOUND);
    store_free(&s);
    budget.room.spill_dir = dir;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = store_append(&s, zeros, sizeof zeros, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(r, ERR_IO);
    assert_non_null(strstr(error.text, "no room for the pixels"));
    store_free(&s);
}

static void test_dataset_that_spills(void **state)
{
    static const struct room rooms[] = { { .limit = LIMIT, .memory = 100, .spill_dir = dir },
                                         { .limit = LIMIT, .memory = 1 << 20, .spill_dir = dir },
                                         { .limit = LIMIT, .sizes_only = true } };

    (void)state;
    write_idx(idx_images(200), idx_labels(200));
    for (int i = 0; i < 3; i++) {
        struct dataset *d;
        assert_int_equal(dataset_read(path, NULL, &rooms[i], &d, &error), 0);
        const struct split *s = &d->split[SPLIT_TEST];
        assert_int_equal(s->count, 200);
        assert_int_equal(s->mapped, i == 0 ? 2400 : 0);
        if (i == 2)
            assert_null(s->pixel);
        else
            assert_int_equal(s->pixel[199 * 12 + 11], 210);
        dataset_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip_members_are_checked), cmocka_unit_test(test_gzip_around_is_checked),
        cmocka_unit_test(test_other_checksums),          cmocka_unit_test(test_gzip_joined_and_padded),
        cmocka_unit_test(test_zeros_are_no_tar),         cmocka_unit_test(test_spill),
        cmocka_unit_test(test_spill_has_no_room),        cmocka_unit_test(test_dataset_that_spills),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
