/* loader.h - labelled images as a feed: order, augmentation, layout in lanes. */
#ifndef WORKER_TRAIN_LOADER_H
#define WORKER_TRAIN_LOADER_H

#include "worker/data/lanes.h"
#include "worker/train/feed.h"

/* A change to training samples; draws: how far apart the random numbers of two samples lie. */
struct augmentation {
    const char *name;
    uint64_t draws;
    void (*draw)(struct augment *a, const struct dataset *d, struct rng *r); /* NULL: none */
};

extern const struct augmentation *const augmentation_list[]; /* NULL-terminated; the first is "none" */
const struct augmentation *augmentation_find(const char *name);

struct loader {
    struct feed feed;
    const struct dataset *dataset;
    int split;
    uint32_t *index; /* owned: positions in the split that belong to this loader, in natural order */
    uint32_t *order; /* owned: the present epoch's permutation of them */
    bool nhwc;
    const struct augmentation *augmentation;
    struct lanes_table table;
};

enum loader_part {
    LOADER_TRAIN,    /* what training learns from */
    LOADER_TEST,     /* what it is judged by */
    LOADER_HELD_OUT, /* a tenth of LOADER_TRAIN, drawn by the seed: what choices are made by */
    LOADER_REST      /* the other nine tenths */
};

/* The part of a data set, which is normalised already. Without a test split of its own, a tenth of the
 * training samples, drawn by the seed, is the test part of training jobs, and everything is the test part
 * when training is false. */
int loader_new(const struct dataset *d, enum loader_part part, bool training, bool nhwc, uint64_t seed,
               struct loader **l, struct err *e);
void loader_free(struct loader *l);    /* NULL is fine */
void loader_natural(struct loader *l); /* natural order, no augmentation */

/* Which of `total` things are held out: a tenth, drawn by the seed, at least `least`. */
enum loader_draw { LOADER_DRAW_TEST, LOADER_DRAW_HELD_OUT };
int loader_hold_out(uint64_t seed, enum loader_draw draw, int64_t total, int64_t least, bool *held_out,
                    struct err *e);

#endif
