/* task_classify.c - one of several classes for each image; judged by the share of right answers. */
#include "api/spec.h"
#include "base/mem.h"
#include "worker/train/loader.h"
#include "worker/train/tasks.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCORE_BATCH = 128 };

struct classify {
    struct task_job job;
    struct dataset *dataset;
    struct loader *train, *test;
};

/* --- data --- */

static void read_normalisation(const json_t *list, float *out, int channels)
{
    for (int c = 0; c < channels && json_is_array(list); c++) {
        /* one number stands for all channels */
        const json_t *v = json_array_get(list, json_array_size(list) == 1 ? 0 : (size_t)c);
        if (json_is_number(v))
            out[c] = (float)json_number_value(v);
    }
}

/* The job's own figures win over the data set's. */
static int normalise(const struct classify *t, struct err *e)
{
    static const char *const places[] = { "/inputs/dataset/mean", "/inputs/dataset/std", "/normalize/mean",
                                          "/normalize/std" };
    struct dataset *d = t->dataset;

    for (int i = 0; i < 4; i++) {
        const json_t *list = spec_at(t->job.spec, places[i]);
        size_t size = json_array_size(list);
        if (size > 1 && size != (size_t)d->channels)
            return err_set(e, ERR_INVALID, "%s has %zu numbers, but the images have %d channels", places[i],
                           size, d->channels);
        read_normalisation(list, i % 2 ? d->stddev : d->mean, d->channels);
    }
    for (int c = 0; c < d->channels; c++)
        if (!(d->stddev[c] > 0))
            return err_set(e, ERR_INVALID, "/normalize/std must be positive");
    return 0;
}

static int read_dataset(struct classify *t, struct err *e)
{
    const json_t *spec = t->job.spec;
    const char *builtin = spec_text(spec, "/inputs/dataset/builtin", NULL);
    const char *path = spec_text(spec, "/inputs/dataset/path", NULL);
    const struct room room = task_room(&t->job);
    char full[4096];

    if (builtin)
        return dataset_builtin(builtin, 1, &t->dataset, e);
    if (!path)
        return err_set(e, ERR_INVALID, "spec.json names no data set in /inputs/dataset");
    snprintf(full, sizeof full, "%s/%s", t->job.dir, path);
    return dataset_read(full, spec_text(spec, "/inputs/dataset/format", NULL), &room, &t->dataset, e);
}

static void classify_free(void *data)
{
    struct classify *t = data;

    if (!t)
        return;
    loader_free(t->train);
    loader_free(t->test);
    dataset_free(t->dataset);
    free(t);
}

static int classify_load(const struct task_job *j, void **data, struct err *e)
{
    struct classify *t = mem_alloc(sizeof *t);

    *data = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory");
    t->job = *j;
    int status = read_dataset(t, e);
    if (!status)
        status = normalise(t, e);
    if (status)
        classify_free(t);
    else
        *data = t;
    return status;
}

static void classify_sample(const void *data, struct shape *s)
{
    const struct dataset *d = ((const struct classify *)data)->dataset;

    *s = (struct shape){ 3, { d->channels, d->height, d->width } };
}

static int check_fit(const struct classify *t, const struct graph *g, struct err *e)
{
    const struct dataset *d = t->dataset;
    const struct shape *in = &g->value[g->input].shape, *out = &g->value[g->output[0]].shape;
    char have[64], want[64];
    struct shape image = { 3, { d->channels, d->height, d->width } };

    if (g->input_nhwc)
        image = (struct shape){ 3, { d->height, d->width, d->channels } };
    shape_text(&image, have, sizeof have);
    shape_text(in, want, sizeof want);
    if (!shape_equal(in, &image))
        return err_set(e, ERR_INVALID, "the model takes %s, but the images of the data set are %s", want,
                       have);
    if (g->outputs != 1)
        return err_set(e, ERR_UNSUPPORTED, "the model has %d outputs; classification needs one", g->outputs);
    if (shape_count(out) < d->classes)
        return err_set(e, ERR_INVALID, "the model tells %lld classes apart, but the data set has %d",
                       (long long)shape_count(out), d->classes);
    return 0;
}

static int classify_fit(void *data, struct graph *g, struct err *e)
{
    struct classify *t = data;
    const bool trains = t->job.trains;
    const uint64_t seed = (uint64_t)spec_int(t->job.spec, "/train/seed", 1);
    int status = check_fit(t, g, e);

    if (!status)
        status = loader_new(t->dataset, LOADER_TEST, trains, g->input_nhwc, seed, &t->test, e);
    if (!status && trains)
        status = loader_new(t->dataset, LOADER_TRAIN, trains, g->input_nhwc, seed, &t->train, e);
    if (status || !trains)
        return status;
    t->train->augmentation = augmentation_find(spec_text(t->job.spec, "/train/augment", "none"));
    return t->train->augmentation ? 0 : err_set(e, ERR_INVALID, "unknown augmentation");
}

static struct feed *classify_feed(void *data)
{
    struct classify *t = data;

    return t->train ? &t->train->feed : NULL;
}

static bool classify_exact(const void *data)
{
    const struct dataset *d = ((const struct classify *)data)->dataset;
    bool exact = true;

    for (int c = 0; c < d->channels; c++)
        exact = exact && d->mean[c] == 0 && d->stddev[c] == 1;
    return exact;
}

