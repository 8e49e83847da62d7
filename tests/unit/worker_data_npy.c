/* NumPy arrays as data sets: what is read, what is refused and why. */
#include "base/mem.h"
#include "tests/unit/data_files.h"

#include <math.h>

/* An array file: header text as NumPy writes it, then the elements. */
static struct bytes npy(const char *type, const char *shape, const void *data, size_t length)
{
    struct bytes b = { .length = 10 };
    char *header = (char *)b.data + 10;

    memcpy(b.data, "\x93NUMPY\x01\0", 8);
    int n = snprintf(header, 200, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    while ((10 + n + 1) % 64 != 0)
        header[n++] = ' ';
    header[n++] = '\n';
    b.data[8] = (uint8_t)n;
    b.length += (size_t)n;
    memcpy(b.data + b.length, data, length);
    b.length += length;
    return b;
}

static struct bytes counting(const char *type, const char *shape, size_t length)
{
    uint8_t data[4096];

    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)i;
    return npy(type, shape, data, length);
}

static struct bytes labels(int n)
{
    uint8_t data[64];
    char shape[20];

    for (int i = 0; i < n; i++)
        data[i] = (uint8_t)(i % 3);
    snprintf(shape, sizeof shape, "(%d,)", n);
    return npy("|u1", shape, data, (size_t)n);
}

static void write_npz(const char *x_name, struct bytes x, const char *y_name, struct bytes y)
{
    struct archive *a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);

    archive_idx(a, x_name, x, y_name, y);
    archive_end(a);
}

static struct dataset *load(void)
{
    struct dataset *d;

    if (dataset_load(path, NULL, LIMIT, &d, &error) != 0)
        fail_msg("%s (%s)", error.text, error.place);
    assert_string_equal(d->format, "npy");
    return d;
}

static void refused(int code, const char *place, const char *word)
{
    struct dataset *d;

    memset(&error, 0, sizeof error);
    int r = dataset_load(path, NULL, LIMIT, &d, &error);
    if (r != code || strcmp(error.place, place) != 0 || strstr(error.text, word) == NULL)
        fail_msg("got %s '%s' at '%s'", err_name(r), error.text, error.place);
    assert_null(d);
}

static void refused_images(struct bytes x, int code, const char *place, const char *word)
{
    write_npz("x.npy", x, "y.npy", labels(2));
    refused(code, place, word);
}

static void refused_labels(struct bytes y, int code, const char *place, const char *word)
{
    write_npz("x.npy", counting("|u1", "(2, 2, 2)", 8), "y.npy", y);
    refused(code, place, word);
}

static void test_layouts(void **state)
{
    static const struct {
        const char *shape;
        int channels, height, width;
        bool interleaved;
    } cases[] = {
        { "(2, 4, 5)", 1, 4, 5, false },    { "(2, 1, 4, 5)", 1, 4, 5, false },
        { "(2, 4, 5, 1)", 1, 4, 5, false }, { "(2, 3, 4, 5)", 3, 4, 5, false },
        { "(2, 4, 5, 3)", 3, 4, 5, true },  { "( 2L,3L,4L , 5L)", 3, 4, 5, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int sample = cases[i].channels * 20;
        write_npz("x_train.npy", counting("|u1", cases[i].shape, 2 * (size_t)sample), "y_train.npy",
                  labels(2));
        struct dataset *d = load();
        assert_int_equal(d->channels, cases[i].channels);
        assert_int_equal(d->height, cases[i].height);
        assert_int_equal(d->width, cases[i].width);
        assert_int_equal(d->split[SPLIT_TRAIN].count, 2);
        assert_int_equal(d->split[SPLIT_TEST].count, 0);
        const uint8_t *p = d->split[SPLIT_TRAIN].pixel;
        for (int c = 0; c < cases[i].channels; c++)
            for (int k = 0; k < 20; k++)
                assert_int_equal(p[sample + c * 20 + k],
                                 sample + (cases[i].interleaved ? 3 * k + c : 20 * c + k));
        dataset_free(d);
    }
}

static void test_names(void **state)
{
    static const char *const names[][2] = { { "x_train.npy", "y_train.npy" },
                                            { "train_images.npy", "train_labels.npy" },
                                            { "set/train/images.npy", "set/train/labels.npy" },
                                            { "X_train.npy", "targets-train.npy" } };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct archive *a = archive_begin(i % 2 ? TAR : ZIP, ARCHIVE_FILTER_NONE);
        archive_idx(a, names[i][0], counting("|u1", "(3, 4, 5)", 60), names[i][1], labels(3));
        archive_idx(a, "images.npy", counting("|u1", "(1, 4, 5)", 20), "labels.npy", labels(1));
        archive_idx(a, "val_images.npy", labels(1), "mean.npy", labels(1));
        archive_end(a);
        struct dataset *d = load();
        assert_int_equal(d->split[SPLIT_TRAIN].count, 3);
        assert_int_equal(d->split[SPLIT_TEST].count, 1);
        assert_int_equal(d->classes, 3);
        dataset_free(d);
    }
}

