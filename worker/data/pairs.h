/* pairs.h - what formats have in common that keep images in one file and labels in another: which files there
 * were, and whether they belong together. */
#ifndef WORKER_DATA_PAIRS_H
#define WORKER_DATA_PAIRS_H

#include "worker/data/draft.h"
#include "worker/data/source.h"

struct pairs {
    const char *labels_like, *images_like; /* names of such files, for errors */
    struct pair {
        int64_t images, labels; /* counts; 0: no such file yet */
        int channels, height, width;
        char image_member[MEMBER_SHOWN], label_member[MEMBER_SHOWN];
        size_t shape_offset, count_offset; /* in these files: where their headers speak of sizes and counts */
        size_t label_offset, label_size;   /* the first label, bytes of each */
    } split[SPLITS];
};

extern const char *const split_text[SPLITS]; /* "training", "test" */

/* A file has come: remember its name. ERR_INVALID when it is the second of its kind. */
int pairs_claim(struct pairs *p, int split, bool images, const struct source *in, struct err *e);

/* All files seen: each has its other half, both splits have one shape, labels are sound. Sets sizes and
 * classes. */
int pairs_finish(const struct pairs *p, struct draft *d, struct err *e);

#endif
