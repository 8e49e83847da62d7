/* sweep.c - sweeps after they were made: list, show, cancel, delete. */
#include "storage/sweep.h"

#include "api/handle.h"
#include "api/page.h"
#include "api/query.h"
#include "api/sweep_show.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sweep of the route; sweep_free it, whatever is returned. */
static int route_sweep(struct api *api, const struct exchange *x, struct sweep *s, struct err *e)
{
    int64_t id;

    *s = (struct sweep){ 0 };
    if (!num_int64(x->param[0], 1, INT64_MAX, &id))
        return err_set(e, ERR_NOT_FOUND, "there is no sweep \"%s\"", x->param[0]);
    return sweep_get(api->db, id, s, e);
}

void handle_sweep_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct page page;
    struct sweep *list = NULL;
    int count = 0, shown;
    json_t *items;

    if (!query_ok(x))
        return;
    if (page_read(x, &page, &e) < 0 ||
        sweep_list(api->db, page.before, page.limit + 1, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    items = json_array();
    shown = page_shown(&page, count);
    for (int i = 0; i < shown; i++)
        json_array_append_new(items, sweep_json(&list[i]));
    page_answer(x, &page, items, count > shown, shown ? list[shown - 1].id : 0);
    sweep_list_free(list, count);
}

static void answer_csv(struct api *api, struct exchange *x, const struct sweep *s)
{
    struct err e = { 0 };
    struct buf csv;

    buf_init(&csv, 0);
    if (sweep_csv(api, s, &csv, &e) < 0) {
        exchange_problem(x, &e);
    } else {
        exchange_text(x, 200, "text/csv; charset=utf-8", csv.data);
        exchange_header(x, "Content-Disposition", "attachment; filename=\"sweep-%" PRId64 ".csv\"", s->id);
    }
    buf_free(&csv);
}

void handle_sweep_get(struct api *api, struct exchange *x)
{
    const char *format;
    struct err e = { 0 };
    struct sweep s;

    if (!query_ok(x))
        return;
    format = x->query(x, "format");
    if (route_sweep(api, x, &s, &e) < 0) {
        exchange_problem(x, &e);
    } else if (format && strcmp(format, "csv") == 0) {
        answer_csv(api, x, &s);
    } else if (format && strcmp(format, "json") != 0) {
        err_set(&e, ERR_SYNTAX, "format must be json or csv");
        err_at(&e, "?format");
        exchange_problem(x, &e);
    } else {
        sweep_answer(api, x, 200, &s);
    }
    sweep_free(&s);
}

/* --- all its jobs at once --- */

/* The sweep of the route and the ids of its jobs; both are the caller's to free, whatever is returned. */
static int route_jobs(struct api *api, const struct exchange *x, struct sweep *s, int64_t **ids, int *count,
                      struct err *e)
{
    int rc = route_sweep(api, x, s, e);

    *ids = NULL;
    *count = 0;
    return rc < 0 ? rc : sweep_jobs(api->db, s->id, ids, count, e);
}

/* A job that has reached its end is no error. */
static int cancel_job(struct api *api, const struct exchange *x, int64_t id, struct err *e)
{
    struct job j;
    int rc = handle_cancel(api, x, id, &j, e);

    job_free(&j);
    return rc == ERR_STATE ? 0 : rc;
}

void handle_sweep_cancel(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct sweep s;
    int64_t *ids;
    int count, rc;

    if (!query_ok(x))
        return;
    rc = route_jobs(api, x, &s, &ids, &count, &e);
    for (int i = 0; i < count && rc == 0; i++)
        rc = cancel_job(api, x, ids[i], &e);
    if (count)
        handle_changed(api);
    if (rc < 0)
        exchange_problem(x, &e);
    else
        sweep_answer_id(api, x, 202, s.id);
    free(ids);
    sweep_free(&s);
}

void handle_sweep_delete(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct sweep s;
    int64_t *ids;
    int count, rc;

    if (!query_ok(x))
        return;
    rc = route_jobs(api, x, &s, &ids, &count, &e);
    if (rc == 0 && s.open)
        rc = err_set(&e, ERR_STATE, "%d jobs of sweep %" PRId64 " are not finished: cancel them first",
                     s.open, s.id);
    for (int i = 0; i < count && rc == 0; i++)
        rc = handle_delete(api, ids[i], &e);
    if (rc < 0)
        exchange_problem(x, &e);
    else
        exchange_empty(x, 204);
    free(ids);
    sweep_free(&s);
}