static void test_label_types(void **state)
{
    static const struct {
        const char *type;
        int size;
    } types[] = { { "|u1", 1 }, { "|i1", 1 }, { "<u2", 2 }, { "<i2", 2 },
                  { "<i4", 4 }, { "<u8", 8 }, { "<i8", 8 } };

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int column = 0; column < 2; column++) {
            uint8_t data[24] = { 0 };
            for (int k = 0; k < 3; k++)
                data[k * types[i].size] = (uint8_t)(2 - k);
            write_npz("x.npy", counting("|u1", "(3, 2, 2)", 12), "y.npy",
                      npy(types[i].type, column ? "(3, 1)" : "(3,)", data, 3 * (size_t)types[i].size));
            struct dataset *d = load();
            assert_int_equal(d->classes, 3);
            assert_int_equal(d->split[SPLIT_TEST].label[0], 2);
            assert_int_equal(d->split[SPLIT_TEST].label[2], 0);
            dataset_free(d);
        }
}

static void write_floats(const float *v, int n)
{
    char shape[30];

    snprintf(shape, sizeof shape, "(%d, 2, 2)", n);
    write_npz("x.npy", npy("<f4", shape, v, (size_t)n * 16), "y.npy", labels(n));
}

/* Bytes in disguise: k/255 as float and as double, and k. */
static void test_floats_that_are_bytes(void **state)
{
    float f[512];
    double g[512];

    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 256; i++) {
            f[i] = turn == 0 ? (float)i / 255 : turn == 1 ? (float)i * (1.0f / 255) : (float)i;
            g[i] = (double)i / 255;
        }
        if (turn < 3)
            write_floats(f, 64);
        else
            write_npz("x.npy", npy("<f8", "(64, 2, 2)", g, 2048), "y.npy", labels(64));
        struct dataset *d = load();
        for (int i = 0; i < 256; i++)
            assert_int_equal(d->split[SPLIT_TEST].pixel[i], i);
        dataset_free(d);
    }
}

static void test_floats_that_are_none(void **state)
{
    (void)state;
    write_floats((float[]){ 0, 1, 0.5f, 1 }, 1);
    refused(ERR_UNSUPPORTED, "x.npy offset 136", "0.5, which is no byte divided by 255");
    write_floats((float[]){ 0, 1, 7, -1 }, 1);
    refused(ERR_UNSUPPORTED, "x.npy offset 140", "-1, which is no byte");
    write_floats((float[]){ 0, (float)NAN, 7, 1 }, 1);
    refused(ERR_UNSUPPORTED, "x.npy offset 132", "nan");
    write_floats((float[]){ 0, 1, 1, 1, 3, 4, 5, 6 }, 2);
    refused(ERR_UNSUPPORTED, "x.npy offset 144", "only 0 and 1");
}

