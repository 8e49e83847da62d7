/* job_finish.c - result.json and the report. result.json is written last: it says that everything else is
 * there. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/clock.h"
#include "base/file.h"
#include "worker/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

static void set_int(json_t *o, const char *key, int64_t value)
{
    json_object_set_new(o, key, json_integer(value));
}

static void set_real(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, json_real(value));
}

static void set_text(json_t *o, const char *key, const char *value)
{
    json_object_set_new(o, key, json_string(value));
}

static json_t *bytes_or_null(int64_t bytes)
{
    return bytes < 0 ? json_null() : json_integer((json_int_t)bytes);
}

/* Training from random weights: what they score before is no float model's figure. */
static bool random_start(const struct job *j)
{
    return j->kind->trains && !j->kind->quantizes && !j->kind->prunes &&
           spec_text(j->spec, "/inputs/model/zoo", NULL);
}

static json_t *make_result(const struct job *j)
{
    json_t *r = json_object();

    set_int(r, "format", 1);
    set_text(r, "kind", j->kind->name);
    set_text(r, "task", j->task->name);
    set_text(r, "metric", j->task->metric);
    set_real(r, "value", j->value);
    if (!random_start(j))
        set_real(r, "float_value", j->float_value);
    set_int(r, "samples", j->samples);
    json_object_update(r, j->detail);
    if (!j->kind->trains && j->per_second > 0) {
        set_text(r, "engine", j->engine->name);
        set_real(r, "images_per_s", j->per_second);
        set_real(r, "float_images_per_s", j->float_per_second);
    }
    set_int(r, "float_bytes", j->float_bytes);
    if (j->kind->trains) {
        set_real(r, "trained_value", j->trained_value);
        set_int(r, "onnx_bytes", j->onnx_bytes);
        set_int(r, "file_bytes", j->file_bytes);
        set_int(r, "payload_bytes", j->payload_bytes);
        json_object_set_new(r, "model_file_bytes",
                            j->model_bytes ? json_integer((json_int_t)j->model_bytes) : json_null());
        json_object_set_new(r, "memory_bytes",
                            json_pack("{s:o, s:o}", "int8", bytes_or_null(j->int8_bytes), "bits",
                                      bytes_or_null(j->bits_bytes)));
        set_int(r, "skeleton_bytes", j->sizes.skeleton);
        if (job_exact(j))
            set_int(r, "exact_layers", j->exact_layers);
        set_real(r, "ratio", (double)j->float_bytes / (double)j->file_bytes);
        set_text(r, "weights_sha256", j->weights_hash);
        json_object_set(r, "layers", j->layers);
    }
    if (j->search)
        json_object_set(r, "search", j->search);
    if (j->kind->analyses)
        json_object_set(r, "sensitivity", j->layers);
    if (j->kind->prunes)
        json_object_set_new(r, "prune",
                            json_pack("{s:s, s:f, s:f, s:f, s:I, s:I}", "method",
                                      spec_text(j->spec, "/prune/method", "partial-l2"), "sparsity",
                                      j->pruned_share, "before", j->pruned_before, "after", j->pruned_value,
                                      "units_removed", (json_int_t)j->units_removed, "parameters",
                                      (json_int_t)j->parameters_left));
    if (j->kind->quantizes) {
        set_text(r, "method", spec_text(j->spec, "/quantize/method", ""));
        set_text(r, "precision", precision_list[job_precision(j)]);
        json_object_set_new(r, "snap",
                            json_pack("{s:f, s:f}", "before", j->latent_value, "after", j->trained_value));
    }
    set_int(r, "seed", spec_int(j->spec, "/train/seed", 1));
    set_int(r, "threads", j->threads);
    set_text(r, "version", QUANTD_VERSION);
    set_text(r, "kernels", j->kernels->name);
    set_text(r, "blas", kernels_blas());
    set_int(r, "planned_bytes", (int64_t)j->planned_bytes);
    set_int(r, "peak_bytes", (int64_t)job_peak_bytes());
    set_real(r, "wall_s", (double)clock_mono_ns() * 1e-9 - j->started_s);
    set_real(r, "cpu_s", clock_cpu_s());
    return r;
}

static void announce_artifacts(struct job *j)
{
    static const char *const names[] = { "model.onnx",  "model.qdz",   "curves.csv",  "curves.svg",
                                         "layers.csv",  "report.html", "result.json", "log.txt",
                                         "classes.csv", "pareto.json", "pareto.csv" };
    char path[4096];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/out/%s", j->dir, names[i]);
        int64_t bytes = file_size(path);
        if (bytes >= 0)
            events_emit(j->events, "artifact",
                        json_pack("{s:s, s:I}", "name", names[i], "bytes", (json_int_t)bytes));
    }
}

int job_finish(struct job *j, struct err *e)
{
    char out[4096], path[4096 + 16];
    json_t *result = NULL;
    char *text = NULL;
    int status;

    events_phase(j->events, "report");
    snprintf(out, sizeof out, "%s/out", j->dir);
    result = make_result(j);
    text = result ? json_dumps(result, JSON_INDENT(2)) : NULL;
    if (!text) {
        status = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    if ((status = report_write(out, &j->curves, j->spec, result, e)) || (status = job_log(j, e)))
        goto out;
    snprintf(path, sizeof path, "%s/result.json", out);
    if ((status = file_publish(path, text, strlen(text), 0644, e)))
        goto out;
    announce_artifacts(j);
    snprintf(path, sizeof path, "%s/result.json", j->dir);
    if ((status = file_publish(path, text, strlen(text), 0644, e)))
        goto out;
    events_emit(j->events, "done", json_pack("{s:s, s:f}", "metric", j->task->metric, "value", j->value));
    for (int i = 0; j->search && i < j->trials; i++)
        job_trial_forget(j, i);
out:
    free(text);
    json_decref(result);
    return status;
}
