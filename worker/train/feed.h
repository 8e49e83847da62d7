/* feed.h - samples in the order of an epoch, laid out in lanes, with what the network should answer. What
 * they are is the task's affair. Order and augmentation are functions of (seed, epoch, index), so that a
 * resumed run sees the same batches. */
#ifndef WORKER_TRAIN_FEED_H
#define WORKER_TRAIN_FEED_H

#include "worker/graph/pool.h"
#include "worker/real.h"

#include <stdbool.h>
#include <stdint.h>

/* Answers of one batch: classes, or values like the outputs. The other pointer is NULL. */
struct target {
    int32_t *label; /* [blocks * LANES] */
    real *value;    /* [blocks][features of the output][LANES] */
};

struct feed;

struct feed_type {
    void (*shuffle)(struct feed *f, uint64_t epoch); /* the order of this epoch */
    /* Samples [start, start + samples) of the order into x [blocks][features][LANES] and *t; lanes beyond
     * are zeroed in x. The parts of a batch may be made by any thread of the pool that the feed was made for.
     */
    void (*fill)(struct feed *f, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 const struct target *t);
    /* These samples will be asked for next: begin what can go on by itself meanwhile. NULL: nothing can. */
    void (*ahead)(struct feed *f, int64_t start, int samples);
    void (*free)(struct feed *f);
};

struct feed {
    const struct feed_type *type;
    int64_t count; /* samples of an epoch */
    uint64_t seed;
    uint64_t epoch;
    bool augment; /* change samples as the job wishes; off while ranges are measured */
};

#endif