static void test_types_refused(void **state)
{
    struct bytes b = counting("|u1", "(2, 2, 2)", 8);

    (void)state;
    refused_images(counting("<i4", "(2, 2, 2)", 32), ERR_UNSUPPORTED, "x.npy offset 0",
                   "type <i4; images are uint8");
    refused_images(counting("<f2", "(2, 2, 2)", 16), ERR_UNSUPPORTED, "x.npy offset 0", "type <f2");
    refused_images(counting(">f4", "(2, 2, 2)", 32), ERR_UNSUPPORTED, "x.npy offset 0", "big-endian");
    refused_images(counting("|O", "(2, 2, 2)", 32), ERR_UNSUPPORTED, "x.npy offset 10", "Python objects");
    memcpy(strstr((char *)b.data + 10, "False"), "True ", 5);
    refused_images(b, ERR_UNSUPPORTED, "x.npy offset 0", "Fortran order");
    refused_images(counting("|u1", "(2, 4)", 8), ERR_UNSUPPORTED, "x.npy offset 0",
                   "shape (2, 4); images are");
    refused_images(counting("|u1", "(2, 4, 5, 2)", 80), ERR_UNSUPPORTED, "x.npy offset 0",
                   "shape (2, 4, 5, 2)");
    refused_images(counting("|u1", "(2, 3, 5, 3)", 90), ERR_UNSUPPORTED, "x.npy offset 0", "alone");
    refused_images(counting("|u1", "(0, 3, 5)", 0), ERR_INVALID, "x.npy offset 0", "nothing");
    refused_images(counting("|u1", "(1, 5000, 5)", 0), ERR_INVALID, "x.npy offset 0", "pixels a side");
    refused_images(counting("<f8", "(1, 4096, 4096, 3)", 0), ERR_INVALID, "x.npy offset 0", "64 MiB");
    refused_labels(counting("<f4", "(2,)", 8), ERR_UNSUPPORTED, "y.npy offset 0", "labels are integers");
    refused_labels(counting(">i8", "(2,)", 16), ERR_UNSUPPORTED, "y.npy offset 0", "big-endian");
    refused_labels(counting("|u1", "(2, 10)", 20), ERR_UNSUPPORTED, "y.npy offset 0", "argmax");
    refused_labels(npy("|i1", "(2,)", "\0\xff", 2), ERR_INVALID, "y.npy offset 129", "label -1");
    refused_labels(npy("<i4", "(2,)", "\0\0\0\0\0\0\1\0", 8), ERR_INVALID, "y.npy offset 132", "label 65536");
    refused_labels(npy("<u8", "(2,)", "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16), ERR_INVALID,
                   "y.npy offset 128", "label 18446744073709551615");
    refused_labels(npy("|u1", "(2,)", "\0\xc8", 2), ERR_INVALID, "y.npy offset 129",
                   "label 200 is out of range");
}

static void test_headers_that_lie(void **state)
{
    (void)state;
    refused_images(counting("|u1", "(3, 2, 2)", 8), ERR_CORRUPT, "x.npy offset 128", "but 8 bytes follow");
    refused_images(counting("|u1", "(3, 2, 2)", 11), ERR_CORRUPT, "x.npy offset 128", "but 11 bytes follow");
    refused_images(counting("|u1", "(1, 2, 2)", 8), ERR_CORRUPT, "x.npy offset 128", "but 8 bytes follow");
    refused_images(counting("|u1", "(9223372036854775807, 4, 4)", 8), ERR_CORRUPT, "x.npy offset 128",
                   "but 8");
    refused_images(counting("|u1", "(99223372036854775807, 4, 4)", 8), ERR_CORRUPT, "x.npy offset 79",
                   "size");
    refused_labels(counting("|u1", "(3,)", 2), ERR_CORRUPT, "y.npy offset 128", "claims 3 labels");
    refused_labels(counting("<u2", "(2,)", 3), ERR_CORRUPT, "y.npy offset 128", "but 3 bytes follow");
    refused_labels(counting("|u1", "(2,)", 3), ERR_CORRUPT, "y.npy offset 128", "but 3 bytes follow");
    refused_labels(labels(3), ERR_CORRUPT, "y.npy offset 0", "2 test images, but 3 labels");
}

static void damaged(const char *header, const char *word)
{
    struct bytes b = { .length = 10 };
    char place[30];

    memcpy(b.data, "\x93NUMPY\x01\0", 8);
    b.length += strlen(header);
    b.data[8] = (uint8_t)strlen(header);
    memcpy(b.data + 10, header, strlen(header));
    write_npz("x.npy", b, "y.npy", labels(2));
    struct dataset *d;
    assert_int_equal(dataset_load(path, NULL, LIMIT, &d, &error), ERR_CORRUPT);
    snprintf(place, sizeof place, "x.npy offset ");
    if (strstr(error.text, word) == NULL || strncmp(error.place, place, strlen(place)) != 0)
        fail_msg("'%s' at '%s'", error.text, error.place);
}

static void test_damaged_headers(void **state)
{
    struct bytes b = counting("|u1", "(2, 2, 2)", 8);

    (void)state;
    damaged("", "'{' was expected");
    damaged("{", "a key was expected");
    damaged("{'descr': '|u1'", "does not end");
    damaged("{'descr': '|u1'}", "missing");
    damaged("{'descr': '|u1', 'descr': '|u1'}", "twice");
    damaged("{'other': '|u1'}", "not known");
    damaged("{'descr': '|u'}", "type is not known");
    damaged("{'descr': 'u99999999999'}", "type is not known");
    damaged("{'descr': '|u1", "a type was expected");
    damaged("{'shape': (1, }", "a size was expected");
    damaged("{'shape': (1 2)}", "shape does not end");
    damaged("{'shape': (1,2,3,4,5,6,7,8,9)}", "too many dimensions");
    damaged("{'fortran_order': None}", "True or False");
    damaged("{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x", "follows");
    b.data[6] = 9;
    refused_images(b, ERR_CORRUPT, "x.npy offset 0", "version 1 to 3");
    b.data[6] = 2;
    refused_images(b, ERR_CORRUPT, "x.npy offset 8", "claims");
    b.length = 5;
    refused_images(b, ERR_CORRUPT, "x.npy offset 5", "inside the header");
    b = counting("|u1", "(2, 2, 2)", 8);
    b.length = 60;
    refused_images(b, ERR_CORRUPT, "x.npy offset 60", "inside the header");
}

static void test_halves_and_bare_arrays(void **state)
{
    struct bytes x = counting("|u1", "(2, 2, 2)", 8);
    struct archive *a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);

    (void)state;
    archive_add(a, "x_train.npy", AE_IFREG, x.data, x.length);
    archive_end(a);
    refused(ERR_INVALID, "x_train.npy", "training labels are missing: a file like y_train.npy");
    a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);
    archive_add(a, "arr_0.npy", AE_IFREG, x.data, x.length);
    archive_end(a);
    refused(ERR_INVALID, "", "'arr_0.npy' looks like a NumPy array");
    a = archive_begin(ZIP, ARCHIVE_FILTER_NONE);
    archive_idx(a, "x_train.npy", x, "y_train.npy", labels(2));
    archive_idx(a, "x_test.npy", counting("|u1", "(2, 2, 3)", 12), "y_test.npy", labels(2));
    archive_end(a);
    refused(ERR_INVALID, "x_test.npy offset 0", "training images have 2x2 pixels, test images 2x3");
    write_raw(x.data, x.length);
    struct dataset *d;
    assert_int_equal(dataset_load(path, "npy", LIMIT, &d, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "an array alone"));
}

static void test_out_of_memory(void **state)
{
    struct dataset *d;
    int r = ERR_NOMEM;

    (void)state;
    write_npz("x.npy", counting("|u1", "(2, 2, 2, 3)", 24), "y.npy", labels(2));
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
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_label_types),
        cmocka_unit_test(test_floats_that_are_bytes),
        cmocka_unit_test(test_floats_that_are_none),
        cmocka_unit_test(test_types_refused),
        cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_damaged_headers),
        cmocka_unit_test(test_halves_and_bare_arrays),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
