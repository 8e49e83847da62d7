/* stream.c - opening a stream of events, and the form of one. */
#include "api/stream.h"

#include "api/handle.h"
#include "api/query.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int stream_format(const struct event *ev, struct buf *b)
{
    json_t *stored = json_loads(ev->data ? ev->data : "{}", 0, NULL), *data;
    char *text;
    int rc;

    data = json_pack("{s:I,s:I}", "job", (json_int_t)ev->job, "seq", (json_int_t)ev->seq);
    json_object_update_missing(data, stored);
    text = data ? json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    rc =
        text ? buf_printf(b, "id: %" PRId64 "\nevent: %s\ndata: %s\n\n", ev->seq, ev->type, text) : ERR_NOMEM;
    free(text);
    json_decref(data);
    json_decref(stored);
    return rc;
}

/* Where the client left off: Last-Event-ID is what a browser sends when it comes back, ?after= is for the
 * others. */
static int resume_point(const struct exchange *x, int64_t *after, bool *given, struct err *e)
{
    const char *last = x->header(x, "Last-Event-ID");

    *given = last || x->query(x, "after");
    if (!last)
        return query_int(x, "after", 0, INT64_MAX, after, e);
    if (num_int64(last, 0, INT64_MAX, after))
        return 0;
    return err_set(e, ERR_SYNTAX, "Last-Event-ID is not a number that this server has given");
}

/* job 0: all. `from_now`: without a resume point only what is still to come, else everything that is kept. */
static void open_stream(struct api *api, struct exchange *x, int64_t job, bool from_now)
{
    struct err e = { 0 };
    int64_t after = 0, last = 0;
    bool given;

    if (resume_point(x, &after, &given, &e) < 0 || event_last(api->db, &last, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    /* A number from the future belongs to another database: nothing would ever come after it. */
    if ((!given && from_now) || after > last)
        after = last;
    exchange_empty(x, 200);
    snprintf(x->content_type, sizeof x->content_type, "text/event-stream");
    exchange_header(x, "Cache-Control", "no-store");
    exchange_header(x, "X-Accel-Buffering", "no");
    x->is_stream = true;
    x->stream = (struct stream){ .job = job, .after = after };
}

void handle_job_events(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j;

    if (!query_ok(x))
        return;
    if (handle_job(api, x, &j, &e) < 0)
        exchange_problem(x, &e);
    else
        open_stream(api, x, j.id, false);
    job_free(&j);
}

void handle_all_events(struct api *api, struct exchange *x)
{
    if (query_ok(x))
        open_stream(api, x, 0, true);
}
