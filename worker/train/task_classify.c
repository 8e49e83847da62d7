/* task_classify.c - one of several classes for each image; judged by the share of right answers. */
#include "api/spec.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
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
    struct loader *held_out; /* of the training part, where choices are made; else NULL */
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
    loader_free(t->held_out);
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
        status = loader_new(t->dataset, t->job.holds_out ? LOADER_REST : LOADER_TRAIN, trains, g->input_nhwc,
                            seed, &t->train, e);
    if (!status && t->job.holds_out)
        status = loader_new(t->dataset, LOADER_HELD_OUT, trains, g->input_nhwc, seed, &t->held_out, e);
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

/* A network on its way through the test part: by a net, or by an engine with memory of its own. */
struct run {
    struct loader *from;
    struct net *net, *own;
    struct engine *engine;
    real *x, *y; /* of the engine; owned */
    int32_t *label;
    struct buf predicted; /* lines of classes.csv */
    int batch, blocks, classes;
    int64_t right, ns;
};

static void run_free(struct run *r)
{
    net_free(r->own);
    engine_free(r->engine);
    free(r->x);
    free(r->y);
    free(r->label);
    buf_free(&r->predicted);
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

static size_t lanes_bytes(const struct graph *g, int value, int blocks)
{
    return (size_t)shape_count(&g->value[value].shape) * LANES * (size_t)blocks * sizeof(real);
}

static int make_engine(const struct classify *t, const struct task_subject *s, struct run *r, struct err *e)
{
    const struct engine_options o = { t->job.kernels, t->job.pool, t->job.memory, s->engine->bits };
    const int status = engine_new(s->graph, &o, &r->engine, e);

    if (status)
        return status;
    r->x = mem_aligned(64, lanes_bytes(s->graph, s->graph->input, r->blocks));
    r->y = mem_aligned(64, lanes_bytes(s->graph, s->graph->output[0], r->blocks));
    return r->x && r->y ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int run_new(const struct classify *t, const struct task_subject *s, struct run *r, struct err *e)
{
    const bool integers = s->engine && s->engine->integers;
    int status = 0;

    *r = (struct run){ .from = s->held_out ? t->held_out : t->test,
                       .net = s->net,
                       .batch = s->net ? s->batch : SCORE_BATCH };
    buf_init(&r->predicted, 0);
    if (!integers && !r->net) {
        status = make_net(t, s, &r->own, &r->batch, e);
        r->net = r->own;
    }
    if (status)
        return status;
    r->blocks = (r->batch + LANES - 1) / LANES;
    r->classes = (int)shape_count(&s->graph->value[s->graph->output[0]].shape);
    r->label = mem_array((size_t)r->batch + LANES, sizeof *r->label);
    if (!r->label)
        return err_set(e, ERR_NOMEM, "out of memory");
    return integers ? make_engine(t, s, r, e) : 0;
}

/* One batch, whose inputs are in place; the outputs. */
static const real *run_batch(struct run *r, int samples)
{
    const int64_t begin = clock_mono_ns();

    if (r->engine)
        engine_run(r->engine, r->x, samples, r->y);
    else
        net_forward(r->net, samples, false, 0);
    r->ns += clock_mono_ns() - begin;
    return r->engine ? r->y : net_output(r->net, 0);
}

/* The greatest output, the first of equal ones. */
static int class_of(const real *y, int sample, int classes)
{
    const real *score = y + (size_t)(sample / LANES) * (size_t)classes * LANES + sample % LANES;
    int best = 0;

    for (int k = 1; k < classes; k++)
        if (score[k * LANES] > score[best * LANES])
            best = k;
    return best;
}

static int note_classes(struct run *r, const real *y, int64_t first, int samples)
{
    for (int i = 0; i < samples; i++)
        if (buf_printf(&r->predicted, "%lld,%d,%d\n", (long long)first + i, (int)r->label[i],
                       class_of(y, i, r->classes)))
            return ERR_NOMEM;
    return 0;
}

/* notes: keep the class of every sample. */
static int run_all(const struct classify *t, struct run *r, bool notes, struct err *e)
{
    struct feed *f = &r->from->feed;
    const struct target target = { .label = r->label };

    loader_natural(r->from);
    if (notes && buf_text(&r->predicted, "image,label,class\n"))
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t at = 0; at < f->count; at += r->batch) {
        const int samples = f->count - at < r->batch ? (int)(f->count - at) : r->batch;
        f->type->fill(f, t->job.pool, at, samples, r->blocks, r->engine ? r->x : net_input(r->net), &target);
        const real *y = run_batch(r, samples);
        const struct loss_call call = {
            .y = y, .target = &target, .features = r->classes, .samples = samples, .blocks = r->blocks
        };
        r->right += loss_cross_entropy.run(&call).correct;
        if (notes && note_classes(r, y, at, samples))
            return err_set(e, ERR_NOMEM, "out of memory for the classes of %lld images", (long long)f->count);
    }
    return 0;
}

static int write_classes(const struct classify *t, const struct run *r, struct err *e)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/out/classes.csv", t->job.dir);
    return file_publish(path, r->predicted.data, r->predicted.length, 0644, e);
}

static int classify_score(void *data, const struct task_subject *s, bool detail, struct task_score *score,
                          struct err *e)
{
    const struct classify *t = data;
    const bool notes = detail && !t->job.trains;
    struct run r;
    int status = run_new(t, s, &r, e);
    const int64_t count = r.from->feed.count;

    if (!status)
        status = run_all(t, &r, notes, e);
    if (!status && notes)
        status = write_classes(t, &r, e);
    if (!status) {
        *score = (struct task_score){ .value = (double)r.right / (double)count,
                                      .samples = count,
                                      .per_second = r.ns > 0 ? (double)count * 1e9 / (double)r.ns : 0 };
        if (detail)
            score->detail = json_pack("{s:I}", "correct", (json_int_t)r.right);
        if (detail && s->engine && s->engine->integers)
            json_object_set_new(score->detail, "bit_layers", json_integer(engine_bit_layers(r.engine)));
    }
    run_free(&r);
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
    if (t->held_out)
        bytes += (size_t)t->held_out->feed.count * 2 * sizeof *t->held_out->order;
    return bytes + (train > test ? train : test);
}

static int classify_score_bytes(void *data, struct graph *g, bool has_net, size_t *bytes, struct err *e)
{
    const struct classify *t = data;
    const struct engine_kind *kind = engine_kind_find(spec_text(t->job.spec, "/engine", "float"));
    const struct engine_options options = { t->job.kernels, t->job.pool, 0, kind ? kind->bits : BITS_NEVER };
    const int blocks = (SCORE_BATCH + LANES - 1) / LANES;
    struct net_options o;
    struct engine *engine;

    *bytes = 0;
    if (has_net)
        return 0;
    int status = score_options(t, g, &o, bytes, e);
    if (status || t->job.trains || !kind || !kind->integers)
        return status;
    if ((status = engine_new(g, &options, &engine, e)))
        return status;
    *bytes += engine_bytes(engine) + lanes_bytes(g, g->input, blocks) + lanes_bytes(g, g->output[0], blocks);
    engine_free(engine);
    return 0;
}

static const struct loss *const losses[] = { &loss_cross_entropy, NULL };
static const char *const augments[] = { "none",   "shift", "crop-flip", "cutout", "crop-flip-cutout",
                                        "deform", NULL };

const struct task task_classify = {
    .name = "classify",
    .title = "Images to classes",
    .metric_most = 1,
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
