/* dataset.h - labelled images as bytes, split into train and test, in memory or in a mapped file.
 * lanes.h makes numbers of them.
 *
 * Formats are a const struct per file and one list (data/list.c). Archives (tar, zip; gz/bz2/xz/zst around or
 * inside) are read by libarchive in archive.c, one member at a time, as streams, with hard limits. */
#ifndef WORKER_DATA_DATASET_H
#define WORKER_DATA_DATASET_H

#include "base/err.h"
#include "worker/data/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPLIT_TRAIN, SPLIT_TEST, SPLITS };

struct split {
    int64_t count;
    uint8_t *pixel; /* owned: [count][C][H][W]; NULL after a load for sizes only */
    int32_t *label; /* owned: [count], 0..classes-1 */
    size_t mapped;  /* bytes of the mapping when pixel is a read-only map of a file; 0: ordinary memory */
};

struct dataset {
    char format[16];
    int channels, height, width, classes;
    float mean[4], stddev[4]; /* of pixel/255, per channel: what follows the division; 0 and 1 by default */
    char **class_name;        /* owned: [classes], owned each; NULL when classes are numbers only */
    struct split split[SPLITS];
};

struct draft;
struct source;

/* One reader of members of an archive: `member` is called for each regular file that fits, decompressed. */
struct dataset_format {
    const char *name, *title;
    /* How well a member's name and first bytes fit: 0 no .. 100 sure; below DATASET_SURE it is read when the
     * format is decided, but decides nothing when that is "auto". */
    int (*probe)(const char *member, const uint8_t *head, size_t length);
    int (*member)(struct draft *d, struct source *in, struct err *e); /* read one member */
    int (*finish)(struct draft *d, struct err *e);                    /* all members read: check, set sizes */
    void (*drop)(void *state); /* free draft->state, which may be NULL; NULL: free(3) will do */
};

#define DATASET_SURE 10

extern const struct dataset_format *const dataset_formats[]; /* NULL-terminated */

struct dataset *dataset_new(void); /* empty, mean 0 and deviation 1; NULL when out of memory */

/* Read a file: archive or bare member, plain or compressed. format NULL or "auto": guessed.
 * Either split may come out empty. No member name that is absolute or has ".." passes, though nothing is ever
 * written to disk under these names. Errors name member and offset: "train-images-idx3-ubyte.gz offset 4".
 *
 * room: what may be used. Beside room->memory bytes of pixels (twice that while they grow) and 4 bytes a
 * label, some hundred KiB are needed, and one whole image at a time in the formats that hold images as files.
 */
int dataset_read(const char *path, const char *format, const struct room *room, struct dataset **d,
                 struct err *e);

/* The same with everything in memory. limit: decompressed bytes, all members together. */
int dataset_load(const char *path, const char *format, size_t limit, struct dataset **d, struct err *e);

/* Drawn from a seed: "glyphs" (28x28x1, 10 digits). */
struct dataset_builtin {
    const char *name, *title;
    int channels, height, width, classes;
    int64_t train, test;
    int (*draw)(uint64_t seed, struct dataset **d, struct err *e);
};
extern const struct dataset_builtin *const dataset_builtins[];
int dataset_builtin(const char *name, uint64_t seed, struct dataset **d, struct err *e);

void dataset_free(struct dataset *d);

#endif