/* --- score --- */

static int64_t count_right(const struct classify *t, struct net *net, int batch, int classes, int32_t *label)
{
    struct feed *f = &t->test->feed;
    const struct target target = { .label = label };
    const int blocks = net_blocks(net);
    int64_t right = 0;

    loader_natural(t->test);
    for (int64_t at = 0; at < f->count; at += batch) {
        const int samples = f->count - at < batch ? (int)(f->count - at) : batch;
        f->type->fill(f, t->job.pool, at, samples, blocks, net_input(net), &target);
        net_forward(net, samples, false, 0);
        const struct loss_call call = { .y = net_output(net, 0),
                                        .target = &target,
                                        .features = classes,
                                        .samples = samples,
                                        .blocks = blocks };
        right += loss_cross_entropy.run(&call).correct;
    }
    return right;
}

/* How a graph without a net of its own is judged. What comes out does not depend on the batch: it is smaller
 * where SCORE_BATCH samples would take more than a quarter of the job's memory. bytes: of that net. */
static int score_options(const struct classify *t, const struct graph *g, struct net_options *o,
                         size_t *bytes, struct err *e)
{
    int status;

    *o = (struct net_options){
        .batch = SCORE_BATCH, .limit = t->job.memory, .kernels = t->job.kernels, .pool = t->job.pool
    };
    while ((status = net_bytes(g, o, bytes, e)) == 0 && o->batch > LANES && *bytes > t->job.memory / 4)
        o->batch /= 2;
    return status;
}

/* A net of its own for a graph that has none. */
static int make_net(const struct classify *t, const struct task_subject *s, struct net **net, int *batch,
                    struct err *e)
{
    struct net_options o;
    size_t bytes;
    int status = score_options(t, s->graph, &o, &bytes, e);

    if (!status)
        status = net_new(s->graph, &o, net, e);
    *batch = o.batch;

    for (int i = 0; !status && s->quant && i < s->quant->weights; i++)
        net_set_weight(*net, s->quant->weight[i].value, s->quant->q + s->quant->weight[i].offset);
    return status;
}

static int classify_score(void *data, const struct task_subject *s, bool detail, struct task_score *score,
                          struct err *e)
{
    const struct classify *t = data;
    int batch = s->batch;
    const int classes = (int)shape_count(&s->graph->value[s->graph->output[0]].shape);
    struct net *own = NULL;
    int status = s->net ? 0 : make_net(t, s, &own, &batch, e);
    int32_t *label = status ? NULL : mem_array((size_t)batch + LANES, sizeof *label);

    if (!status && !label)
        status = err_set(e, ERR_NOMEM, "out of memory");
    if (!status) {
        const int64_t right = count_right(t, s->net ? s->net : own, batch, classes, label);
        *score =
            (struct task_score){ (double)right / (double)t->test->feed.count, t->test->feed.count, NULL };
        if (detail)
            score->detail = json_pack("{s:I}", "correct", (json_int_t)right);
    }
    net_free(own);
    free(label);
    return status;
}

/* --- memory --- */

/* Of pixels in a file, what one batch touches. */
static size_t touched_bytes(const struct dataset *d, const struct loader *l, int64_t batch)
{
    const size_t pixels = (size_t)d->channels * d->height * d->width;
    const size_t touched = (size_t)batch * (pixels + STORE_AROUND), mapped = d->split[l->split].mapped;

    return touched < mapped ? touched : mapped;
}

static size_t classify_bytes(const void *data, bool *spilled)
{
    const struct classify *t = data;
    const struct dataset *d = t->dataset;
    const size_t pixels = (size_t)d->channels * d->height * d->width;
    size_t test = touched_bytes(d, t->test, SCORE_BATCH), train = 0, bytes = 0;

    *spilled = false;
    for (int k = 0; k < SPLITS; k++) {
        const struct split *s = &d->split[k];
        *spilled |= s->mapped > 0;
        bytes += (size_t)s->count * ((s->mapped ? 0 : pixels) + sizeof *s->label);
    }
    if (t->train) {
        train = touched_bytes(d, t->train, spec_int(t->job.spec, "/train/batch_size", 64));
        bytes += (size_t)t->train->feed.count * 2 * sizeof *t->train->order;
    }
    bytes += (size_t)t->test->feed.count * 2 * sizeof *t->test->order;
    return bytes + (train > test ? train : test);
}

static int classify_score_bytes(void *data, struct graph *g, bool has_net, size_t *bytes, struct err *e)
{
    struct net_options o;

    *bytes = 0;
    return has_net ? 0 : score_options(data, g, &o, bytes, e);
}

static const struct loss *const losses[] = { &loss_cross_entropy, NULL };
static const char *const augments[] = { "none", "shift", "crop-flip", "cutout", "crop-flip-cutout", NULL };

const struct task task_classify = {
    .name = "classify",
    .title = "Images to classes",
    .metric = "top1",
    .train_metric = "train_top1",
    .tolerance = 0.001,
    .batch = 128,
    .losses = losses,
    .augments = augments,
    .load = classify_load,
    .free = classify_free,
    .sample = classify_sample,
    .fit = classify_fit,
    .feed = classify_feed,
    .exact = classify_exact,
    .score = classify_score,
    .bytes = classify_bytes,
    .score_bytes = classify_score_bytes,
};
