/* sweep.c - the commands about sweeps. One alone is shown as its table: a row per combination. */
#include "api/client/field.h"
#include "api/client/listing.h"
#include "api/client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const heads[] = { ">ID", "NAME", ">JOBS", ">LEFT", ">AGE", "AXES", NULL };

/* "train.seed (3), quantize.weights.bits (4)" */
static void axes_cell(struct table *t, const json_t *axes)
{
    struct buf text;
    const char *key;
    json_t *values;

    buf_init(&text, 4096);
    json_object_foreach((json_t *)axes, key, values)
        buf_printf(&text, "%s%s (%zu)", text.length ? ", " : "", key, json_array_size(values));
    table_text(t, text.data);
    buf_free(&text);
}

static void sweep_row(struct table *t, const json_t *sweep)
{
    char text[TEXT_SHORT];

    table_cell(t, "%" PRId64, field_int(sweep, "/id"));
    table_text(t, field_text(sweep, "/name"));
    table_cell(t, "%" PRId64, field_int(sweep, "/jobs"));
    table_cell(t, "%" PRId64, field_int(sweep, "/open"));
    table_text(t, text_age(field_text(sweep, "/created"), text));
    axes_cell(t, field_at(sweep, "/axes"));
}

static const struct listing sweeps = { "/v1/sweeps", heads, sweep_row };

int sweep_ls(struct client *c, const struct args *a)
{
    (void)a;
    return listing_ls(c, &sweeps, "/v1/sweeps?limit=50", 50);
}

int sweep_cancel(struct client *c, const struct args *a)
{
    return listing_each(c, &sweeps, a, "POST", "/cancel");
}

int sweep_rm(struct client *c, const struct args *a)
{
    return listing_each(c, &sweeps, a, "DELETE", "");
}

/* --- the table --- */

/* "99.41 % +- 0.05 %" */
static void mean_cell(struct table *t, const char *metric, const json_t *figure)
{
    const double mean = field_number(figure, "/mean"), deviation = field_number(figure, "/deviation");
    char a[TEXT_SHORT], b[TEXT_SHORT];

    if (isnan(mean))
        table_text(t, NULL);
    else if (isnan(deviation))
        table_text(t, text_metric(metric, mean, a));
    else
        table_cell(t, "%s +- %s", text_metric(metric, mean, a), text_metric(metric, deviation, b));
}

/* "quantize.weights.bits=2 quantize.method=lsq" */
static void values_cell(struct table *t, const json_t *values)
{
    struct buf text;
    const char *key;
    json_t *value;

    buf_init(&text, 4096);
    json_object_foreach((json_t *)values, key, value)
    {
        char *json = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        buf_printf(&text, "%s%s=%s", text.length ? " " : "", key, json ? json : json_string_value(value));
        free(json);
    }
    table_text(t, text.data);
    buf_free(&text);
}

static void table_row(struct table *t, const json_t *row)
{
    const double bytes = field_number(row, "/file_bytes/mean"), ratio = field_number(row, "/ratio/mean");
    const char *metric = field_text(row, "/metric");
    char text[TEXT_SHORT];

    values_cell(t, json_object_get(row, "values"));
    table_cell(t, "%" PRId64 "/%zu", field_int(row, "/states/succeeded"),
               json_array_size(json_object_get(row, "jobs")));
    mean_cell(t, metric ? metric : "", json_object_get(row, "value"));
    table_text(t, isnan(bytes) ? NULL : text_bytes((int64_t)bytes, text));
    if (isnan(ratio))
        table_text(t, NULL);
    else
        table_cell(t, "%.1fx", ratio);
    table_text(t, json_is_true(json_object_get(row, "pareto")) ? "*" : "");
}

static void print_table(const json_t *sweep)
{
    static const char *const columns[] = { "VALUES", ">DONE", ">VALUE", ">FILE", ">RATIO", "PARETO", NULL };
    struct table *t = table_new(columns);
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(sweep, "rows"), i, row) table_row(t, row);
    table_print(t, stdout);
    table_free(t);
}

static int show(struct client *c, int64_t id)
{
    json_t *sweep = NULL;
    char path[64];
    int code;

    snprintf(path, sizeof path, "/v1/sweeps/%" PRId64, id);
    code = client_get(c, path, &sweep);
    if (code == CLIENT_DONE && c->json)
        client_print_json(c, sweep, JSON_INDENT(2));
    else if (code == CLIENT_DONE)
        print_table(sweep);
    json_decref(sweep);
    return code;
}

int sweep_get(struct client *c, const struct args *a)
{
    int64_t id;

    return client_id(a->word[0], &id) ? show(c, id) : CLIENT_USAGE;
}

int watch_sweep(struct client *c, const json_t *sweep)
{
    const json_t *row, *job;
    int code = CLIENT_DONE, last;
    size_t i, k;

    json_array_foreach(json_object_get(sweep, "rows"), i, row)
    {
        json_array_foreach(json_object_get(row, "jobs"), k, job)
        {
            const int went = watch_job(c, json_integer_value(job));
            code = code == CLIENT_DONE ? went : code;
        }
    }
    last = show(c, field_int(sweep, "/id"));
    return code == CLIENT_DONE ? last : code;
}
