/* job.c - the commands about jobs, but for submitting (submit.c) and watching (watch.c). */
#include "api/client/field.h"
#include "api/client/listing.h"
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

static const struct listing jobs = { "/v1/jobs", heads, job_row };

int job_ls(struct client *c, const struct args *a)
{
    static const char *const filters[] = { "state", "kind", "tag", "owner", "sweep" };
    const char *limit = option_get(a, "limit");
    int64_t most = 50;
    char page[8];
    struct buf path;
    int code;

    if (limit && !num_int64(limit, 1, 100000, &most))
        return client_usage("--limit takes a number from 1 to 100000");
    snprintf(page, sizeof page, "%d", most < 200 ? (int)most : 200);
    buf_init(&path, 0);
    buf_text(&path, jobs.path);
    http_query(&path, "limit", page);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        http_query(&path, filters[i], option_get(a, filters[i]));
    code = listing_ls(c, &jobs, path.data ? path.data : jobs.path, (int)most);
    buf_free(&path);
    return code;
}

int job_get(struct client *c, const struct args *a)
{
    return listing_each(c, &jobs, a, NULL, "");
}

int job_cancel(struct client *c, const struct args *a)
{
    return listing_each(c, &jobs, a, "POST", "/cancel");
}

int job_retry(struct client *c, const struct args *a)
{
    return listing_each(c, &jobs, a, "POST", "/retry");
}

int job_rm(struct client *c, const struct args *a)
{
    return listing_each(c, &jobs, a, "DELETE", "");
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
