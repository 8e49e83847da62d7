/* draft.c - from a document to everything that a job's row holds. Every problem is collected. */
#include "api/draft.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTEMPTS 3

void draft_free(struct draft *d)
{
    json_decref(d->spec);
    resolved_free(&d->model);
    resolved_free(&d->dataset);
    free(d->spec_text);
    free(d->tags_text);
    *d = (struct draft){ 0 };
}

static void check_time(struct draft *d, struct spec_problems *p)
{
    const char *text = spec_text(d->spec, "/not_before", NULL);

    if (text && clock_parse(text, &d->not_before_ms) < 0)
        spec_problem(p, "/not_before", "format", "must be a time like 2026-01-31T10:00:00Z");
}

/* More CPUs than there are would wait for ever. */
static void check_slots(const struct api *api, struct draft *d, struct spec_problems *p)
{
    int64_t cpus = spec_int(d->spec, "/resources/cpus", 1), slots = api->service->slots(api->service->arg);

    if (cpus > slots)
        spec_problem(p, "/resources/cpus", "range", "this server gives at most %" PRId64 " to jobs", slots);
}

static int find_inputs(struct api *api, struct draft *d, struct spec_problems *p, struct err *e)
{
    int rc = resolve_model(api, d->spec, &d->model, p, e);

    if (rc == 0)
        rc = resolve_dataset(api, d->spec, &d->dataset, p, e);
    if (rc == 0)
        resolve_check(d->spec, &d->model, &d->dataset, p);
    if (rc == 0 && p->count == 0) {
        json_object_set_new(d->spec, "model", json_string(d->model.reference));
        json_object_set_new(d->spec, "dataset", json_string(d->dataset.reference));
    }
    return rc;
}

int draft_complete(struct api *api, const json_t *given, struct draft *d, struct spec_problems *p,
                   struct err *e)
{
    int rc = spec_complete(api->capabilities, given, &d->spec, p);

    if (rc == ERR_INVALID)
        return 0;
    if (rc < 0)
        return err_set(e, rc, "the specification can't be completed");
    check_time(d, p);
    check_slots(api, d, p);
    return find_inputs(api, d, p, e);
}

int draft_row(struct draft *d, const char *owner, struct job_new *n, struct err *e)
{
    json_t *stored = json_copy(d->spec), *tags = json_object_get(d->spec, "tags");
    json_t *inputs = json_pack("{s:O,s:O}", "model", d->model.input, "dataset", d->dataset.input);

    if (json_object_set_new(stored, "inputs", inputs) == 0)
        d->spec_text = json_dumps(stored, JSON_COMPACT);
    d->tags_text = json_is_array(tags) ? json_dumps(tags, JSON_COMPACT) : strdup("[]");
    json_decref(stored);
    json_decref(d->model.info);
    json_decref(d->dataset.info);
    d->model.info = d->dataset.info = NULL;
    if (!d->spec_text || !d->tags_text)
        return err_set(e, ERR_NOMEM, "out of memory");
    *n = (struct job_new){
        .kind = spec_text(d->spec, "/kind", ""),
        .name = spec_text(d->spec, "/name", ""),
        .owner = owner,
        .tags = d->tags_text,
        .spec = d->spec_text,
        .model_hash = d->model.hash[0] ? d->model.hash : NULL,
        .dataset_hash = d->dataset.hash[0] ? d->dataset.hash : NULL,
        .priority = (int)spec_int(d->spec, "/priority", 0),
        .cpus = (int)spec_int(d->spec, "/resources/cpus", 1),
        .max_attempts = MAX_ATTEMPTS,
        .memory_mb = spec_int(d->spec, "/resources/memory_mb", 2048),
        .wall_s = spec_int(d->spec, "/resources/wall_s", 86400),
        .not_before_ms = d->not_before_ms,
    };
    return 0;
}

json_t *draft_estimate(const struct draft *d)
{
    const json_t *bytes = json_object_get(d->model.info, "memory_bytes");

    return json_pack("{s:o}", "memory_bytes",
                     json_is_integer(bytes) ? json_integer(json_integer_value(bytes)) : json_null());
}
