#include "server/apply.h"

#include "api/event.h"
#include "api/spec.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/event.h"
#include "storage/job.h"
#include "storage/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 500  /* shown at most so often */
#define TRIM_EVERY  500  /* rows */
#define TRIM_KEEP   2000 /* progress and metric events per job */

static int add_row(struct db *db, int64_t job, const char *type, json_t *fields, struct err *e)
{
    char *text = fields ? json_dumps(fields, JSON_COMPACT) : NULL;
    int rc = text ? event_add(db, job, type, text, NULL, e) : err_set(e, ERR_NOMEM, "no memory for an event");
    free(text);
    return rc;
}

static int on_row(struct db *db, struct apply *a, const struct worker_event *ev, struct err *e)
{
    json_object_del(ev->object, "t");
    json_object_del(ev->object, "seq");
    return add_row(db, a->job, worker_event_text(ev->type), ev->object, e);
}

static int on_hello(struct db *db, struct apply *a, const struct worker_event *ev, struct err *e)
{
    if (ev->attempt != a->attempt)
        return 0;
    int rc = job_move(db, a->job, JOB_EVENT_START, NULL, e);
    return rc == ERR_STATE ? 0 : rc; /* running already, or being cancelled */
}

static int on_phase(struct db *db, struct apply *a, const struct worker_event *ev, struct err *e)
{
    snprintf(a->phase, sizeof a->phase, "%s", spec_text(ev->object, "/phase", ""));
    return on_row(db, a, ev, e);
}

static int on_progress(struct db *db, struct apply *a, const struct worker_event *ev, struct err *e)
{
    (void)db;
    (void)e;
    a->pending = true;
    a->step = ev->step;
    a->steps = ev->steps;
    a->eta_s = ev->eta_s;
    a->time_ms = ev->time_ms;
    if (ev->attempt == a->attempt && ev->step > a->best_step)
        a->best_step = ev->step;
    return 0;
}

static int on_metric(struct db *db, struct apply *a, const struct worker_event *ev, struct err *e)
{
    struct metric m = { .step = ev->step, .value = ev->value };
    memcpy(m.series, ev->series, sizeof m.series);
    a->rows++;
    int rc = metric_add(db, a->job, &m, 1, e);
    return rc ? rc : on_row(db, a, ev, e);
}

static int (*const appliers[WORKER_EVENT_COUNT])(struct db *, struct apply *, const struct worker_event *,
                                                 struct err *) = {
    [WORKER_EVENT_HELLO] = on_hello,       [WORKER_EVENT_PHASE] = on_phase,
    [WORKER_EVENT_PROGRESS] = on_progress, [WORKER_EVENT_METRIC] = on_metric,
    [WORKER_EVENT_ARTIFACT] = on_row,      [WORKER_EVENT_LOG] = on_row,
    [WORKER_EVENT_WARNING] = on_row,       [WORKER_EVENT_ERROR] = on_row,
    [WORKER_EVENT_DONE] = on_row,
};

static int apply_line(struct db *db, struct apply *a, const char *line, size_t length, struct err *e)
{
    struct worker_event ev;
    struct err bad = { 0 };
    if (length == 0)
        return 0;
    if (worker_event_parse(line, length, &ev, &bad)) {
        if (a->bad++ == 0)
            log_warn("job=%" PRId64 " wrote an event that is left out: %s", a->job, bad.text);
        return 0;
    }
    int rc = 0;
    if (ev.seq > a->seq) {
        a->seq = ev.seq;
        rc = appliers[ev.type](db, a, &ev, e);
    }
    worker_event_release(&ev);
    return rc;
}

/* null while the worker does not know. */
static json_t *eta_json(double eta_s)
{
    return eta_s < 0 ? json_null() : json_real(eta_s);
}

static int show_progress(struct db *db, struct apply *a, struct err *e)
{
    json_t *shown = json_pack("{s:s,s:I,s:I,s:o}", "phase", a->phase, "step", (json_int_t)a->step, "steps",
                              (json_int_t)a->steps, "eta_s", eta_json(a->eta_s));
    char *text = shown ? json_dumps(shown, JSON_COMPACT) : NULL;
    int rc = text ? job_set_progress(db, a->job, text, e) : err_set(e, ERR_NOMEM, "no memory for progress");
    if (!rc && json_object_set_new(shown, "time", json_integer(a->time_ms)))
        rc = err_set(e, ERR_NOMEM, "no memory for progress");
    if (!rc)
        rc = add_row(db, a->job, "progress", shown, e);
    if (!rc)
        rc = attempt_set_usage(db, a->job, a->attempt, 0, 0, a->best_step, e);
    free(text);
    json_decref(shown);
    a->pending = false;
    a->shown_ms = clock_mono_ms();
    a->rows++;
    return rc;
}

static int apply_all(struct db *db, struct apply *a, const char *text, size_t length, bool flush,
                     struct err *e)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < length;) {
        const char *newline = memchr(text + at, '\n', length - at);
        size_t line = newline ? (size_t)(newline - text) - at : length - at;
        rc = apply_line(db, a, text + at, line, e);
        at += line + 1;
    }
    a->offset += (int64_t)length;
    bool due = clock_mono_ms() - a->shown_ms >= PROGRESS_MS;
    if (!rc && a->pending && (flush || due))
        rc = show_progress(db, a, e);
    if (!rc && a->rows >= TRIM_EVERY) {
        a->rows = 0;
        rc = event_trim(db, a->job, TRIM_KEEP, e);
    }
    return rc ? rc : job_set_offset(db, a->job, a->offset, a->seq, e);
}

int apply_lines(struct db *db, struct apply *a, const char *text, size_t length, bool flush, struct err *e)
{
    struct apply before = *a;
    int rc = db_begin(db, e);
    if (rc)
        return rc;
    rc = apply_all(db, a, text, length, flush, e);
    if (!rc)
        rc = db_commit(db, e);
    if (rc) {
        db_rollback(db);
        *a = before;
    }
    return rc;
}
