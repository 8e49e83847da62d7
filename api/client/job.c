/* job.c - the commands about jobs, but for submitting (submit.c) and watching (watch.c). */
#include "api/client/client.h"
#include "api/client/field.h"
#include "api/client/table.h"
#include "api/client/text.h"
#include "base/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const heads[] = { ">ID",   "NAME", "KIND",   "STATE", ">DONE",
                                     ">LEFT", ">AGE", ">VALUE", "WHY",   NULL };

/* Progress is shown while it moves; what is left of it in a finished job says nothing. */
static bool moving(const json_t *job)
{
    const char *state = field_text(job, "/state");

    return state && (strcmp(state, "running") == 0 || strcmp(state, "cancelling") == 0);
}

static void done_cell(struct table *t, const json_t *job)
{
    double step = field_number(job, "/progress/step"), steps = field_number(job, "/progress/steps");

    if (moving(job) && steps > 0 && step >= 0)
        table_cell(t, "%.0f %%", floor(100 * fmin(step / steps, 1)));
    else
        table_text(t, NULL);
}

static void job_row(struct table *t, const json_t *job)
{
    const char *metric = field_text(job, "/result/metric");
    double value = field_number(job, "/result/value"), eta = field_number(job, "/progress/eta_s");
    char text[TEXT_SHORT];

    table_cell(t, "%" PRId64, field_int(job, "/id"));
    table_text(t, field_text(job, "/name"));
    table_text(t, field_text(job, "/kind"));
    table_text(t, field_text(job, "/state"));
    done_cell(t, job);
    table_text(t, isnan(eta) || !moving(job) ? NULL : text_duration(eta, text));
    table_text(t, text_age(field_text(job, "/created"), text));
    table_text(t, metric && !isnan(value) ? text_metric(metric, value, text) : NULL);
    table_text(t, field_text(job, "/reason"));
}

static void print_jobs(const json_t *jobs)
{
    struct table *t = table_new(heads);
    const json_t *job;
    size_t i;

    json_array_foreach(jobs, i, job) job_row(t, job);
    table_print(t, stdout);
    table_free(t);
}

static void print_one(struct client *c, json_t *job)
{
    json_t *jobs = json_array();

    json_array_append(jobs, job);
    if (c->json)
        client_print_json(c, job, JSON_INDENT(2));
    else
        print_jobs(jobs);
    json_decref(jobs);
}

int job_ls(struct client *c, const struct args *a)
{
    static const char *const filters[] = { "state", "kind", "tag", "owner" };
    const char *limit = option_get(a, "limit");
    json_t *list = NULL;
    int64_t most = 50;
    char page[8];
    struct buf path;
    int code;

    if (limit && !num_int64(limit, 1, 100000, &most))
        return client_usage("--limit takes a number from 1 to 100000");
    snprintf(page, sizeof page, "%d", most < 200 ? (int)most : 200);
    buf_init(&path, 0);
    buf_text(&path, "/v1/jobs");
    http_query(&path, "limit", page);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        http_query(&path, filters[i], option_get(a, filters[i]));
    code = client_list(c, path.data ? path.data : "/v1/jobs", (int)most, &list);
    buf_free(&path);
    if (code == CLIENT_DONE && c->json)
        client_print_json(c, list, JSON_INDENT(2));
    else if (code == CLIENT_DONE)
        print_jobs(json_object_get(list, "items"));
    json_decref(list);
    return code;
}

/* `method` on /v1/jobs/ID + suffix, for each id given; prints the jobs that come back. */
static int each(struct client *c, const struct args *a, const char *method, const char *suffix)
{
    int code = CLIENT_DONE;
    int64_t id;

    for (int i = 0; i < a->words && code == CLIENT_DONE; i++) {
        json_t *job = NULL;
        char path[64];
        if (!client_id(a->word[i], &id))
            return CLIENT_USAGE;
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "%s", id, suffix);
        code = client_call(c, &(struct http_request){ .method = method, .path = path }, &job);
        if (job)
            print_one(c, job);
        json_decref(job);
    }
    return code;
}

int job_get(struct client *c, const struct args *a)
{
    return each(c, a, NULL, "");
}

int job_cancel(struct client *c, const struct args *a)
{
    return each(c, a, "POST", "/cancel");
}

int job_retry(struct client *c, const struct args *a)
{
    return each(c, a, "POST", "/retry");
}

int job_rm(struct client *c, const struct args *a)
{
    return each(c, a, "DELETE", "");
}

int job_watch(struct client *c, const struct args *a)
{
    int64_t id;

    return client_id(a->word[0], &id) ? watch_job(c, id) : CLIENT_USAGE;
}

int job_log(struct client *c, const struct args *a)
{
    struct http_answer answer;
    struct err e = { 0 };
    char path[64];
    int code = CLIENT_DONE;
    int64_t id;

    if (!client_id(a->word[0], &id))
        return CLIENT_USAGE;
    snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/log", id);
    if (http_call(c->http, &(struct http_request){ .path = path }, &answer, &e) < 0)
        code = client_error(&e);
    else if (answer.status != 200)
        code = client_problem(&answer);
    else
        text_put(stdout, answer.body.data, true);
    http_answer_free(&answer);
    return code;
}
