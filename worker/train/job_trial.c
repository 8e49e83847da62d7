/* job_trial.c - one trial of a search: the whole pipeline with settings of its own, from the model as it came
 * to files of its own beside the job's. trial-N.json is written last, and says all that the result will need:
 * what is read back from it is what is used, so that an attempt that finds it goes on with the same bits. */
#include "worker/train/job_parts.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIAL_MAX ((size_t)64 << 20)

static void trial_path(const struct job *j, int trial, const char *what, char path[4096])
{
    snprintf(path, 4096, "%s/trial-%d%s", j->dir, trial + 1, what);
}

/* --- specification -------------------------------------------------------------------------------------- */

static json_t *section(json_t *spec, const char *name)
{
    json_t *o = json_object_get(spec, name);

    if (!json_is_object(o)) {
        json_object_set_new(spec, name, json_object());
        o = json_object_get(spec, name);
    }
    return o;
}

/* The job's with the settings of the trial, and a hash that its checkpoints are bound to. */
static json_t *trial_spec(const struct job *j, const struct search_point *p, unsigned char hash[HASH_BYTES])
{
    json_t *spec = json_deep_copy(j->spec);
    char *text = NULL;

    if (!spec)
        return NULL;
    json_object_set_new(section(spec, "prune"), "sparsity", json_real(p->sparsity));
    json_object_set_new(section(section(spec, "quantize"), "weights"), "bits", json_integer(p->bits));
    if (p->price > 0)
        json_object_set_new(section(spec, "rate"), "lambda", json_real(p->price));
    text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) {
        json_decref(spec);
        return NULL;
    }
    hash_bytes(text, strlen(text), hash);
    free(text);
    return spec;
}

/* --- findings ------------------------------------------------------------------------------------------- */

/* What a trial leaves in the job, by its place there. */
static const struct {
    const char *key;
    size_t real, whole; /* offset of a double, of an int64_t; the other is 0 */
} findings[] = {
    { "value", offsetof(struct job, value), 0 },
    { "trained_value", offsetof(struct job, trained_value), 0 },
    { "latent_value", offsetof(struct job, latent_value), 0 },
    { "pruned_before", offsetof(struct job, pruned_before), 0 },
    { "pruned_value", offsetof(struct job, pruned_value), 0 },
    { "pruned_share", offsetof(struct job, pruned_share), 0 },
    { "units_removed", 0, offsetof(struct job, units_removed) },
    { "parameters_left", 0, offsetof(struct job, parameters_left) },
    { "skeleton_bytes", 0, offsetof(struct job, sizes.skeleton) },
    { "onnx_bytes", 0, offsetof(struct job, onnx_bytes) },
    { "file_bytes", 0, offsetof(struct job, file_bytes) },
    { "payload_bytes", 0, offsetof(struct job, payload_bytes) },
    { "exact_layers", 0, offsetof(struct job, exact_layers) },
};
#define FINDINGS (sizeof findings / sizeof *findings)

static json_t *pack_findings(const struct job *j)
{
    json_t *o = json_object();

    for (size_t i = 0; i < FINDINGS; i++) {
        const char *at = (const char *)j;
        json_object_set_new(o, findings[i].key,
                            findings[i].real
                                ? json_real(*(const double *)(const void *)(at + findings[i].real))
                                : json_integer(*(const int64_t *)(const void *)(at + findings[i].whole)));
    }
    json_object_set_new(o, "weights_sha256", json_string(j->weights_hash));
    json_object_set(o, "layers", j->layers);
    return o;
}

void job_trial_adopt(struct job *j, const json_t *trial)
{
    const json_t *o = json_object_get(trial, "findings");

    for (size_t i = 0; i < FINDINGS; i++) {
        const json_t *v = json_object_get(o, findings[i].key);
        char *at = (char *)j;
        if (findings[i].real)
            *(double *)(void *)(at + findings[i].real) = json_number_value(v);
        else
            *(int64_t *)(void *)(at + findings[i].whole) = json_integer_value(v);
    }
    const char *hash = json_string_value(json_object_get(o, "weights_sha256"));
    snprintf(j->weights_hash, sizeof j->weights_hash, "%s", hash ? hash : "");
    json_decref(j->layers);
    j->layers = json_incref(json_object_get(o, "layers"));
}

/* --- a trial -------------------------------------------------------------------------------------------- */

/* Everything that a pipeline makes in the job. */
static int begin(struct job *j, struct err *e)
{
    job_forget(j);
    json_decref(j->layers);
    j->layers = json_array();
    j->payload_bytes = j->units_removed = 0;
    return j->layers ? graph_clone(j->source, &j->graph, e) : err_set(e, ERR_NOMEM, "out of memory");
}

