#include "worker/train/loader.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/train/stream.h"

#include <stdlib.h>

#define SHIFT_PIXELS 2

const char *const augment_names[] = { "none", "shift", NULL };

/* Which positions of the split belong to the part: all, or the seeded tenth and the rest. */
static int choose(struct loader *l, int64_t total, bool tenth, bool rest, struct err *e)
{
    uint32_t *shuffled = mem_array((size_t)total + 1, sizeof *shuffled);
    bool *held_out = mem_array((size_t)total + 1, sizeof *held_out);

    l->index = mem_array((size_t)total + 1, sizeof *l->index);
    l->order = mem_array((size_t)total + 1, sizeof *l->order);
    if (!shuffled || !held_out || !l->index || !l->order) {
        free(shuffled);
        free(held_out);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (tenth || rest) {
        for (int64_t i = 0; i < total; i++)
            shuffled[i] = (uint32_t)i;
        struct rng r = rng_at(l->seed, stream_of(STREAM_SPLIT, 0), 0);
        rng_shuffle(&r, shuffled, (size_t)total);
        for (int64_t i = 0; i < total / 10; i++)
            held_out[shuffled[i]] = true;
    }
    for (int64_t i = 0; i < total; i++)
        if ((!tenth && !rest) || held_out[i] == tenth)
            l->index[l->count++] = (uint32_t)i;
    free(shuffled);
    free(held_out);
    return 0;
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
    l->dataset = d;
    l->seed = seed;
    l->nhwc = nhwc;
    l->split = !both ? only : part == LOADER_TEST ? SPLIT_TEST : SPLIT_TRAIN;
    int64_t total = d->split[l->split].count;
    int status = total > UINT32_MAX / 2
                     ? err_set(e, ERR_UNSUPPORTED, "more than 2^31 samples")
                     : choose(l, total, split && part == LOADER_TEST, split && part == LOADER_TRAIN, e);
    if (!status && l->count == 0)
        status = err_set(e, ERR_INVALID, "the data set has no samples to %s",
                         part == LOADER_TEST ? "test" : "train with");
    if (status) {
        loader_free(l);
        return status;
    }
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
    l->augment = AUGMENT_NONE;
    memcpy(l->order, l->index, (size_t)l->count * sizeof *l->order);
}

void loader_shuffle(struct loader *l, uint64_t epoch)
{
    struct rng r = rng_at(l->seed, stream_of(STREAM_ORDER, epoch), 0);

    l->epoch = epoch;
    memcpy(l->order, l->index, (size_t)l->count * sizeof *l->order);
    rng_shuffle(&r, l->order, (size_t)l->count);
}

struct fill {
    const struct loader *l;
    int64_t start;
    int samples;
    real *x;
    int32_t *label;
    size_t features;
};

/* Move the image of one lane by up to SHIFT_PIXELS in each direction; what comes in from outside is the value
 * of a black pixel. */
static void shift_lane(const struct loader *l, uint32_t sample, real *x, int lane)
{
    const struct dataset *d = l->dataset;
    struct rng r = rng_at(l->seed, stream_of(STREAM_AUGMENT, l->epoch), sample);
    r.index *= 2;
    int dy = (int)rng_below(&r, 2 * SHIFT_PIXELS + 1) - SHIFT_PIXELS;
    int dx = (int)rng_below(&r, 2 * SHIFT_PIXELS + 1) - SHIFT_PIXELS;
    int H = d->height, W = d->width, C = d->channels;
    size_t row = l->nhwc ? (size_t)W * C : (size_t)W, step = l->nhwc ? (size_t)C : 1;

    for (int c = 0; c < C; c++) {
        real black = (real)((0 - d->mean[c]) / d->stddev[c]);
        real *plane = x + (l->nhwc ? (size_t)c : (size_t)c * H * W) * LANES + lane;
        /* in place: walk against the direction of the shift */
        for (int i = 0; i < H; i++) {
            int y = dy > 0 ? H - 1 - i : i;
            for (int j = 0; j < W; j++) {
                int u = dx > 0 ? W - 1 - j : j;
                int fy = y - dy, fx = u - dx;
                bool inside = fy >= 0 && fy < H && fx >= 0 && fx < W;
                plane[((size_t)y * row + (size_t)u * step) * LANES] =
                    inside ? plane[((size_t)fy * row + (size_t)fx * step) * LANES] : black;
            }
        }
    }
}

static void fill_blocks(void *arg, int lo, int hi, int thread)
{
    const struct fill *f = arg;
    const struct loader *l = f->l;
    (void)thread;

    for (int b = lo; b < hi; b++) {
        real *x = f->x + (size_t)b * f->features * LANES;
        if ((b + 1) * LANES > f->samples)
            memset(x, 0, f->features * LANES * sizeof *x);
        for (int lane = 0; lane < LANES && b * LANES + lane < f->samples; lane++) {
            uint32_t sample = l->order[f->start + b * LANES + lane];
            dataset_put(l->dataset, l->split, sample, l->nhwc, x, lane);
            if (l->augment == AUGMENT_SHIFT)
                shift_lane(l, sample, x, lane);
            f->label[b * LANES + lane] = l->dataset->split[l->split].label[sample];
        }
    }
}

void loader_fill(const struct loader *l, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 int32_t *label)
{
    const struct dataset *d = l->dataset;
    struct fill f = {
        l, start, samples, x, label, (size_t)d->channels * (size_t)d->height * (size_t)d->width
    };

    pool_run(p, fill_blocks, &f, blocks);
}
