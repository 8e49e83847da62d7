/* loader.h - samples in the order of an epoch, augmented and laid out in lanes. The order is a function of
 * (seed, epoch), the augmentation of (seed, epoch, sample): a resumed run sees the same batches. */
#ifndef WORKER_TRAIN_LOADER_H
#define WORKER_TRAIN_LOADER_H

#include "worker/data/dataset.h"
#include "worker/graph/net.h"

enum augment { AUGMENT_NONE, AUGMENT_SHIFT };

extern const char *const augment_names[]; /* indexed by enum augment; NULL-terminated */

struct loader {
    const struct dataset *dataset;
    int split;
    uint32_t *index; /* owned: positions in the split that belong to this loader, in natural order */
    uint32_t *order; /* owned: the present epoch's permutation of them */
    int64_t count;
    bool nhwc;
    enum augment augment;
    uint64_t seed, epoch;
};

enum loader_part {
    LOADER_TRAIN, /* what training learns from */
    LOADER_TEST   /* what it is judged by */
};

/* The part of a data set. Without a test split of its own, a tenth of the training samples, drawn by the
 * seed, is the test part of training jobs, and everything is the test part when training is false. */
int loader_new(const struct dataset *d, enum loader_part part, bool training, bool nhwc, uint64_t seed,
               struct loader **l, struct err *e);
void loader_free(struct loader *l);
void loader_shuffle(struct loader *l, uint64_t epoch); /* AUGMENT and order for this epoch */
void loader_natural(struct loader *l);                 /* natural order, no augmentation */

/* Samples [start, start+samples) of the order into x [blocks][features][LANES], their labels into label;
 * lanes beyond are zeroed. */
void loader_fill(const struct loader *l, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 int32_t *label);

#endif
