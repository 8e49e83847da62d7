/* finish.c - the end of an attempt. Order: events to their end -> artifacts as blobs -> one transaction with
 * artifacts, result, attempt and state. A daemon killed in between does the same again; nothing before the
 * transaction shows. */
#include "server/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/outcome.h"
#include "storage/blob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS    5000 /* after the database or the disk said no */
#define REST_MAX_MS 60000

static void later(struct run *r, const struct err *e)
{
    log_error("job=%" PRId64 " attempt=%d can't be finished now: %s", r->job, r->attempt, e->text);
    r->retry_ms = clock_mono_ms() + RETRY_MS;
}

static int count_losses(struct run *r, int *losses, struct err *e)
{
    struct attempt *list;
    int count, rc = attempt_list(r->owner->with.db, r->job, &list, &count, e);
    if (rc)
        return rc;
    *losses = verdict_losses(list, count);
    free(list);
    return 0;
}

static void describe_end(const struct run *r, char *text, size_t size)
{
    if (r->trouble[0])
        snprintf(text, size, "%s", r->trouble);
    else if (r->signal)
        snprintf(text, size, "the worker was killed by signal %d (%s)", r->signal, strsignal(r->signal));
    else if (r->exit_code == 75)
        snprintf(text, size, "the worker was asked to stop");
    else if (r->exit_code < 0)
        snprintf(text, size, "the worker is gone");
    else
        snprintf(text, size, "the worker ended with exit code %d and no result", r->exit_code);
}

static void describe_stop(const struct run *r, char *text, size_t size)
{
    if (r->cause == STOP_WALL)
        snprintf(text, size, "it ran longer than resources.wall_s = %" PRId64 " s", r->wall_s);
    else if (r->cause == STOP_MEMORY)
        snprintf(text, size, "it needed more than resources.memory_mb = %" PRId64 " MB", r->memory_mb);
    else
        snprintf(text, size, "it wrote more than %" PRId64 " MiB of events", FOLLOWER_JOB_MAX >> 20);
}

/* Why, in words, for the job's reason. */
static void describe(const struct run *r, const struct verdict *v, const struct ending *end,
                     const struct outcome *o, char *text, size_t size)
{
    char last[500];
    describe_end(r, last, sizeof last);
    if (v->event == JOB_EVENT_FINISH || v->event == JOB_EVENT_STOPPED)
        text[0] = 0;
    else if (end->cause != STOP_NOTHING)
        describe_stop(r, text, size);
    else if (v->event == JOB_EVENT_FAIL)
        snprintf(text, size, "%s", o->reason);
    else if (v->event == JOB_EVENT_LOSE)
        snprintf(text, size, "to be tried again: %s", last);
    else if (v->charged)
        snprintf(text, size, "%d attempts failed; the last one: %s", end->charged + 1, last);
    else
        snprintf(text, size, "lost %d times in a row without progress; the last time: %s", end->losses, last);
}

/* The first loss is nobody's fault; then wait longer each time. */
static int64_t rest_ms(const struct run *r, const struct verdict *v, int losses)
{
    if (v->event != JOB_EVENT_LOSE || v->charged || losses < 2)
        return 0;
    int64_t ms = (r->owner->with.config->retry_delay * 1000) << (losses < 18 ? losses - 2 : 16);
    return ms < REST_MAX_MS ? ms : REST_MAX_MS;
}

static int adopt_files(struct run *r, struct harvest *h, struct err *e)
{
    for (int i = 0; i < h->count; i++) {
        struct harvest_file *f = &h->file[i];
        int rc = blob_adopt(r->owner->with.db, f->path, f->hash, f->size, e);
        if (rc)
            return rc;
        f->path[0] = 0;
    }
    return 0;
}

static int write_success(struct run *r, const struct harvest *h, const char *result, struct err *e)
{
    struct db *db = r->owner->with.db;
    int rc = job_move(db, r->job, JOB_EVENT_START, NULL, NULL); /* its hello may have been unreadable */
    if (rc)
        rc = rc == ERR_STATE ? 0 : err_set(e, rc, "the job can't be marked as running");
    for (int i = 0; !rc && i < h->count; i++)
        rc = artifact_add(db, r->job, h->file[i].name, h->file[i].hash, e);
    return rc ? rc : job_set_result(db, r->job, result, e);
}

