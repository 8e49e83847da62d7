/* dataset.c - a data set that does not fit: GIGABYTES (default 2) of 3x32x32 images in an .npz, read with 64
 * MiB for the pixels and the rest in a file, under RLIMIT_DATA, so that more memory would not be had. Then
 * samples at random through the mapping. Needs twice the size free in TMPDIR. */
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "worker/data/lanes.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SIDE = 32, SAMPLE = 3 * SIDE * SIDE, BATCH = 1000, PUTS = 200000 };

#define MEMORY ((size_t)64 << 20)
#define SLACK  ((size_t)64 << 20) /* buffers, tables, labels, the C library's arenas */

static struct err error;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", what, error.text, error.place);
    exit(1);
}

static void begin_array(struct archive *a, const char *name, const char *shape, size_t bytes)
{
    char header[128];
    struct archive_entry *entry = archive_entry_new();

    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\0\x76\0", 10);
    int n = snprintf(header + 10, 117, "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
    header[10 + n] = ' ';
    header[127] = '\n';
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, (int64_t)(bytes + sizeof header));
    if (archive_write_header(a, entry) != ARCHIVE_OK || archive_write_data(a, header, sizeof header) < 0)
        die(archive_error_string(a));
    archive_entry_free(entry);
}

/* Image i is one block of bytes that begins with i, so that a sample can be recognised. */
static void make(const char *path, int64_t count)
{
    static uint8_t block[BATCH][SAMPLE], labels[BATCH];
    struct archive *a = archive_write_new();
    struct rng r = rng_at(1, 1, 0);
    char shape[60];

    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < SAMPLE; j += 4) {
            const uint32_t v = rng_u32(&r);
            memcpy(&block[i][j], &v, 4);
        }
    archive_write_set_format_zip(a);
    archive_write_zip_set_compression_store(a);
    if (archive_write_open_filename(a, path) != ARCHIVE_OK)
        die(archive_error_string(a));
    snprintf(shape, sizeof shape, "(%lld, 3, %d, %d)", (long long)count, SIDE, SIDE);
    begin_array(a, "x_train.npy", shape, (size_t)count * SAMPLE);
    for (int64_t i = 0; i < count; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            const uint32_t number = (uint32_t)(i + k);
            memcpy(block[k], &number, 4);
        }
        if (archive_write_data(a, block, sizeof block) < 0)
            die(archive_error_string(a));
    }
    snprintf(shape, sizeof shape, "(%lld,)", (long long)count);
    begin_array(a, "y_train.npy", shape, (size_t)count);
    for (int64_t i = 0; i < count; i += BATCH)
        if (archive_write_data(a, labels, sizeof labels) < 0)
            die(archive_error_string(a));
    archive_write_close(a);
    archive_write_free(a);
}

/* KiB of a line of /proc/self/status. */
static long status(const char *name)
{
    char line[200];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name) + 1, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kib;
}

static double seconds_since(int64_t start)
{
    return (double)(clock_mono_ns() - start) / 1e9;
}

static void read_back(const struct dataset *d)
{
    const struct split *s = &d->split[SPLIT_TRAIN];
    real *x = aligned_alloc(64, sizeof(real) * SAMPLE * LANES);
    struct rng r = rng_at(1, 2, 0);
    struct lanes_table table;
    struct lane lane[LANES] = { 0 };
    lanes_table(d, &table);
    const int64_t start = clock_mono_ns();

    for (int i = 0; i < PUTS; i++) {
        const uint32_t index = rng_below(&r, (uint32_t)s->count);
        if (memcmp(s->pixel + (size_t)index * SAMPLE, &index, sizeof index) != 0) {
            fprintf(stderr, "sample %u is not what was written\n", index);
            exit(1);
        }
        lane[i % LANES].pixel = s->pixel + (size_t)index * SAMPLE;
        if (i % LANES == LANES - 1)
            lanes_put(d, &table, lane, LANES, false, x);
    }
    printf("samples at random into lanes: %.0f a second\n", PUTS / seconds_since(start));
    free(x);
}

int main(int argc, char **argv)
{
    const double gigabytes = argc > 1 ? atof(argv[1]) : 2;
    const int64_t count = (int64_t)(gigabytes * 1e9 / SAMPLE / BATCH) * BATCH;
    const char *root = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char dir[3000], path[4000];
    struct dataset *d;

    snprintf(dir, sizeof dir, "%s/quantd-bench-XXXXXX", root);
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    snprintf(path, sizeof path, "%s/data.npz", dir);
    make(path, count);
    const size_t limit = ((size_t)status("VmData:") << 10) + MEMORY + SLACK;
    const struct rlimit data = { limit, limit };
    if (setrlimit(RLIMIT_DATA, &data) != 0)
        perror("RLIMIT_DATA");
    const struct room room = { .limit = (size_t)64 << 30, .memory = MEMORY, .spill_dir = dir };
    int64_t start = clock_mono_ns();
    int r = dataset_read(path, NULL, &room, &d, &error);
    if (r == 0) {
        printf("%lld images, %.2f GB: read in %.2f s, %.0f MB/s; anonymous memory %ld MiB, mapped file %s\n",
               (long long)count, (double)count * SAMPLE / 1e9, seconds_since(start),
               (double)count * SAMPLE / 1e6 / seconds_since(start), status("RssAnon:") >> 10,
               d->split[SPLIT_TRAIN].mapped > 0 ? "yes" : "no");
        read_back(d);
        dataset_free(d);
    }
    const struct room sizes = { .limit = room.limit, .sizes_only = true };
    start = clock_mono_ns();
    if (r == 0 && (r = dataset_read(path, NULL, &sizes, &d, &error)) == 0) {
        printf("sizes only: %.2f s\n", seconds_since(start));
        dataset_free(d);
    }
    const struct err first = error;
    file_remove_tree(dir, &error);
    error = first;
    if (r < 0)
        die("can't read it back");
    return 0;
}
