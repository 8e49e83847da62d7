/* job_json.c - a job's row as JSON. */
#include "api/handle.h"
#include "api/show.h"
#include "api/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *links_json(int64_t id)
{
    static const char *const names[] = { "events", "metrics", "log", "artifacts" };
    json_t *links = json_object();
    char path[64];

    snprintf(path, sizeof path, "/v1/jobs/%" PRId64, id);
    json_object_set_new(links, "self", json_string(path));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/%s", id, names[i]);
        json_object_set_new(links, names[i], json_string(path));
    }
    return links;
}

static json_t *attempt_json(const struct attempt *a)
{
    bool ended = a->ended_ms != 0;

    return json_pack("{s:i,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:b,s:I,s:f}", "number", a->number, "launcher",
                     a->launcher, "handle", a->handle, "host", a->host, "started", handle_time(a->started_ms),
                     "ended", handle_time(a->ended_ms), "exit_code",
                     ended && a->exit_code >= 0 ? json_integer(a->exit_code) : json_null(), "signal",
                     a->signal ? json_integer(a->signal) : json_null(), "end",
                     a->end[0] ? json_string(a->end) : json_null(), "charged", a->charged != 0, "peak_kb",
                     (json_int_t)a->peak_kb, "cpu_s", a->cpu_s);
}

static int attempts_json(struct api *api, int64_t job, json_t **out, struct err *e)
{
    struct attempt *list = NULL;
    int count = 0, rc = attempt_list(api->db, job, &list, &count, e);

    if (rc < 0)
        return rc;
    *out = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(*out, attempt_json(&list[i]));
    free(list);
    return 0;
}

/* The part that only one job's own page has. "inputs" is the server's addition: without it the specification
 * can be posted again as it is. */
static int add_details(struct api *api, const struct job *j, json_t *job, struct err *e)
{
    json_t *spec = stored_json(j->spec), *attempts = NULL;
    json_t *inputs = json_incref(json_object_get(spec, "inputs"));
    int rc = attempts_json(api, j->id, &attempts, e);

    json_object_del(spec, "inputs");
    json_object_set_new(job, "spec", spec);
    json_object_set_new(job, "inputs", inputs ? inputs : json_null());
    if (rc == 0)
        json_object_set_new(job, "attempts", attempts);
    return rc;
}

/* What a queue wants to show of the specification, which lists don't carry. null where the kind has no such
 * thing. */
static void add_summary(const struct job *j, json_t *job)
{
    static const struct {
        const char *key, *pointer;
    } shown[] = {
        { "method", "/quantize/method" },
        { "weight_bits", "/quantize/weights/bits" },
        { "activation_bits", "/quantize/activations/bits" },
    };
    json_t *spec = stored_json(j->spec);

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const json_t *value = spec_at(spec, shown[i].pointer);
        json_object_set_new(job, shown[i].key, value ? json_deep_copy(value) : json_null());
    }
    json_decref(spec);
}

int job_json(struct api *api, const struct job *j, bool full, json_t **out, struct err *e)
{
    int64_t ahead = 0;
    int rc = j->state == JOB_QUEUED ? job_position(api->db, j->id, &ahead, e) : 0;
    json_t *job;

    *out = NULL;
    if (rc < 0)
        return rc;
    job = json_pack("{s:I,s:s,s:s,s:o,s:s,s:s,s:s,s:i,s:o}", "id", (json_int_t)j->id, "kind", j->kind, "name",
                    j->name, "tags", stored_json(j->tags), "owner", j->owner, "state",
                    job_state_text(j->state), "reason", j->reason ? j->reason : "", "priority", j->priority,
                    "position", j->state == JOB_QUEUED ? json_integer(ahead) : json_null());
    if (!job)
        return err_set(e, ERR_NOMEM, "out of memory");
    json_object_set_new(job, "created", handle_time(j->created_ms));
    json_object_set_new(job, "started", handle_time(j->started_ms));
    json_object_set_new(job, "finished", handle_time(j->finished_ms));
    json_object_set_new(job, "updated", handle_time(j->updated_ms));
    json_object_set_new(job, "not_before", handle_time(j->not_before_ms));
    json_object_set_new(job, "sweep", j->sweep ? json_integer(j->sweep) : json_null());
    json_object_set_new(job, "progress", stored_json(j->progress));
    json_object_set_new(job, "result", stored_json(j->result));
    add_summary(j, job);
    json_object_set_new(job, "links", links_json(j->id));
    rc = full ? add_details(api, j, job, e) : 0;
    if (rc < 0) {
        json_decref(job);
        return rc;
    }
    *out = job;
    return 0;
}

void job_answer(struct api *api, struct exchange *x, int status, const struct job *j)
{
    struct err e = { 0 };
    json_t *job;

    if (job_json(api, j, true, &job, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    exchange_json(x, status, job);
    if (x->status == status)
        snprintf(x->etag, sizeof x->etag, "W/\"%" PRId64 "\"", j->version);
}