/* Inside the transaction. */
static int write_end(struct run *r, const struct verdict *v, const char *reason, int64_t rest, struct err *e)
{
    struct db *db = r->owner->with.db;
    int rc = attempt_set_usage(db, r->job, r->attempt, r->usage.peak_kb, r->usage.cpu_s, 0, e);
    if (!rc)
        rc = attempt_end(db, r->job, r->attempt, v->end, r->exit_code, r->signal, v->charged, e);
    if (rc)
        return rc;
    return rest ? job_set_reason(db, r->job, reason, e) : job_move(db, r->job, v->event, reason, e);
}

static void settle(struct run *r, const struct verdict *v, int64_t rest)
{
    log_info("job=%" PRId64 " attempt=%d ended=%s exit=%d signal=%d charged=%d", r->job, r->attempt, v->end,
             r->exit_code, r->signal, v->charged);
    r->phase = rest ? RUN_RESTING : RUN_OVER;
    r->retry_ms = rest ? clock_mono_ms() + rest : 0;
    if (v->event == JOB_EVENT_FINISH)
        jobdir_trim(r->dir);
    r->owner->with.changed(r->owner->with.arg);
    r->owner->with.freed(r->owner->with.arg);
}

/* h and result are NULL unless the work is done. */
static int conclude(struct run *r, const struct outcome *o, struct harvest *h, const char *result,
                    struct err *e)
{
    struct db *db = r->owner->with.db;
    char reason[1200];
    struct job j;
    int losses = 0, rc = job_get(db, r->job, &j, e);
    if (rc)
        return rc;
    bool cancelling = j.state == JOB_CANCELLING;
    job_free(&j);
    rc = count_losses(r, &losses, e);
    if (rc)
        return rc;
    struct ending end = { r->exit_code,    r->signal, cancelling ? STOP_CANCEL : r->cause,
                          h != NULL,       o->error,  r->charged,
                          r->max_attempts, losses };
    struct verdict v = verdict_of(&end);
    int64_t rest = rest_ms(r, &v, losses);
    describe(r, &v, &end, o, reason, sizeof reason);
    rc = h ? adopt_files(r, h, e) : 0;
    if (!rc)
        rc = db_begin(db, e);
    if (rc)
        return rc;
    rc = h ? write_success(r, h, result, e) : 0;
    if (!rc)
        rc = write_end(r, &v, reason, rest, e);
    if (!rc)
        rc = db_commit(db, e);
    if (rc)
        db_rollback(db);
    else
        settle(r, &v, rest);
    return rc;
}

/* The machine's trouble, not the job's: tried again. */
static bool is_passing(int code)
{
    return code == ERR_IO || code == ERR_FULL || code == ERR_NOMEM;
}

static void no_result(struct outcome *o, const struct err *why)
{
    o->done = false;
    o->error = true;
    snprintf(o->reason, sizeof o->reason, "%s", why->text);
}

static void harvested(void *arg, struct harvest *h, const struct err *failed)
{
    struct run *r = arg;
    struct outcome o = { .done = true };
    struct err e = { 0 };
    char *result = NULL;
    int rc;
    r->harvesting = NULL;
    if (failed && is_passing(failed->code)) {
        later(r, failed);
        return;
    }
    if (failed) {
        no_result(&o, failed);
        rc = conclude(r, &o, NULL, NULL, &e);
    } else {
        rc = harvest_result(r->dir, &result, &e);
        if (!rc)
            rc = conclude(r, &o, h, result, &e);
    }
    free(result);
    if (rc)
        later(r, &e);
}

void finish_run(struct run *r)
{
    struct supervisor *s = r->owner;
    struct outcome o;
    struct err e = { 0 }, bad = { 0 };
    char *result = NULL, tmp[600];
    int rc = 0;
    r->retry_ms = 0;
    outcome_read(r->dir, r->attempt, &o);
    if (o.done && harvest_result(r->dir, &result, &bad))
        no_result(&o, &bad);
    free(result);
    if (o.done) {
        snprintf(tmp, sizeof tmp, "%s/tmp", db_dir(s->with.db));
        r->harvesting = harvest_start(s->with.loop, r->dir, tmp, harvested, r);
        if (!r->harvesting)
            rc = err_set(&e, ERR_NOMEM, "no memory to collect the files");
    } else {
        rc = conclude(r, &o, NULL, NULL, &e);
    }
    if (rc)
        later(r, &e);
}

void finish_rest(struct run *r)
{
    struct err e = { 0 };
    int rc = job_move(r->owner->with.db, r->job, JOB_EVENT_LOSE, NULL, &e);
    if (rc && rc != ERR_STATE) {
        later(r, &e);
        return;
    }
    r->phase = RUN_OVER;
    r->owner->with.changed(r->owner->with.arg);
    r->owner->with.freed(r->owner->with.arg);
}
