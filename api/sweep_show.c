/* sweep_show.c - sweeps as JSON and CSV. */
#include "api/sweep_show.h"

#include "api/handle.h"
#include "api/show.h"
#include "api/sweep_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON --- */

json_t *sweep_json(const struct sweep *s)
{
    char self[64], jobs[64], table[64];

    snprintf(self, sizeof self, "/v1/sweeps/%" PRId64, s->id);
    snprintf(jobs, sizeof jobs, "/v1/jobs?sweep=%" PRId64, s->id);
    snprintf(table, sizeof table, "/v1/sweeps/%" PRId64 "?format=csv", s->id);
    return json_pack("{s:I,s:s,s:s,s:o,s:o,s:i,s:i,s:{s:s,s:s,s:s}}", "id", (json_int_t)s->id, "name",
                     s->name, "owner", s->owner, "created", handle_time(s->created_ms), "axes",
                     stored_json(s->axes), "jobs", s->jobs, "open", s->open, "links", "self", self, "jobs",
                     jobs, "table", table);
}

static json_t *mean_json(const struct sweep_mean *m)
{
    const double deviation = sweep_deviation(m);

    return m->n == 0 ? json_null()
                     : json_pack("{s:i,s:f,s:o}", "n", m->n, "mean", m->mean, "deviation",
                                 isnan(deviation) ? json_null() : json_real(deviation));
}

static json_t *row_json(const struct sweep_table *t, const struct sweep_row *row)
{
    json_t *values = json_object(), *ids = json_array(), *states = json_object();
    json_t *out =
        json_pack("{s:o,s:o,s:o,s:o,s:b}", "values", values, "jobs", ids, "states", states, "metric",
                  row->metric[0] ? json_string(row->metric) : json_null(), "pareto", row->pareto);

    for (int i = 0; i < t->axes.count; i++)
        if (i != t->seed)
            json_object_set_new(values, t->axes.axis[i].key,
                                json_deep_copy(axes_value(&t->axes, i, row->place)));
    for (int i = 0; i < row->jobs; i++)
        json_array_append_new(ids, json_integer(row->ids[i]));
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (row->state[i])
            json_object_set_new(states, job_state_text((enum job_state)i), json_integer(row->state[i]));
    for (int i = 0; i < SWEEP_FIGURES; i++)
        json_object_set_new(out, sweep_figure_names[i], mean_json(&row->figure[i]));
    return out;
}

int sweep_full_json(struct api *api, const struct sweep *s, json_t **out, struct err *e)
{
    struct sweep_table t;
    int rc = sweep_table_read(api->db, s, &t, e);
    json_t *rows = rc == 0 ? json_array() : NULL;

    *out = rc == 0 ? sweep_json(s) : NULL;
    for (int i = 0; rows && i < t.rows; i++)
        json_array_append_new(rows, row_json(&t, &t.row[i]));
    if (rc == 0 && json_object_set_new(*out, "rows", rows) < 0)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    sweep_table_free(&t);
    return rc;
}

/* --- CSV --- */

/* A string is quoted: it may hold commas. */
static void value_csv(const json_t *value, struct buf *b)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    if (text)
        buf_text(b, text);
    free(text);
    if (!json_is_string(value))
        return;
    buf_text(b, "\"");
    for (const char *p = json_string_value(value); *p; p++)
        buf_printf(b, *p == '"' ? "\"%c" : "%c", *p);
    buf_text(b, "\"");
}

static void head_csv(const struct sweep_table *t, struct buf *b)
{
    for (int i = 0; i < t->axes.count; i++)
        if (i != t->seed)
            buf_printf(b, "%s,", t->axes.axis[i].key);
    buf_text(b, "jobs,succeeded,metric");
    for (int i = 0; i < SWEEP_FIGURES; i++)
        buf_printf(b, ",%s_mean,%s_deviation", sweep_figure_names[i], sweep_figure_names[i]);
    buf_text(b, ",pareto\n");
}

/* What is not known is left empty. */
static void row_csv(const struct sweep_table *t, const struct sweep_row *row, struct buf *b)
{
    for (int i = 0; i < t->axes.count; i++)
        if (i != t->seed) {
            value_csv(axes_value(&t->axes, i, row->place), b);
            buf_text(b, ",");
        }
    buf_printf(b, "%d,%d,%s", row->jobs, row->state[JOB_SUCCEEDED], row->metric);
    for (int i = 0; i < SWEEP_FIGURES; i++) {
        const struct sweep_mean *m = &row->figure[i];
        const double deviation = sweep_deviation(m);
        buf_text(b, ",");
        if (m->n)
            buf_printf(b, "%.15g", m->mean);
        buf_text(b, ",");
        if (!isnan(deviation))
            buf_printf(b, "%.15g", deviation);
    }
    buf_printf(b, ",%d\n", row->pareto);
}

int sweep_csv(struct api *api, const struct sweep *s, struct buf *out, struct err *e)
{
    struct sweep_table t;
    int rc = sweep_table_read(api->db, s, &t, e);

    if (rc == 0) {
        head_csv(&t, out);
        for (int i = 0; i < t.rows; i++)
            row_csv(&t, &t.row[i], out);
        rc = out->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
    }
    sweep_table_free(&t);
    return rc;
}

/* --- answers --- */

void sweep_answer(struct api *api, struct exchange *x, int status, const struct sweep *s)
{
    struct err e = { 0 };
    json_t *body = NULL;

    if (sweep_full_json(api, s, &body, &e) < 0) {
        json_decref(body);
        exchange_problem(x, &e);
        return;
    }
    if (status == 202)
        exchange_header(x, "Location", "/v1/sweeps/%" PRId64, s->id);
    exchange_json(x, status, body);
    if (x->status == status)
        snprintf(x->etag, sizeof x->etag, "W/\"%d-%" PRId64 "\"", s->jobs, s->version);
}

void sweep_answer_id(struct api *api, struct exchange *x, int status, int64_t id)
{
    struct err e = { 0 };
    struct sweep s;

    if (sweep_get(api->db, id, &s, &e) < 0)
        exchange_problem(x, &e);
    else
        sweep_answer(api, x, status, &s);
    sweep_free(&s);
}