static int save(const struct job *j, int trial, const char *spec, bool diverged, struct err *e)
{
    char path[4096];
    json_t *o = json_pack("{s:s, s:b, s:I, s:f, s:o}", "spec", spec, "diverged", diverged, "bytes",
                          (json_int_t)(diverged ? j->float_bytes : j->file_bytes), "metric",
                          diverged ? 0.0 : j->value, "findings", pack_findings(j));
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;

    trial_path(j, trial, ".json", path);
    const int status = text ? file_publish(path, text, strlen(text), 0600, e)
                            : err_set(e, ERR_NOMEM, "out of memory for a trial");
    free(text);
    json_decref(o);
    return status;
}

/* NULL where there is none of this specification. */
static json_t *load(const struct job *j, int trial, const char *spec)
{
    char path[4096], *text;
    size_t length;

    trial_path(j, trial, ".json", path);
    if (!file_exists(path) || file_load(path, TRIAL_MAX, &text, &length, NULL))
        return NULL;
    json_t *o = json_loadb(text, length, 0, NULL);
    const char *of = json_string_value(json_object_get(o, "spec"));
    free(text);
    if (of && strcmp(of, spec) == 0)
        return o;
    json_decref(o);
    return NULL;
}

static void tell(struct job *j, const char *what, double value)
{
    char series[40];

    snprintf(series, sizeof series, "search.%s", what);
    curves_add(&j->curves, series, j->trial + 1, value);
    events_metric(j->events, series, j->trial + 1, value);
}

static void tell_end(struct job *j, const struct search_point *p, bool diverged)
{
    const double metric = diverged ? 0 : j->value;
    const int64_t bytes = diverged ? j->float_bytes : j->file_bytes;

    if (diverged)
        events_emit(
            j->events, "warning",
            json_pack("{s:s, s:o}", "code", "trial_diverged", "text",
                      json_sprintf("trial %d has diverged: it counts as one that failed", j->trial + 1)));
    else
        events_log(j->events, "info", "trial %d: %lld bytes, %s %.4f on what is held out", j->trial + 1,
                   (long long)bytes, j->task->metric, metric);
    tell(j, "bytes", (double)bytes);
    tell(j, "metric", metric);
    tell(j, "sparsity", p->sparsity);
    tell(j, "bits", p->bits);
    if (p->price > 0)
        tell(j, "price", p->price);
}

static int run(struct job *j, const struct search_point *p, const char *spec, struct err *e)
{
    char price[48] = "";

    if (p->price > 0)
        snprintf(price, sizeof price, ", %.4g nats a bit", p->price);
    events_log(j->events, "info", "trial %d of at most %d: sparsity %.6g, %d bits%s", j->trial + 1, j->trials,
               p->sparsity, p->bits, price);
    int status = begin(j, e);
    if (!status)
        status = job_pipeline(j, e);
    const bool diverged = status == ERR_DIVERGED;
    if (status && !diverged)
        return status;
    tell_end(j, p, diverged);
    return save(j, j->trial, spec, diverged, e);
}

static void forget_checkpoints(const struct job *j, int trial)
{
    static const char *const names[] = { "-checkpoint", "-checkpoint-prune" };
    char path[4096];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        trial_path(j, trial, names[i], path);
        unlink(path); /* only disk space is at stake */
    }
}

int job_trial(struct job *j, int trial, const struct search_point *p, json_t **found, struct err *e)
{
    json_t *spec = j->spec;
    unsigned char job_hash[HASH_BYTES];
    char text[HASH_TEXT];
    int status = 0;

    memcpy(job_hash, j->spec_hash, sizeof job_hash);
    json_t *own = trial_spec(j, p, j->spec_hash);
    if (!own)
        return err_set(e, ERR_NOMEM, "out of memory for a trial");
    hash_text(j->spec_hash, text);
    j->trial = trial;
    if (!(*found = load(j, trial, text))) {
        j->spec = own;
        snprintf(j->prefix, sizeof j->prefix, "trial-%d-", trial + 1);
        status = run(j, p, text, e);
        j->prefix[0] = 0;
        j->spec = spec;
        if (!status && !(*found = load(j, trial, text)))
            status = err_set(e, ERR_IO, "trial %d can't be read back", trial + 1);
    }
    memcpy(j->spec_hash, job_hash, sizeof job_hash);
    if (!status)
        forget_checkpoints(j, trial);
    json_decref(own);
    return status;
}

static const char *const files[] = { "-model.qdz", "-model.onnx" };

void job_trial_drop(const struct job *j, int trial)
{
    char path[4096];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        trial_path(j, trial, files[i], path);
        unlink(path);
    }
}

void job_trial_forget(const struct job *j, int trial)
{
    char path[4096];

    job_trial_drop(j, trial);
    forget_checkpoints(j, trial);
    trial_path(j, trial, ".json", path);
    unlink(path);
}

int job_trial_deliver(const struct job *j, int trial, struct err *e)
{
    char from[4096], to[4096], *data;
    size_t length;
    int status = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files && !status; i++) {
        trial_path(j, trial, files[i], from);
        snprintf(to, sizeof to, "%s/out/%s", j->dir, files[i] + 1);
        if ((status = file_load(from, JOB_MODEL_MAX, &data, &length, e)))
            return status;
        status = file_publish(to, data, length, 0644, e);
        free(data);
    }
    return status;
}
