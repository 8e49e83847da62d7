#include "server/run.h"

#include "api/spec.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/joblock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS     1000
#define POLL_TICKS  2          /* look at events.jsonl even if inotify is silent */
#define STORE_TICKS 10         /* usage goes into the database */
#define STDERR_MAX  (8L << 20) /* a worker's stderr.log beyond this starts anew */

/* --- the list ------------------------------------------------------------------------------------- */

static void run_free(struct run *r)
{
    follower_free(r->follower);
    harvest_forget(r->harvesting);
    if (r->task)
        r->launcher->release(r->task);
    free(r);
}

static struct run *run_find(struct supervisor *s, int64_t job)
{
    struct run *r = s->first;
    while (r && (r->job != job || r->phase == RUN_OVER))
        r = r->next;
    return r;
}

static void on_tick(uv_timer_t *timer);

static struct run *run_new(struct supervisor *s, const struct job *j, const struct attempt *a)
{
    struct run *r = mem_alloc(sizeof *r);
    if (!r)
        return NULL;
    r->owner = s;
    r->job = j->id;
    r->attempt = a->number;
    r->cpus = j->cpus;
    r->memory_mb = j->memory_mb;
    r->wall_s = j->wall_s;
    r->charged = j->charged;
    r->max_attempts = j->max_attempts;
    r->deadline_ms = clock_mono_ms() + a->started_ms + j->wall_s * 1000 - clock_wall_ms();
    r->exit_code = -1;
    r->usage = (struct usage){ 0, a->peak_kb, a->cpu_s };
    r->launcher = launcher_list[0];
    memcpy(r->token, a->token, sizeof r->token);
    job_dir(s->with.db, j->id, r->dir, sizeof r->dir);
    r->next = s->first;
    s->first = r;
    if (!uv_is_active((uv_handle_t *)&s->tick))
        uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    return r;
}

int supervisor_cpus(const struct supervisor *s)
{
    int cpus = 0;
    for (const struct run *r = s->first; r; r = r->next)
        if (r->phase == RUN_LIVE || r->phase == RUN_ENDED)
            cpus += r->cpus;
    return cpus;
}

/* --- the worker ----------------------------------------------------------------------------------- */

static void on_applied(void *arg)
{
    struct run *r = arg;
    if (r->phase == RUN_LIVE)
        r->launcher->poll(r->task, &r->usage); /* short jobs live between two ticks */
    r->owner->with.changed(r->owner->with.arg);
}

static void on_drained(void *arg)
{
    finish_run(arg);
}

static void on_ended(void *arg, int exit_code, int signal)
{
    struct run *r = arg;
    r->exit_code = exit_code;
    r->signal = signal;
    r->phase = RUN_ENDED;
    if (r->follower)
        follower_drain(r->follower);
    else
        finish_run(r);
}

static int follow(struct run *r, const struct job *j, int64_t best_step, struct err *e)
{
    json_t *progress = j->progress ? json_loads(j->progress, 0, NULL) : NULL;
    struct follow how = {
        .loop = r->owner->with.loop,
        .db = r->owner->with.db,
        .dir = r->dir,
        .from = { .job = r->job,
                  .attempt = r->attempt,
                  .offset = j->events_offset,
                  .seq = j->events_seq,
                  .best_step = best_step },
        .applied = on_applied,
        .drained = on_drained,
        .arg = r,
    };
    snprintf(how.from.phase, sizeof how.from.phase, "%s", spec_text(progress, "/phase", ""));
    json_decref(progress);
    return follower_new(&how, &r->follower, e);
}

static struct launch launch_of(struct run *r)
{
    return (struct launch){
        .loop = r->owner->with.loop,
        .worker = r->owner->with.config->worker,
        .dir = r->dir,
        .token = r->token,
        .attempt = r->attempt,
        .cpus = r->cpus,
        .memory_mb = r->memory_mb,
        .wall_s = r->wall_s,
        .ended = on_ended,
        .arg = r,
    };
}

/* A worker of an earlier attempt that still holds the directory has lost its claim to it. */
static int fence(struct run *r, struct err *e)
{
    struct joblock lock;
    long long pid, start;
    int rc = joblock_probe(r->dir, &lock, e);
    if (rc || !lock.held)
        return rc;
    if (sscanf(lock.handle, "%lld:%lld", &pid, &start) == 2 && procfs_start(pid) == start)
        kill((pid_t)-pid, SIGKILL);
    return err_set(e, ERR_BUSY, "another worker (attempt %d) held the directory", lock.attempt);
}

static int launch(struct run *r, const struct job *j, struct err *e)
{
    char handle[LAUNCHER_HANDLE], host[64] = "";
    struct launch l = launch_of(r);
    int rc = jobdir_make(r->owner->with.db, j, e);
    if (!rc)
        rc = fence(r, e);
    if (!rc)
        rc = follow(r, j, 0, e);
    if (!rc)
        rc = r->launcher->submit(&l, &r->task, handle, e);
    if (rc)
        return rc;
    gethostname(host, sizeof host - 1);
    log_info("job=%" PRId64 " attempt=%d started launcher=%s handle=%s", r->job, r->attempt,
             r->launcher->name, handle);
    if (attempt_set_handle(r->owner->with.db, r->job, r->attempt, r->launcher->name, handle, host, e))
        log_error("job=%" PRId64 " %s", r->job, e->text); /* its lock will name it */
    return 0;
}

