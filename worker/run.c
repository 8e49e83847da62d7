/* run.c - the main thread is a uv loop (signals, progress, checkpoint timer); the job runs on a compute
 * thread. */
#include "worker/run.h"

#include "api/spec.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "worker/events.h"
#include "worker/kernels/kernels.h"
#include "worker/lock.h"
#include "worker/sandbox.h"
#include "worker/train/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define SPEC_MAX       ((size_t)4 << 20)
#define PROGRESS_MS    1000
#define CHECKPOINT_MS  10000
#define MEMORY_SLACK   ((size_t)512 << 20) /* code, libraries and buffers beside what the planner counts */
#define FILE_MAX_BYTES ((size_t)16 << 30)

struct run {
    const struct run_options *options;
    struct job job;
    struct control control;
    struct events *events;
    struct lock *lock;
    json_t *spec;
    struct err error;
    int status; /* of the job, once it has ended */

    uv_loop_t loop;
    uv_signal_t term, interrupt;
    uv_timer_t progress, checkpoint;
    uv_async_t ended;
    uv_thread_t compute;
    int64_t reported_step, since_ns, since_step;
};

static void compute(void *arg)
{
    struct run *r = arg;

    r->status = job_run(&r->job, &r->error);
    uv_async_send(&r->ended);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct run *r = h->data;
    (void)signum;

    atomic_store(&r->control.stop, true);
}

static void on_checkpoint(uv_timer_t *h)
{
    struct run *r = h->data;

    atomic_store(&r->control.checkpoint, true);
}

/* The rate since the first step that this attempt has made gives the time that is left. */
static void on_progress(uv_timer_t *h)
{
    struct run *r = h->data;
    int64_t step = atomic_load(&r->control.step), steps = atomic_load(&r->control.steps);
    int64_t now = clock_mono_ns();

    if (steps == 0 || step == r->reported_step)
        return;
    if (r->since_ns == 0) {
        r->since_ns = now;
        r->since_step = step;
    }
    double rate =
        now > r->since_ns ? (double)(step - r->since_step) / ((double)(now - r->since_ns) * 1e-9) : 0;
    r->reported_step = step;
    events_progress(r->events, step, steps, rate > 0 ? (double)(steps - step) / rate : -1);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void on_ended(uv_async_t *h)
{
    uv_walk(h->loop, close_handle, NULL);
}

static int load_spec(struct run *r, struct err *e)
{
    char path[4096], *text;
    size_t length;
    json_error_t where;

    snprintf(path, sizeof path, "%s/spec.json", r->options->dir);
    int status = file_load(path, SPEC_MAX, &text, &length, e);
    if (status)
        return status;
    hash_bytes(text, length, r->job.spec_hash);
    r->spec = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!r->spec)
        return err_set(e, ERR_SYNTAX, "spec.json line %d: %s", where.line, where.text);
    r->job.kind = kind_find(spec_text(r->spec, "/kind", ""));
    return r->job.kind ? 0 : err_set(e, ERR_INVALID, "unknown kind of job");
}

static int start(struct run *r, struct err *e)
{
    const struct run_options *o = r->options;
    char sandbox[160], path[4096];
    int status;

    if ((status = load_spec(r, e)))
        return status;
    r->job.dir = o->dir;
    r->job.spec = r->spec;
    r->job.events = r->events;
    r->job.control = &r->control;
    r->job.kernels = kernels_best();
    r->job.threads = o->threads > 0 ? o->threads : (int)spec_int(r->spec, "/resources/cpus", 1);
    r->job.started_s = (double)clock_mono_ns() * 1e-9;
    snprintf(path, sizeof path, "%s/events.jsonl", o->dir);
    if ((status = curves_load(&r->job.curves, path, e)))
        return status;
    snprintf(path, sizeof path, "%s/out", o->dir);
    if ((status = file_make_dirs(path, e)))
        return status;
    int64_t memory_mb = spec_int(r->spec, "/resources/memory_mb", 2048);
    struct sandbox s = { .write_dir = o->dir,
                         .read_dir = o->dir,
                         .threads_allowed = 1,
                         .file_bytes = FILE_MAX_BYTES,
                         .memory_bytes = ((size_t)memory_mb << 20) + MEMORY_SLACK };
    if ((status = sandbox_enter(&s, sandbox, sizeof sandbox, e)))
        return status;
    events_emit(r->events, "hello",
                json_pack("{s:s, s:i, s:s, s:s, s:s, s:i}", "version", QUANTD_VERSION, "threads",
                          r->job.threads, "kernels", r->job.kernels->name, "blas", kernels_blas(), "sandbox",
                          sandbox, "pid", (int)getpid()));
    return 0;
}

static int loop_init(struct run *r)
{
    if (uv_loop_init(&r->loop) || uv_signal_init(&r->loop, &r->term) ||
        uv_signal_init(&r->loop, &r->interrupt) || uv_timer_init(&r->loop, &r->progress) ||
        uv_timer_init(&r->loop, &r->checkpoint) || uv_async_init(&r->loop, &r->ended, on_ended))
        return ERR_INTERNAL;
    r->term.data = r->interrupt.data = r->progress.data = r->checkpoint.data = r->ended.data = r;
    uv_signal_start(&r->term, on_signal, SIGTERM);
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
    uv_timer_start(&r->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    uv_timer_start(&r->checkpoint, on_checkpoint, CHECKPOINT_MS, CHECKPOINT_MS);
    return 0;
}

static void report_error(struct run *r, const struct err *e)
{
    events_emit(r->events, "error",
                json_pack("{s:s, s:s, s:s}", "code", err_name(e->code), "text", e->text, "place", e->place));
    log_error("job failed: %s%s%s", e->text, e->place[0] ? " at " : "", e->place);
}

int run_job(const struct run_options *o)
{
    struct run *r = calloc(1, sizeof *r);
    int code = RUN_FAILED;

    if (!r)
        return RUN_AGAIN;
    r->options = o;
    log_set_cap((size_t)1 << 20);
    int status = lock_take(o->dir, o->attempt, o->token, &r->lock, &r->error);
    if (status) {
        log_error("%s", r->error.text);
        free(r);
        return status == ERR_BUSY ? RUN_AGAIN : RUN_FAILED;
    }
    if (events_open(o->dir, o->attempt, o->token, &r->events, &r->error)) {
        log_error("%s", r->error.text);
        goto out;
    }
    /* handlers before the first long work: an early SIGTERM must find them */
    if (loop_init(r)) {
        log_error("no event loop");
        goto out;
    }
    r->status = start(r, &r->error);
    if (!r->status && uv_thread_create(&r->compute, compute, r) == 0) {
        uv_run(&r->loop, UV_RUN_DEFAULT);
        uv_thread_join(&r->compute);
    } else if (!r->status) {
        r->status = err_set(&r->error, ERR_AGAIN, "no thread to compute on");
    }
    code = r->status == 0 ? RUN_DONE : r->status == ERR_AGAIN ? RUN_AGAIN : RUN_FAILED;
    if (code == RUN_FAILED)
        report_error(r, &r->error);
out:
    job_deinit(&r->job);
    events_close(r->events);
    json_decref(r->spec);
    lock_free(r->lock);
    free(r);
    return code;
}
