#include "worker/train/loader.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/train/stream.h"

#include <stdlib.h>

/* --- augmentations --- */

static void draw_shift(struct augment *a, const struct dataset *d, struct rng *r)
{
    (void)d;
    augment_shift(a, 2, r);
}

static void draw_crop_flip(struct augment *a, const struct dataset *d, struct rng *r)
{
    (void)d;
    augment_crop_flip(a, 4, r);
}

static void draw_cutout(struct augment *a, const struct dataset *d, struct rng *r)
{
    augment_cutout(a, d->height, d->width, augment_cutout_side(d->height, d->width), r);
}

static void draw_deform(struct augment *a, const struct dataset *d, struct rng *r)
{
    augment_deform(a, d->height, d->width, r);
}

static void draw_crop_flip_cutout(struct augment *a, const struct dataset *d, struct rng *r)
{
    draw_crop_flip(a, d, r);
    draw_cutout(a, d, r);
}

static const struct augmentation none = { "none", 0, NULL }, shift = { "shift", 2, draw_shift },
                                 crop_flip = { "crop-flip", AUGMENT_DRAWS, draw_crop_flip },
                                 cutout = { "cutout", AUGMENT_DRAWS, draw_cutout },
                                 crop_flip_cutout = { "crop-flip-cutout", AUGMENT_DRAWS,
                                                      draw_crop_flip_cutout },
                                 deform = { "deform", AUGMENT_DEFORM_DRAWS, draw_deform };

const struct augmentation *const augmentation_list[] = {
    &none, &shift, &crop_flip, &cutout, &crop_flip_cutout, &deform, NULL
};

const struct augmentation *augmentation_find(const char *name)
{
    for (const struct augmentation *const *a = augmentation_list; *a; a++)
        if (strcmp((*a)->name, name) == 0)
            return *a;
    return NULL;
}

/* --- which samples, in which order --- */

static const struct feed_type loader_type;

int loader_hold_out(uint64_t seed, enum loader_draw draw, int64_t total, int64_t least, bool *held_out,
                    struct err *e)
{
    uint32_t *shuffled = mem_array((size_t)total + 1, sizeof *shuffled);
    struct rng r = rng_at(seed, stream_of(STREAM_SPLIT, draw), 0);
    int64_t count = total / 10 > least ? total / 10 : least;

    if (!shuffled)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < total; i++)
        shuffled[i] = (uint32_t)i;
    rng_shuffle(&r, shuffled, (size_t)total);
    for (int64_t i = 0; i < count && i < total; i++)
        held_out[shuffled[i]] = true;
    free(shuffled);
    return 0;
}

/* Keep the seeded tenth of the loader's positions, or the others. */
static int draw_tenth(struct loader *l, enum loader_draw draw, bool tenth, struct err *e)
{
    const int64_t total = l->feed.count, least = draw == LOADER_DRAW_HELD_OUT;
    bool *held_out = mem_array((size_t)total + 1, sizeof *held_out);
    int status = held_out ? loader_hold_out(l->feed.seed, draw, total, least, held_out, e)
                          : err_set(e, ERR_NOMEM, "out of memory");

    l->feed.count = 0;
    for (int64_t i = 0; i < total && !status; i++)
        if (held_out[i] == tenth)
            l->index[l->feed.count++] = l->index[i];
    free(held_out);
    return status;
}

/* Which positions of the split belong to the part. split: the test part is the seeded tenth of it. */
static int choose(struct loader *l, enum loader_part part, int64_t total, bool split, struct err *e)
{
    int status = 0;

    l->index = mem_array((size_t)total + 1, sizeof *l->index);
    l->order = mem_array((size_t)total + 1, sizeof *l->order);
    if (!l->index || !l->order)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < total; i++)
        l->index[l->feed.count++] = (uint32_t)i;
    if (split)
        status = draw_tenth(l, LOADER_DRAW_TEST, part == LOADER_TEST, e);
    if (!status && (part == LOADER_HELD_OUT || part == LOADER_REST))
        status = draw_tenth(l, LOADER_DRAW_HELD_OUT, part == LOADER_HELD_OUT, e);
    return status;
}

int loader_new(const struct dataset *d, enum loader_part part, bool training, bool nhwc, uint64_t seed,
               struct loader **out, struct err *e)
{
    bool both = d->split[SPLIT_TRAIN].count > 0 && d->split[SPLIT_TEST].count > 0;
    bool split = training && !both; /* one split only: it serves as both */
    int only = d->split[SPLIT_TRAIN].count > 0 ? SPLIT_TRAIN : SPLIT_TEST;
    struct loader *l = mem_alloc(sizeof *l);

