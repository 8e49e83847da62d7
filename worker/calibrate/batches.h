/* batches.h - the training samples that are looked at: always the same. */
#ifndef WORKER_CALIBRATE_BATCHES_H
#define WORKER_CALIBRATE_BATCHES_H

#include "worker/graph/net.h"
#include "worker/train/feed.h"

struct batches {
    struct feed *feed;
    struct pool *pool;
    const struct target *target; /* room for a batch's answers; nobody looks at them */
    int size, count;             /* samples of a batch; batches at most */
    bool training; /* as in training: samples are augmented, normalizations take the batch's statistics */
};

/* Bytes of an activation of that shape, in whole blocks. */
size_t batch_bytes(const struct shape *s, int size);

/* Each batch goes forward through the net, made for that size; then look(arg, index, samples). */
void batches_run(const struct batches *b, struct net *net, void (*look)(void *arg, int index, int samples),
                 void *arg);

#endif
