#include "server/capture.h"

#include "base/buf.h"
#include "base/mem.h"
#include "server/env.h"

#include <signal.h>
#include <stdlib.h>

#define LINGER_MS 2000 /* for the pipe's end after the exit: a grandchild may hold it */

struct capture {
    struct capturing with;
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t timer;
    int open_handles, pid;
    struct buf out;
    char chunk[16384];
    struct captured result;
    bool exited, ended, forgotten, reported;
};

static void on_closed(uv_handle_t *handle)
{
    struct capture *c = handle->data;
    if (--c->open_handles)
        return;
    buf_free(&c->out);
    free(c);
}

static void close_all(struct capture *c)
{
    uv_close((uv_handle_t *)&c->process, on_closed);
    uv_close((uv_handle_t *)&c->pipe, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void kill_group(struct capture *c)
{
    if (!c->exited)
        kill(-c->pid, SIGKILL);
}

/* A process handle must not be closed before its exit: it would stay a zombie. */
static void report(struct capture *c)
{
    if (c->reported || !c->exited)
        return;
    c->reported = true;
    kill(-c->pid, SIGKILL); /* what it may have left behind */
    c->result.text = c->out.data ? c->out.data : "";
    c->result.length = c->out.length;
    if (!c->forgotten)
        c->with.done(c->with.arg, &c->result);
    close_all(c);
}

static void on_timer(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    if (c->exited) {
        report(c);
        return;
    }
    c->result.timed_out = true;
    kill_group(c);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
    struct capture *c = process->data;
    c->exited = true;
    c->result.exit_code = signal ? -1 : (int)status;
    c->result.signal = signal;
    if (c->ended || c->forgotten)
        report(c);
    else
        uv_timer_start(&c->timer, on_timer, LINGER_MS, 0);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct capture *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct capture *c = stream->data;
    if (n > 0 && buf_append(&c->out, buf->base, (size_t)n)) {
        c->result.overflowed = true;
        kill_group(c);
        n = UV_EOF;
    }
    if (n >= 0)
        return;
    uv_read_stop(stream);
    c->ended = true;
    report(c);
}

static int spawn(struct capture *c, struct err *e)
{
    uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE },
                                      { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                                        .data.stream = (uv_stream_t *)&c->pipe },
                                      { .flags = UV_IGNORE } };
    if (c->with.show_stderr)
        stdio[2] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = 2 };
    char **env = env_clean();
    if (!env)
        return err_set(e, ERR_NOMEM, "no memory to start %s", c->with.args[0]);
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = c->with.args[0],
        .args = (char **)(uintptr_t)c->with.args,
        .env = env,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(c->with.loop, &c->process, &options);
    free(env);
    return rc ? err_set(e, ERR_IO, "can't start %s: %s", c->with.args[0], uv_strerror(rc)) : 0;
}

int capture_start(const struct capturing *with, struct capture **out, struct err *e)
{
    struct capture *c = mem_alloc(sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory to start %s", with->args[0]);
    c->with = *with;
    buf_init(&c->out, with->limit);
    uv_pipe_init(with->loop, &c->pipe, 0);
    uv_timer_init(with->loop, &c->timer);
    c->open_handles = 3;
    c->process.data = c->pipe.data = c->timer.data = c;
    int rc = spawn(c, e);
    if (rc) {
        close_all(c);
        return rc;
    }
    c->pid = c->process.pid;
    uv_timer_start(&c->timer, on_timer, with->timeout_ms, 0);
    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
    *out = c;
    return 0;
}

void capture_forget(struct capture *c)
{
    c->forgotten = true;
    kill_group(c);
}