    if (!l)
        return err_set(e, ERR_NOMEM, "out of memory");
    l->feed = (struct feed){ .type = &loader_type, .seed = seed };
    l->augmentation = &none;
    l->dataset = d;
    l->nhwc = nhwc;
    l->split = !both ? only : part == LOADER_TEST ? SPLIT_TEST : SPLIT_TRAIN;
    int64_t total = d->split[l->split].count;
    int status = total > UINT32_MAX / 2 ? err_set(e, ERR_UNSUPPORTED, "more than 2^31 samples")
                                        : choose(l, part, total, split, e);
    if (!status && l->feed.count == 0)
        status = err_set(e, ERR_INVALID, "the data set has no samples to %s",
                         part == LOADER_TEST       ? "test"
                         : part == LOADER_HELD_OUT ? "hold out"
                                                   : "train with");
    if (status) {
        loader_free(l);
        return status;
    }
    lanes_table(d, &l->table);
    loader_natural(l);
    *out = l;
    return 0;
}

void loader_free(struct loader *l)
{
    if (!l)
        return;
    free(l->index);
    free(l->order);
    free(l);
}

void loader_natural(struct loader *l)
{
    l->feed.augment = false;
    memcpy(l->order, l->index, (size_t)l->feed.count * sizeof *l->order);
}

static void shuffle(struct feed *f, uint64_t epoch)
{
    struct loader *l = (struct loader *)f;
    struct rng r = rng_at(f->seed, stream_of(STREAM_ORDER, epoch), 0);

    f->epoch = epoch;
    memcpy(l->order, l->index, (size_t)f->count * sizeof *l->order);
    rng_shuffle(&r, l->order, (size_t)f->count);
}

/* --- into lanes --- */

struct fill {
    const struct loader *l;
    int64_t start;
    int samples;
    real *x;
    int32_t *label;
    size_t features;
};

static size_t sample_bytes(const struct dataset *d)
{
    return (size_t)d->channels * (size_t)d->height * (size_t)d->width;
}

static struct lane lane_of(const struct loader *l, uint32_t sample)
{
    const struct augmentation *a = l->augmentation;
    struct lane lane = { .pixel = l->dataset->split[l->split].pixel + sample * sample_bytes(l->dataset) };
    struct rng r = rng_at(l->feed.seed, stream_of(STREAM_AUGMENT, l->feed.epoch), a->draws * sample);

    if (l->feed.augment && a->draw)
        a->draw(&lane.change, l->dataset, &r);
    return lane;
}

static void fill_blocks(void *arg, int lo, int hi, int thread)
{
    const struct fill *f = arg;
    const struct loader *l = f->l;
    (void)thread;

    for (int b = lo; b < hi; b++) {
        struct lane lane[LANES];
        int count = 0;
        for (; count < LANES && b * LANES + count < f->samples; count++) {
            uint32_t sample = l->order[f->start + b * LANES + count];
            lane[count] = lane_of(l, sample);
            f->label[b * LANES + count] = l->dataset->split[l->split].label[sample];
        }
        lanes_put(l->dataset, &l->table, lane, count, l->nhwc, f->x + (size_t)b * f->features * LANES);
    }
}

static void fill(struct feed *feed, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 const struct target *t)
{
    const struct loader *l = (const struct loader *)feed;
    struct fill f = { l, start, samples, x, t->label, sample_bytes(l->dataset) };

    const struct split *s = &l->dataset->split[l->split];

    pool_run(p, fill_blocks, &f, blocks);
    store_rest(s->pixel, s->mapped);
}

/* Samples in a mapped file may have to come from the disk. */
static void ahead(struct feed *feed, int64_t start, int samples)
{
    const struct loader *l = (const struct loader *)feed;
    const struct split *s = &l->dataset->split[l->split];
    const size_t bytes = sample_bytes(l->dataset);

    for (int64_t i = start; s->mapped && i < start + samples && i < feed->count; i++)
        store_ahead(s->pixel + l->order[i] * bytes, bytes);
}

static void free_feed(struct feed *f)
{
    loader_free((struct loader *)f);
}

static const struct feed_type loader_type = { shuffle, fill, ahead, free_feed };
