/* data_files.h - the tests of data sets: small IDX and CIFAR files, packed in archives at `path`. */
#ifndef TESTS_UNIT_DATA_FILES_H
#define TESTS_UNIT_DATA_FILES_H

#include "base/file.h"
#include "worker/data/dataset.h"

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

static inline int group_setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/dataset", dir);
    return 0;
}

static inline int group_teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, &error);
}

/* --- making archives --- */

static inline struct archive *archive_begin(int format, int filter)
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

static inline void archive_add(struct archive *a, const char *name, unsigned type, const void *data,
                               size_t length)
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

static inline void archive_end(struct archive *a)
{
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

struct bytes {
    uint8_t data[1 << 16];
    size_t length;
};

static inline void put_u32(struct bytes *b, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        b->data[b->length++] = (uint8_t)(v >> shift);
}

/* n images of 4x3 pixels: pixel j of image i is i + j; labels i % 10. */
static inline struct bytes idx_images(uint32_t n)
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

static inline struct bytes idx_labels(uint32_t n)
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
static inline void write_idx(struct bytes x, struct bytes y)
{
    struct archive *a = archive_begin(TAR, ARCHIVE_FILTER_NONE);

    archive_idx(a, "t10k-images-idx3-ubyte", x, "t10k-labels-idx1-ubyte", y);
    archive_end(a);
}

static inline void write_raw(const void *data, size_t length)
{
    assert_int_equal(file_publish(path, data, length, 0600, &error), 0);
}

/* `b` compressed by libarchive, into b. */
static inline void compress_bytes(struct bytes *b, int filter)
{
    struct archive *a = archive_begin(RAW, filter);
    char *data;

    archive_add(a, "data", AE_IFREG, b->data, b->length);
    archive_end(a);
    assert_int_equal(file_load(path, sizeof b->data, &data, &b->length, &error), 0);
    memcpy(b->data, data, b->length);
    free(data);
}

static inline struct bytes cifar_records(int n)
{
    struct bytes b = { .length = 0 };

    for (int i = 0; i < n; i++) {
        b.data[b.length++] = (uint8_t)(i % 10);
        for (int j = 0; j < 3072; j++)
            b.data[b.length++] = (uint8_t)(i + j / 1024 + 1); /* a block of zeros would be the end of a tar */
    }
    return b;
}

#endif