void supervisor_start(struct supervisor *s, int64_t job)
{
    struct err e = { 0 };
    struct job j = { 0 };
    struct attempt a;
    struct run *r = NULL;
    if (!job_get(s->with.db, job, &j, &e) && !attempt_get(s->with.db, job, 0, &a, &e)) {
        r = run_new(s, &j, &a);
        if (!r)
            err_set(&e, ERR_NOMEM, "no memory");
    }
    if (!r) {
        log_error("job=%" PRId64 " can't be started: %s", job, e.text);
        job_free(&j);
        return;
    }
    if (launch(r, &j, &e)) {
        log_error("job=%" PRId64 " attempt=%d can't be started: %s", job, r->attempt, e.text);
        snprintf(r->trouble, sizeof r->trouble, "it could not be started: %.350s", e.text);
        on_ended(r, -1, 0);
    }
    job_free(&j);
}

void supervisor_adopt(struct supervisor *s, const struct job *j, const struct attempt *a, const char *handle)
{
    struct err e = { 0 };
    struct run *r = run_new(s, j, a);
    if (!r) {
        log_error("job=%" PRId64 " can't be taken up: no memory", j->id);
        return;
    }
    const struct launcher *named = launcher_find(a->launcher);
    if (named)
        r->launcher = named;
    if (follow(r, j, a->steps, &e))
        log_error("job=%" PRId64 " can't be followed: %s", j->id, e.text);
    struct launch l = launch_of(r);
    if (!handle || r->launcher->recover(&l, handle, &r->task, &e)) {
        on_ended(r, -1, 0);
        return;
    }
    log_info("job=%" PRId64 " attempt=%d taken up again handle=%s", j->id, a->number, handle);
    if (j->state == JOB_CANCELLING)
        supervisor_stop(s, j->id);
}

/* --- limits --------------------------------------------------------------------------------------- */

static void stop(struct run *r, enum stop_cause cause, bool at_once)
{
    if (r->cause == STOP_NOTHING)
        r->cause = cause;
    if (r->kill_ms && !at_once)
        return; /* asked already */
    int64_t grace = at_once ? 0 : r->owner->with.config->grace;
    log_info("job=%" PRId64 " attempt=%d is told to stop", r->job, r->attempt);
    r->launcher->cancel(r->task, grace == 0);
    r->kill_ms = clock_mono_ms() + grace * 1000;
}

void supervisor_stop(struct supervisor *s, int64_t job)
{
    struct run *r = run_find(s, job);
    if (!r)
        return;
    if (r->phase == RUN_LIVE)
        stop(r, STOP_CANCEL, false);
    else if (r->phase == RUN_RESTING)
        finish_rest(r);
}

static void cap_stderr(const struct run *r)
{
    char path[JOBDIR_PATH + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/stderr.log", r->dir);
    if (!lstat(path, &st) && S_ISREG(st.st_mode) && st.st_size > STDERR_MAX && truncate(path, 0))
        log_warn("job=%" PRId64 " stderr.log is too long and can't be cut", r->job);
}

static void tick_live(struct run *r, unsigned ticks)
{
    struct supervisor *s = r->owner;
    if (!r->launcher->poll(r->task, &r->usage) && r->usage.resident_kb > r->memory_mb * 1024)
        stop(r, STOP_MEMORY, true);
    else if (clock_mono_ms() > r->deadline_ms)
        stop(r, STOP_WALL, false);
    else if (r->follower && follower_flooded(r->follower))
        stop(r, STOP_EVENTS, true);
    if (r->kill_ms && clock_mono_ms() >= r->kill_ms) {
        log_warn("job=%" PRId64 " attempt=%d does not stop: killed", r->job, r->attempt);
        r->launcher->cancel(r->task, true);
        r->kill_ms = clock_mono_ms() + 60000; /* a process in the kernel's hands; keep saying so */
    }
    if (r->follower && ticks % POLL_TICKS == 0)
        follower_poll(r->follower);
    if (ticks % STORE_TICKS)
        return;
    attempt_set_usage(s->with.db, r->job, r->attempt, r->usage.peak_kb, r->usage.cpu_s, 0, NULL);
    cap_stderr(r);
}

static void sweep(struct supervisor *s)
{
    for (struct run **p = &s->first, *r; (r = *p);) {
        if (r->phase == RUN_OVER) {
            *p = r->next;
            run_free(r);
        } else {
            p = &r->next;
        }
    }
    if (!s->first)
        uv_timer_stop(&s->tick);
}

static void on_tick(uv_timer_t *timer)
{
    struct supervisor *s = timer->data;
    s->ticks++;
    for (struct run *r = s->first; r; r = r->next) {
        bool due = r->retry_ms && clock_mono_ms() >= r->retry_ms;
        if (r->phase == RUN_LIVE)
            tick_live(r, s->ticks);
        else if (r->phase == RUN_ENDED && due)
            finish_run(r);
        else if (r->phase == RUN_RESTING && due)
            finish_rest(r);
    }
    sweep(s);
}

/* --- life ----------------------------------------------------------------------------------------- */

struct supervisor *supervisor_new(const struct supervising *with)
{
    struct supervisor *s = mem_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->with = *with;
    uv_timer_init(with->loop, &s->tick);
    s->tick.data = s;
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void supervisor_close(struct supervisor *s)
{
    if (!s)
        return;
    for (struct run *r = s->first; r; r = r->next)
        r->phase = RUN_OVER;
    sweep(s);
    uv_close((uv_handle_t *)&s->tick, on_closed);
}
