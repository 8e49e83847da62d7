/* job_load.c - the inputs of a job: data set, graph, and whether they belong together. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/file.h"
#include "worker/onnx/onnx.h"
#include "worker/zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>

#define MODEL_MAX ((size_t)2 << 30)

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
static int normalise(struct job *j, struct err *e)
{
    static const char *const places[] = { "/inputs/dataset/mean", "/inputs/dataset/std", "/normalize/mean",
                                          "/normalize/std" };
    struct dataset *d = j->dataset;

    for (int i = 0; i < 4; i++) {
        const json_t *list = spec_at(j->spec, places[i]);
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

static int load_dataset(struct job *j, size_t limit, struct err *e)
{
    const char *builtin = spec_text(j->spec, "/inputs/dataset/builtin", NULL);
    const char *path = spec_text(j->spec, "/inputs/dataset/path", NULL);
    char full[4096];
    int status;

    if (builtin) {
        status = dataset_builtin(builtin, 1, &j->dataset, e);
    } else if (path) {
        snprintf(full, sizeof full, "%s/%s", j->dir, path);
        status =
            dataset_load(full, spec_text(j->spec, "/inputs/dataset/format", NULL), limit, &j->dataset, e);
    } else {
        status = err_set(e, ERR_INVALID, "spec.json names no data set in /inputs/dataset");
    }
    return status ? status : normalise(j, e);
}

static int load_model(struct job *j, size_t limit, struct err *e)
{
    const char *zoo = spec_text(j->spec, "/inputs/model/zoo", NULL);
    const char *path = spec_text(j->spec, "/inputs/model/path", NULL);
    char full[4096], *data;
    size_t length;

    if (zoo) {
        struct zoo_request r;
        int bad = zoo_parse(zoo, &r, e);
        r.seed = (uint64_t)spec_int(j->spec, "/train/seed", 1);
        r.limit = limit;
        return bad ? bad : zoo_make(&r, &j->graph, e);
    }
    if (!path)
        return err_set(e, ERR_INVALID, "spec.json names no model in /inputs/model");
    snprintf(full, sizeof full, "%s/%s", j->dir, path);
    int status = file_load(full, MODEL_MAX, &data, &length, e);
    if (status)
        return status;
    status = onnx_import(data, length, &j->graph, e);
    free(data);
    return status;
}

static int check_fit(const struct job *j, struct err *e)
{
    const struct graph *g = j->graph;
    const struct dataset *d = j->dataset;
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

int job_load(struct job *j, struct err *e)
{
    size_t limit = (size_t)spec_int(j->spec, "/resources/memory_mb", 2048) << 20;
    uint64_t seed = (uint64_t)spec_int(j->spec, "/train/seed", 1);
    int status;

    events_phase(j->events, "load");
    if ((status = load_dataset(j, limit, e)) || (status = load_model(j, limit, e)) || (status = check_fit(j, e)))
        return status;
    bool nhwc = j->graph->input_nhwc, training = j->kind->trains;
    j->float_bytes = 4 * graph_parameters(j->graph);
    status = loader_new(j->dataset, LOADER_TEST, training, nhwc, seed, &j->test, e);
    if (!status && training)
        status = loader_new(j->dataset, LOADER_TRAIN, training, nhwc, seed, &j->train, e);
    return status;
}
