#include "server/follower.h"

#include "api/event.h"
#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK     ((size_t)2 * EVENT_LINE_MAX)
#define GATHER_MS 20   /* from the first notification to the read: lines come in bursts */
#define RETRY_MS  2000 /* after the database said no */

struct follower {
    struct follow how;
    struct apply state;
    uv_fs_event_t watch;
    uv_timer_t timer;
    int fd, open_handles;
    char *chunk;   /* owned, CHUNK bytes */
    bool skipping; /* inside a line that is too long */
    bool draining;
};

static void on_closed(uv_handle_t *handle)
{
    struct follower *f = handle->data;
    if (--f->open_handles)
        return;
    close(f->fd);
    free(f->chunk);
    free(f);
}

static void step(struct follower *f, bool flush);

static void on_timer(uv_timer_t *timer)
{
    step(timer->data, false);
}

static void again(struct follower *f, uint64_t ms)
{
    if (!uv_is_active((uv_handle_t *)&f->timer))
        uv_timer_start(&f->timer, on_timer, ms, 0);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    again(watch->data, GATHER_MS);
}

/* How much of the chunk can be applied, and how much is left out because its line is too long. */
static size_t whole_lines(struct follower *f, size_t n, size_t *skip)
{
    *skip = 0;
    if (f->skipping) {
        const char *newline = memchr(f->chunk, '\n', n);
        f->skipping = !newline;
        *skip = newline ? (size_t)(newline - f->chunk) + 1 : n;
        return 0;
    }
    const char *last = memrchr(f->chunk, '\n', n);
    if (last)
        return (size_t)(last - f->chunk) + 1;
    if (n > EVENT_LINE_MAX) {
        log_warn("job=%" PRId64 " wrote an event line longer than %d bytes", f->state.job, EVENT_LINE_MAX);
        f->skipping = true;
        *skip = n;
    }
    return 0;
}

static void at_end(struct follower *f)
{
    if (f->draining) {
        f->draining = false;
        f->how.drained(f->how.arg);
    }
}

/* One chunk. More of it later, so that others have their turn. */
static void step(struct follower *f, bool flush)
{
    struct err e = { 0 };
    if (follower_flooded(f)) {
        at_end(f);
        return;
    }
    ssize_t n = pread(f->fd, f->chunk, CHUNK, f->state.offset);
    size_t skip = 0, whole = n > 0 ? whole_lines(f, (size_t)n, &skip) : 0;
    bool pending = f->state.pending && (flush || f->draining);
    if (whole || pending) {
        if (apply_lines(f->how.db, &f->state, f->chunk, whole, flush || f->draining, &e)) {
            log_error("job=%" PRId64 " events: %s", f->state.job, e.text);
            again(f, RETRY_MS);
            return;
        }
        f->how.applied(f->how.arg);
    }
    f->state.offset += (int64_t)skip;
    if (whole + skip > 0 && (f->draining || (size_t)n == CHUNK))
        again(f, 0);
    else
        at_end(f);
}

static int open_events(const char *dir, char *path, size_t size, struct err *e)
{
    snprintf(path, size, "%s/events.jsonl", dir);
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  0600); /* there before its worker: inotify needs it */
    return fd >= 0 ? fd : err_sys(e, ERR_IO, "%s", path);
}

int follower_new(const struct follow *how, struct follower **out, struct err *e)
{
    char path[1024];
    int fd = open_events(how->dir, path, sizeof path, e);
    if (fd < 0)
        return fd;
    struct follower *f = mem_alloc(sizeof *f);
    char *chunk = mem_alloc(CHUNK);
    if (!f || !chunk) {
        free(f);
        free(chunk);
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory to follow a job");
    }
    f->how = *how;
    f->state = how->from;
    f->fd = fd;
    f->chunk = chunk;
    f->open_handles = 2;
    uv_timer_init(how->loop, &f->timer);
    uv_fs_event_init(how->loop, &f->watch);
    f->timer.data = f->watch.data = f;
    if (uv_fs_event_start(&f->watch, on_change, path, 0))
        log_warn("job=%" PRId64 " is followed by polling only", f->state.job);
    again(f, 0);
    *out = f;
    return 0;
}

void follower_poll(struct follower *f)
{
    step(f, true);
}

void follower_drain(struct follower *f)
{
    f->draining = true;
    uv_fs_event_stop(&f->watch);
    again(f, 0);
}

bool follower_flooded(const struct follower *f)
{
    return f->state.offset > FOLLOWER_JOB_MAX;
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    uv_close((uv_handle_t *)&f->timer, on_closed);
    uv_close((uv_handle_t *)&f->watch, on_closed);
}
