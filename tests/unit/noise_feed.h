/* noise_feed.h - samples of uniform noise, the same for the same place in an epoch. */
#ifndef TESTS_UNIT_NOISE_FEED_H
#define TESTS_UNIT_NOISE_FEED_H

#include "base/rng.h"
#include "worker/graph/graph.h"
#include "worker/train/feed.h"

struct noise {
    struct feed feed;
    size_t features;
    bool augmented; /* was it asked for samples that are changed? */
};

static inline void noise_shuffle(struct feed *f, uint64_t epoch)
{
    f->epoch = epoch;
}

static inline void noise_fill(struct feed *f, struct pool *p, int64_t start, int samples, int blocks, real *x,
                              const struct target *t)
{
    struct noise *n = (struct noise *)f;
    struct rng r = rng_at(1, 2, (uint64_t)start << 32);
    (void)p;
    (void)t;

    n->augmented |= f->augment;
    for (size_t i = 0; i < n->features * (size_t)blocks * LANES; i++) {
        const size_t sample = i / LANES / n->features * LANES + i % LANES;
        const real v = (real)rng_uniform(&r);
        x[i] = sample < (size_t)samples ? v : 0;
    }
}

static const struct feed_type noise_type = { .shuffle = noise_shuffle, .fill = noise_fill };

static inline struct noise noise_for(const struct graph *g, int64_t count)
{
    return (struct noise){ .feed = { .type = &noise_type, .count = count },
                           .features = (size_t)shape_count(&g->value[g->input].shape) };
}

#endif
