/* job_create.c - POST /v1/jobs: document -> complete specification -> inputs found and held against each
 * other -> row. Every problem is collected before anything is answered, and nothing is stored until there is
 * none. */
#include "api/document.h"
#include "api/handle.h"
#include "api/query.h"
#include "api/resolve.h"
#include "api/show.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTEMPTS 3
#define KEY_MAX      255

struct creation {
    bool dry_run;
    char key[KEY_MAX + 1]; /* Idempotency-Key; "" none */
    char body_hash[HASH_TEXT];
    json_t *given; /* owned: the body */
    json_t *spec;  /* owned: complete */
    struct resolved model, dataset;
    int64_t not_before_ms;
    struct spec_problems problems;
};

static void creation_free(struct creation *c)
{
    json_decref(c->given);
    json_decref(c->spec);
    resolved_free(&c->model);
    resolved_free(&c->dataset);
}

static int read_key(const struct exchange *x, struct creation *c, struct err *e)
{
    const char *key = x->header(x, "Idempotency-Key");
    unsigned char digest[HASH_BYTES];
    size_t n = key ? strlen(key) : 0;

    if (!key)
        return 0;
    if (n < 1 || n > KEY_MAX)
        return err_set(e, ERR_SYNTAX, "an Idempotency-Key has 1 to %d characters", KEY_MAX);
    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            return err_set(e, ERR_SYNTAX, "an Idempotency-Key is made of visible ASCII characters");
    memcpy(c->key, key, n + 1);
    hash_bytes(x->body, x->body_length, digest);
    hash_text(digest, c->body_hash);
    return 0;
}

static void check_time(struct creation *c)
{
    const char *text = spec_text(c->spec, "/not_before", NULL);

    if (text && clock_parse(text, &c->not_before_ms) < 0)
        spec_problem(&c->problems, "/not_before", "format", "must be a time like 2026-01-31T10:00:00Z");
}

/* More CPUs than there are would wait for ever. */
static void check_slots(const struct api *api, struct creation *c)
{
    int64_t cpus = spec_int(c->spec, "/resources/cpus", 1), slots = api->service->slots(api->service->arg);

    if (cpus > slots)
        spec_problem(&c->problems, "/resources/cpus", "range",
                     "this server gives at most %" PRId64 " to jobs", slots);
}

static int find_inputs(struct api *api, struct creation *c, struct err *e)
{
    int rc = resolve_model(api, c->spec, &c->model, &c->problems, e);

    if (rc == 0)
        rc = resolve_dataset(api, c->spec, &c->dataset, &c->problems, e);
    if (rc == 0)
        resolve_check(c->spec, &c->model, &c->dataset, &c->problems);
    if (rc == 0 && c->problems.count == 0) {
        json_object_set_new(c->spec, "model", json_string(c->model.reference));
        json_object_set_new(c->spec, "dataset", json_string(c->dataset.reference));
    }
    return rc;
}

static int creation_read(const struct exchange *x, struct creation *c, struct err *e)
{
    int rc = query_flag(x, "dry_run", &c->dry_run, e);

    if (rc == 0)
        rc = document_body(x, &c->given, e);
    return rc < 0 ? rc : read_key(x, c, e);
}

/* 0 with the problems filled in or not; negative: the machinery is at fault. */
static int creation_complete(struct api *api, struct creation *c, struct err *e)
{
    int rc = spec_complete(api->capabilities, c->given, &c->spec, &c->problems);

    if (rc == ERR_INVALID)
        return 0;
    if (rc < 0)
        return err_set(e, rc, "the specification can't be completed");
    check_time(c);
    check_slots(api, c);
    return find_inputs(api, c, e);
}

/* What is known of the cost before anything has run. */
static void answer_dry_run(struct exchange *x, const struct creation *c)
{
    const json_t *bytes = json_object_get(c->model.info, "memory_bytes");
    json_t *known = json_is_integer(bytes) ? json_integer(json_integer_value(bytes)) : json_null();

    exchange_json(x, 200, json_pack("{s:O,s:{s:o}}", "spec", c->spec, "estimate", "memory_bytes", known));
}

static int creation_store(struct api *api, const struct exchange *x, const struct creation *c, struct job *j,
                          bool *existed, struct err *e)
{
    json_t *stored = json_copy(c->spec), *tags = json_object_get(c->spec, "tags");
    json_t *inputs = json_pack("{s:O,s:O}", "model", c->model.input, "dataset", c->dataset.input);
    int rc = json_object_set_new(stored, "inputs", inputs) == 0 ? 0 : ERR_NOMEM;
    char *spec_json = rc == 0 ? json_dumps(stored, JSON_COMPACT) : NULL;
    char *tags_json = json_is_array(tags) ? json_dumps(tags, JSON_COMPACT) : strdup("[]");
    struct job_new n = {
        .kind = spec_text(c->spec, "/kind", ""),
        .name = spec_text(c->spec, "/name", ""),
        .owner = x->user,
        .tags = tags_json,
        .spec = spec_json,
        .model_hash = c->model.hash[0] ? c->model.hash : NULL,
        .dataset_hash = c->dataset.hash[0] ? c->dataset.hash : NULL,
        .priority = (int)spec_int(c->spec, "/priority", 0),
        .cpus = (int)spec_int(c->spec, "/resources/cpus", 1),
        .max_attempts = MAX_ATTEMPTS,
        .memory_mb = spec_int(c->spec, "/resources/memory_mb", 2048),
        .wall_s = spec_int(c->spec, "/resources/wall_s", 86400),
        .not_before_ms = c->not_before_ms,
    };

    if (!spec_json || !tags_json)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    else
        rc = job_add(api->db, &n, c->key[0] ? c->key : NULL, c->body_hash, j, existed, e);
    json_decref(stored);
    free(spec_json);
    free(tags_json);
    return rc;
}

static void answer_job(struct api *api, struct exchange *x, const struct job *j)
{
    exchange_header(x, "Location", "/v1/jobs/%" PRId64, j->id);
    job_answer(api, x, 202, j);
}

/* A request sent again gets the job that the first one made, whatever has become of its model meanwhile. */
static bool answer_replay(struct api *api, struct exchange *x, const struct creation *c)
{
    struct err e = { 0 };
    struct job j;
    int rc;

    if (!c->key[0] || c->dry_run)
        return false;
    rc = job_find_key(api->db, x->user, c->key, c->body_hash, &j, &e);
    if (rc == ERR_NOT_FOUND)
        return false;
    if (rc < 0)
        exchange_problem(x, &e);
    else
        answer_job(api, x, &j);
    job_free(&j);
    return true;
}

static void answer_creation(struct api *api, struct exchange *x, const struct creation *c)
{
    struct err e = { 0 };
    struct job j = { 0 };
    bool existed = false;

    if (creation_store(api, x, c, &j, &existed, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    if (!existed) {
        api->service->events_changed(api->service->arg);
        api->service->kick(api->service->arg);
    }
    answer_job(api, x, &j);
    job_free(&j);
}

void handle_job_create(struct api *api, struct exchange *x)
{
    struct creation c = { .dry_run = false };
    struct err e = { 0 };

    if (!query_ok(x))
        return;
    if (creation_read(x, &c, &e) < 0)
        exchange_problem(x, &e);
    else if (answer_replay(api, x, &c))
        ;
    else if (creation_complete(api, &c, &e) < 0)
        exchange_problem(x, &e);
    else if (c.problems.count)
        exchange_problems(x, ERR_INVALID, &c.problems);
    else if (c.dry_run)
        answer_dry_run(x, &c);
    else
        answer_creation(api, x, &c);
    creation_free(&c);
}
