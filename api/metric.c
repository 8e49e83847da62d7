/* metric.c - the curves of a job, as JSON or CSV. */
#include "storage/metric.h"

#include "api/handle.h"
#include "api/query.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_DEFAULT 2000 /* of one series: more than a screen is wide */
#define POINTS_MAX     100000
#define TOTAL_MAX      500000 /* points of all series in one answer: what bounds its memory */

struct request {
    int64_t job, points;
    const char *series; /* names with commas between; NULL: all */
    bool csv;
};

static int request_read(struct api *api, const struct exchange *x, struct request *r, struct err *e)
{
    const char *format = x->query(x, "format");
    struct job j;
    int rc = handle_job(api, x, &j, e);

    r->job = j.id;
    job_free(&j);
    r->points = POINTS_DEFAULT;
    if (rc == 0)
        rc = query_int(x, "points", 2, POINTS_MAX, &r->points, e);
    if (rc < 0)
        return rc;
    r->series = x->query(x, "series");
    r->csv = format && strcmp(format, "csv") == 0;
    if (!format || r->csv || strcmp(format, "json") == 0)
        return 0;
    err_set(e, ERR_SYNTAX, "format must be json or csv");
    return err_at(e, "?format");
}

/* Is this name in the comma-separated list? */
static bool wanted(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
        if (!*p)
            break;
    }
    return list == NULL;
}

static json_t *points_json(const struct metric *list, int count)
{
    json_t *steps = json_array(), *values = json_array();

    for (int i = 0; i < count; i++) {
        json_array_append_new(steps, json_integer(list[i].step));
        json_array_append_new(values, isfinite(list[i].value) ? json_real(list[i].value) : json_null());
    }
    return json_pack("{s:o,s:o}", "steps", steps, "values", values);
}

static void points_csv(const struct metric *list, int count, struct buf *b)
{
    for (int i = 0; i < count; i++)
        buf_printf(b, "%s,%" PRId64 ",%.15g\n", list[i].series, list[i].step, list[i].value);
}

/* One series after the other. */
static int collect(struct api *api, const struct request *r, json_t *json, struct buf *csv, struct err *e)
{
    char(*names)[SERIES_NAME] = NULL;
    int names_count = 0, total = 0;
    int rc = metric_series(api->db, r->job, &names, &names_count, e);

    for (int i = 0; rc == 0 && i < names_count; i++) {
        struct metric *list = NULL;
        int count = 0;
        if (!wanted(r->series, names[i]))
            continue;
        rc = metric_list(api->db, r->job, names[i], (int)r->points, &list, &count, e);
        total += count;
        if (rc == 0 && total > TOTAL_MAX)
            rc = err_set(e, ERR_TOO_LARGE,
                         "more than %d points, ask for fewer with series= or points=", TOTAL_MAX);
        else if (rc == 0 && r->csv)
            points_csv(list, count, csv);
        else if (rc == 0)
            json_object_set_new(json, names[i], points_json(list, count));
        free(list);
    }
    free(names);
    return rc;
}

void handle_job_metrics(struct api *api, struct exchange *x)
{
    struct request r = { 0 };
    struct err e = { 0 };
    json_t *series = json_object();
    struct buf csv;

    buf_init(&csv, 0);
    if (!query_ok(x))
        goto out;
    buf_text(&csv, "series,step,value\n");
    if (request_read(api, x, &r, &e) < 0 || collect(api, &r, series, &csv, &e) < 0) {
        exchange_problem(x, &e);
    } else if (!r.csv) {
        exchange_json(x, 200, json_pack("{s:O}", "series", series));
    } else if (csv.failed) {
        err_set(&e, ERR_NOMEM, "out of memory");
        exchange_problem(x, &e);
    } else {
        exchange_text(x, 200, "text/csv; charset=utf-8", csv.data);
        exchange_header(x, "Content-Disposition", "attachment; filename=\"job-%" PRId64 "-metrics.csv\"",
                        r.job);
    }
out:
    buf_free(&csv);
    json_decref(series);
}
