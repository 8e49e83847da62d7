/* superres_feed.c - patches as training samples: which ones is a function of (seed, epoch, index). */
#include "base/mem.h"
#include "worker/data/patch.h"
#include "worker/train/stream.h"
#include "worker/train/superres.h"

#include <stdlib.h>

struct patch_feed {
    struct feed feed;
    struct patches patches;
    bool turn;
    size_t input, output;       /* features */
    struct patch_maker **maker; /* owned: one per thread */
    int makers;
};

static void free_feed(struct feed *feed)
{
    struct patch_feed *f = (struct patch_feed *)feed;

    for (int i = 0; i < f->makers; i++)
        patch_maker_free(f->maker[i]);
    free(f->maker);
    patches_free(&f->patches);
    free(f);
}

static void shuffle(struct feed *f, uint64_t epoch)
{
    f->epoch = epoch;
}

struct fill {
    const struct patch_feed *f;
    int64_t start;
    int samples;
    real *x, *value;
};

static void fill_lane(const struct patch_feed *f, int64_t index, struct patch_maker *m, real *x, real *value,
                      int lane)
{
    const struct rng r =
        rng_at(f->feed.seed, stream_of(STREAM_PATCH, f->feed.epoch), PATCH_DRAWS * (uint64_t)index);
    const struct patch at = patch_pick(&f->patches, f->turn && f->feed.augment, r);

    patch_make(m, &f->patches.set->item[at.image].image, &at, x, value, lane);
}

static void fill_blocks(void *arg, int lo, int hi, int thread)
{
    const struct fill *k = arg;
    const struct patch_feed *f = k->f;

    for (int b = lo; b < hi; b++) {
        real *x = k->x + (size_t)b * f->input * LANES, *value = k->value + (size_t)b * f->output * LANES;
        if ((b + 1) * LANES > k->samples)
            memset(x, 0, f->input * LANES * sizeof *x);
        for (int lane = 0; lane < LANES && b * LANES + lane < k->samples; lane++)
            fill_lane(f, k->start + b * LANES + lane, f->maker[thread], x, value, lane);
    }
}

static void fill(struct feed *feed, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 const struct target *t)
{
    struct fill k = { (struct patch_feed *)feed, start, samples, x, t->value };

    pool_run(p, fill_blocks, &k, blocks);
    store_rest(k.f->patches.set->pixel, k.f->patches.set->mapped);
}

static const struct feed_type patch_type = { shuffle, fill, NULL, free_feed };

static int64_t cover(const struct imageset_split *set, int size)
{
    int64_t area = 0;

    for (int64_t i = 0; i < set->count; i++)
        area += (int64_t)set->item[i].image.width * set->item[i].image.height;
    area /= (int64_t)size * size;
    return area > 0 ? area : 1;
}

int superres_feed(const struct superres_patches *p, struct feed **feed, struct err *e)
{
    const size_t side = (size_t)(p->enlarged ? p->size : p->size / p->scale), size = (size_t)p->size;
    struct patch_feed *f = mem_alloc(sizeof *f);

    *feed = NULL;
    if (!f)
        return err_set(e, ERR_NOMEM, "out of memory");
    f->feed = (struct feed){ .type = &patch_type, .seed = p->seed };
    f->feed.count = p->count > 0 ? p->count : cover(p->set, p->size);
    f->turn = p->turn;
    f->input = (size_t)p->channels * side * side;
    f->output = (size_t)p->channels * size * size;
    int status = patches_new(p->set, p->size, p->scale, &f->patches, e);
    if (!status && !(f->maker = mem_array((size_t)p->threads, sizeof(struct patch_maker *))))
        status = err_set(e, ERR_NOMEM, "out of memory");
    while (!status && f->makers < p->threads) {
        status = patch_maker_new(p->size, p->scale, p->channels == 3, p->enlarged, &f->maker[f->makers], e);
        f->makers += status == 0;
    }
    if (status)
        free_feed(&f->feed);
    else
        *feed = &f->feed;
    return status;
}
