/* task_superres.c - small images to larger ones; judged by PSNR on Y. */
#include "api/spec.h"
#include "base/mem.h"
#include "worker/train/loader.h"
#include "worker/train/superres.h"
#include "worker/train/tasks.h"

#include <stdio.h>
#include <stdlib.h>

/* Sides of the truth of a patch: divisible by all scales. */
enum { PATCH_SAME = 48, PATCH_LARGER = 96 };

/* An empty list with room for all of a split, whose pixels it uses. */
static int list_new(struct imageset_split *list, const struct imageset_split *of, struct err *e)
{
    list->pixel = of->pixel;
    list->mapped = of->mapped;
    list->item = mem_array((size_t)of->count + 1, sizeof *list->item);
    return list->item ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static void list_all(struct imageset_split *list, const struct imageset_split *from)
{
    for (int64_t i = 0; i < from->count; i++)
        list->item[list->count++] = from->item[i];
}

/* Only one split: a seeded tenth of the images, at least one, is the test part. */
static int list_parted(struct superres *t, const struct imageset_split *all, struct err *e)
{
    const uint64_t seed = (uint64_t)spec_int(t->job.spec, "/train/seed", 1);
    bool *held_out = mem_array((size_t)all->count + 1, sizeof *held_out);
    int status = held_out ? loader_hold_out(seed, LOADER_DRAW_TEST, all->count, 1, held_out, e)
                          : err_set(e, ERR_NOMEM, "out of memory");

    for (int64_t i = 0; i < all->count && !status; i++) {
        struct imageset_split *to = held_out[i] ? &t->test : &t->train;
        to->item[to->count++] = all->item[i];
    }
    free(held_out);
    return status;
}

/* A seeded tenth of the training images, at least one, is not learned from. */
static int hold_out(struct superres *t, struct err *e)
{
    const uint64_t seed = (uint64_t)spec_int(t->job.spec, "/train/seed", 1);
    struct imageset_split *train = &t->train;
    const int64_t total = train->count;
    bool *away = mem_array((size_t)total + 1, sizeof *away);
    int status = list_new(&t->held_out, train, e);

    if (!status)
        status = away ? loader_hold_out(seed, LOADER_DRAW_HELD_OUT, total, 1, away, e)
                      : err_set(e, ERR_NOMEM, "out of memory");
    train->count = status ? total : 0;
    for (int64_t i = 0; i < total && !status; i++) {
        struct imageset_split *to = away[i] ? &t->held_out : train;
        to->item[to->count++] = train->item[i];
    }
    free(away);
    if (!status && (train->count == 0 || t->held_out.count == 0))
        status = err_set(e, ERR_INVALID, "the data set has too few training images to hold one out");
    return status;
}

static int part(struct superres *t, struct err *e)
{
    const struct imageset_split *train = &t->set->split[SPLIT_TRAIN], *test = &t->set->split[SPLIT_TEST];
    const struct imageset_split *only = train->count == 0 ? test : test->count == 0 ? train : NULL;
    int status;

    if ((status = list_new(&t->train, only ? only : train, e)) ||
        (status = list_new(&t->test, only ? only : test, e)))
        return status;
    if (!only) {
        list_all(&t->train, train);
        list_all(&t->test, test);
    } else if (!t->job.trains) {
        list_all(&t->test, only);
    } else {
        status = list_parted(t, only, e);
    }
    if (!status && t->job.trains && t->train.count == 0)
        status = err_set(e, ERR_INVALID, "a data set of one image leaves none to train with");
    if (!status && t->job.holds_out)
        status = hold_out(t, e);
    return status;
}

static void superres_free(void *data)
{
    struct superres *t = data;

    if (!t)
        return;
    if (t->feed)
        t->feed->type->free(t->feed);
    free(t->train.item);
    free(t->test.item);
    free(t->held_out.item);
    imageset_free(t->set);
    free(t);
}

static int read_images(struct superres *t, struct err *e)
{
    const char *path = spec_text(t->job.spec, "/inputs/dataset/path", NULL);
    const struct room room = task_room(&t->job);
    char full[4096];

    if (!path)
        return err_set(e, ERR_INVALID, "super-resolution needs a data set of PNG or BMP images");
    snprintf(full, sizeof full, "%s/%s", t->job.dir, path);
    return imageset_read(full, &room, &t->set, e);
}

static int superres_load(const struct task_job *j, void **data, struct err *e)
{
    struct superres *t = mem_alloc(sizeof *t);

    *data = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory");
    t->job = *j;
    t->scale = (int)spec_int(j->spec, "/scale", 2);
    int status = read_images(t, e);
    if (!status)
        status = part(t, e);
    if (status)
        superres_free(t);
    else
        *data = t;
    return status;
}

static void superres_sample(const void *data, struct shape *s)
{
    (void)data;
    *s = (struct shape){ 3, { 1, PATCH_SAME, PATCH_SAME } };
}

/* What goes in and what comes out. */
static int check_fit(struct superres *t, const struct graph *g, struct err *e)
{
    const struct shape *in = &g->value[g->input].shape, *out = &g->value[g->output[0]].shape;
    char from[64], to[64];

    shape_text(in, from, sizeof from);
    shape_text(out, to, sizeof to);
    if (g->outputs != 1 || in->rank != 3 || out->rank != 3 || g->input_nhwc || in->dim[0] != out->dim[0] ||
        (in->dim[0] != 1 && in->dim[0] != 3))
        return err_set(e, ERR_UNSUPPORTED,
                       "the model makes %s of %s; super-resolution makes one image of 1 or 3 channels of "
                       "another, channels first",
                       to, from);
    t->rgb = in->dim[0] == 3;
    t->enlarged = out->dim[1] == in->dim[1] && out->dim[2] == in->dim[2];
    if (!t->enlarged && (out->dim[1] != in->dim[1] * t->scale || out->dim[2] != in->dim[2] * t->scale)) {
        err_set(e, ERR_INVALID, "the model makes %s of %s, which is neither as large nor %d times larger", to,
                from, t->scale);
        return err_at(e, "/scale");
    }
    return 0;
}

/* Train with patches of the size wished for; whole images come later, cut into tiles. */
static int set_patch(struct superres *t, struct graph *g, int size, struct err *e)
{
    const int side = t->enlarged ? size : size / t->scale;
    const struct shape sample = { 3, { t->rgb ? 3 : 1, side, side } };
    const bool was_enlarged = t->enlarged;

    if (size % t->scale) {
        err_set(e, ERR_INVALID, "patches of %d pixels can't be reduced by %d", size, t->scale);
        return err_at(e, "/train/patch");
    }
    int status = graph_set_input(g, &sample, e);
    if (!status)
        status = check_fit(t, g, e);
    if (!status && t->enlarged != was_enlarged)
        status = err_set(e, ERR_UNSUPPORTED, "the model is not made for images of any size");
    return status;
}

static int superres_fit(void *data, struct graph *g, struct err *e)
{
    struct superres *t = data;
    const json_t *spec = t->job.spec;
    int status = check_fit(t, g, e);

    if (status)
        return status;
    g->size_open = true; /* what is exported takes images of any size */
    if (!t->job.trains)
        return 0;
    const int size = (int)spec_int(spec, "/train/patch", t->enlarged ? PATCH_SAME : PATCH_LARGER);
    if ((status = set_patch(t, g, size, e)))
        return status;
    const struct superres_patches p = { .set = &t->train,
                                        .size = size,
                                        .scale = t->scale,
                                        .channels = t->rgb ? 3 : 1,
                                        .enlarged = t->enlarged,
                                        .turn =
                                            strcmp(spec_text(spec, "/train/augment", "none"), "turn") == 0,
                                        .count = spec_int(spec, "/train/samples_per_epoch", 0),
                                        .seed = (uint64_t)spec_int(spec, "/train/seed", 1),
                                        .threads = pool_threads(t->job.pool) };
    return superres_feed(&p, &t->feed, e);
}

static struct feed *superres_get_feed(void *data)
{
    return ((struct superres *)data)->feed;
}

static bool superres_exact(const void *data)
{
    const struct superres *t = data;

    return t->rgb && !t->enlarged;
}

static size_t superres_bytes(const void *data, bool *spilled)
{
    const struct superres *t = data;
    size_t bytes = 0, largest = 0;

    *spilled = false;
    for (int k = 0; k < SPLITS; k++) {
        const struct imageset_split *s = &t->set->split[k];
        *spilled |= s->mapped > 0;
        for (int64_t i = 0; i < s->count; i++) {
            const size_t one = image_bytes(&s->item[i].image);
            bytes += (s->mapped ? 0 : one) + 3 * sizeof *s->item;
            largest = s->mapped && one > largest ? one : largest;
        }
    }
    return bytes + largest;
}

static const struct loss *const losses[] = { &loss_l2, &loss_l1, &loss_charbonnier, NULL };
static const char *const augments[] = { "none", "turn", NULL };

const struct task task_superres = {
    .name = "superres",
    .title = "Small images to larger ones",
    .metric_most = 1000,
    .metric = "psnr_db",
    .tolerance = 0.01,
    .batch = 16,
    .losses = losses,
    .augments = augments,
    .load = superres_load,
    .free = superres_free,
    .sample = superres_sample,
    .fit = superres_fit,
    .feed = superres_get_feed,
    .exact = superres_exact,
    .score = superres_score,
    .bytes = superres_bytes,
    .score_bytes = superres_score_bytes,
};
