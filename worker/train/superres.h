/* superres.h - what the parts of the super-resolution task share.
 *
 *      image ─► cropped to a multiple of scale = truth ─► shrunk = small ─► enlarged again
 *
 * A network whose output is as large as its input is fed the enlarged picture, one whose output is scale
 * times larger the small one. Networks of one channel see Y, of three R, G, B; pixels are 0..1. */
#ifndef WORKER_TRAIN_SUPERRES_H
#define WORKER_TRAIN_SUPERRES_H

#include "worker/data/imageset.h"
#include "worker/train/task.h"

struct superres {
    struct task_job job;
    int scale;
    bool rgb, enlarged;                          /* what the network is fed; known after fit */
    struct imageset *set;                        /* owned */
    struct imageset_split train, test, held_out; /* items and pixels are the set's, the lists owned */
    struct feed *feed;                           /* owned: NULL in a job that does not train */
};

/* superres_feed.c: square patches of the training images, `size` pixels of the truth a side, `count` an
 * epoch. turn: mirror and rotate at random. */
struct superres_patches {
    const struct imageset_split *set;
    int size, scale, channels;
    bool enlarged, turn;
    int64_t count; /* 0: as many as cover the area of the images once */
    uint64_t seed;
    int threads; /* of the pool that will fill */
};
int superres_feed(const struct superres_patches *p, struct feed **feed, struct err *e);

/* superres_score.c */
int superres_score(void *data, const struct task_subject *s, bool detail, struct task_score *score,
                   struct err *e);
int superres_score_bytes(void *data, struct graph *g, bool has_net, size_t *bytes, struct err *e);

#endif
