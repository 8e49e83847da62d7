#include "server/scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS 5000                /* after the database said no */
#define FAR_MS   ((int64_t)86400000) /* timers of more than a day are set anew */

struct scheduler {
    struct scheduling with;
    uv_timer_t kick, due;
    int open_handles;
    int64_t head, head_since_ms; /* who is first in the queue, and since when; monotonic */
};

static void on_timer(uv_timer_t *timer)
{
    scheduler_run(timer->data);
}

static void wake_at(struct scheduler *s, int64_t wall_ms)
{
    int64_t ms = wall_ms - clock_wall_ms();
    if (wall_ms == 0)
        uv_timer_stop(&s->due);
    else
        uv_timer_start(&s->due, on_timer, (uint64_t)(ms < 0 ? 0 : ms > FAR_MS ? FAR_MS : ms), 0);
}

static int release_due(struct scheduler *s, struct err *e)
{
    int64_t next;
    int rc = job_release_due(s->with.db, clock_wall_ms(), &next, e);
    if (!rc)
        wake_at(s, next);
    return rc;
}

/* Words for the one who is first and still waits. */
static int say_why(struct scheduler *s, const struct job *head, int free_cpus, bool kept, struct err *e)
{
    char why[160];
    if (head->cpus > s->with.slots)
        snprintf(why, sizeof why, "needs %d cpus, this server gives %d to jobs", head->cpus, s->with.slots);
    else
        snprintf(why, sizeof why, "first in the queue, waits for %d free cpu%s: %d of %d are free%s",
                 head->cpus, head->cpus == 1 ? "" : "s", free_cpus, s->with.slots,
                 kept ? " and kept for it" : "");
    return job_set_reason(s->with.db, head->id, why, e);
}

static bool patience_is_over(struct scheduler *s, const struct job *head)
{
    if (s->head != head->id) {
        s->head = head->id;
        s->head_since_ms = clock_mono_ms();
    }
    return head->cpus <= s->with.slots && clock_mono_ms() - s->head_since_ms > SCHEDULER_PATIENCE_MS;
}

/* One job: *id is 0 when none can be started now. */
static int claim(struct scheduler *s, int64_t *id, struct err *e)
{
    int64_t head;
    struct job j;
    int free_cpus = s->with.slots - s->with.used(s->with.arg);
    *id = 0;
    int rc = job_head(s->with.db, &head, e);
    if (rc || head == 0)
        return rc;
    rc = job_get(s->with.db, head, &j, e);
    if (rc)
        return rc;
    bool kept = j.cpus > free_cpus && patience_is_over(s, &j);
    if (j.cpus > free_cpus)
        rc = say_why(s, &j, free_cpus, kept, e);
    job_free(&j);
    if (rc || kept || free_cpus <= 0)
        return rc;
    return job_claim(s->with.db, free_cpus, id, e);
}

void scheduler_run(struct scheduler *s)
{
    struct err e = { 0 };
    int64_t id = 0;
    int rc = release_due(s, &e);
    while (!rc && !(rc = claim(s, &id, &e)) && id)
        s->with.start(s->with.arg, id);
    if (rc) {
        log_error("scheduler: %s", e.text);
        uv_timer_start(&s->kick, on_timer, RETRY_MS, 0);
    }
    s->with.changed(s->with.arg);
}

void scheduler_kick(struct scheduler *s)
{
    uv_timer_start(&s->kick, on_timer, 0, 0);
}

struct scheduler *scheduler_new(const struct scheduling *with)
{
    struct scheduler *s = mem_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->with = *with;
    uv_timer_init(with->loop, &s->kick);
    uv_timer_init(with->loop, &s->due);
    s->kick.data = s->due.data = s;
    s->open_handles = 2;
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    struct scheduler *s = handle->data;
    if (--s->open_handles == 0)
        free(s);
}

void scheduler_close(struct scheduler *s)
{
    if (!s)
        return;
    uv_close((uv_handle_t *)&s->kick, on_closed);
    uv_close((uv_handle_t *)&s->due, on_closed);
}
