/* launcher_local.c - workers as processes of this machine: detached, in a process group of their own, without
 * a pipe to us. Our children report their exit through SIGCHLD; workers of an earlier daemon are watched by a
 * pidfd. */
#include "server/launcher.h"

#include "base/mem.h"
#include "server/env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct task {
    uv_process_t process; /* submitted ones */
    uv_poll_t poll;       /* recovered ones */
    int pidfd;            /* recovered ones; else -1 */
    int64_t pid, start;
    void (*ended)(void *arg, int exit_code, int signal);
    void *arg;
    bool gone;
};

static struct task *task_new(const struct launch *l)
{
    struct task *t = mem_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->pidfd = -1;
    t->ended = l->ended;
    t->arg = l->arg;
    t->process.data = t->poll.data = t;
    return t;
}

static void on_closed(uv_handle_t *handle)
{
    struct task *t = handle->data;
    if (t->pidfd >= 0)
        close(t->pidfd);
    free(t);
}

/* What a worker may have started must not outlive it: it could still write to files that are about to be
 * adopted. */
static void task_gone(struct task *t, int exit_code, int signal)
{
    t->gone = true;
    kill((pid_t)-t->pid, SIGKILL);
    t->ended(t->arg, exit_code, signal);
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
    task_gone(process->data, term_signal ? -1 : (int)exit_status, term_signal);
}

static int open_stderr(const char *dir, struct err *e)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/stderr.log", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_sys(e, ERR_IO, "%s", path);
}

static int spawn(struct task *t, const struct launch *l, int log, struct err *e)
{
    char attempt[16], threads[16];
    snprintf(attempt, sizeof attempt, "%d", l->attempt);
    snprintf(threads, sizeof threads, "%d", l->cpus);
    const char *args[] = { l->worker, "run",    l->dir,      "--attempt", attempt,
                           "--token", l->token, "--threads", threads,     NULL };
    uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE },
                                      { .flags = UV_IGNORE },
                                      { .flags = UV_INHERIT_FD, .data.fd = log } };
    char **env = env_clean();
    if (!env)
        return err_set(e, ERR_NOMEM, "no memory to start a worker");
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = l->worker,
        .args = (char **)(uintptr_t)args,
        .env = env,
        .cwd = l->dir,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(l->loop, &t->process, &options);
    free(env);
    return rc ? err_set(e, ERR_IO, "can't start %s: %s", l->worker, uv_strerror(rc)) : 0;
}

static int local_submit(const struct launch *l, struct task **task, char handle[LAUNCHER_HANDLE],
                        struct err *e)
{
    int log = open_stderr(l->dir, e);
    if (log < 0)
        return log;
    struct task *t = task_new(l);
    int rc = t ? spawn(t, l, log, e) : err_set(e, ERR_NOMEM, "no memory to start a worker");
    close(log);
    if (rc) {
        if (t)
            uv_close((uv_handle_t *)&t->process, on_closed); /* needed after a failed spawn, too */
        return rc;
    }
    t->pid = t->process.pid;
    t->start = procfs_start(t->pid);
    snprintf(handle, LAUNCHER_HANDLE, "%" PRId64 ":%" PRId64, t->pid, t->start);
    *task = t;
    return 0;
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    task_gone(poll->data, -1, 0);
}

static int local_recover(const struct launch *l, const char *handle, struct task **task, struct err *e)
{
    int64_t pid = 0, start = -1;
    if (sscanf(handle, "%" SCNd64 ":%" SCNd64, &pid, &start) != 2)
        return err_set(e, ERR_NOT_FOUND, "\"%s\" names no process", handle);
    int pidfd = procfs_pidfd(pid, start);
    if (pidfd < 0)
        return err_set(e, ERR_NOT_FOUND, "process %s is gone", handle);
    struct task *t = task_new(l);
    if (!t || uv_poll_init(l->loop, &t->poll, pidfd)) {
        free(t);
        close(pidfd);
        return err_set(e, ERR_NOMEM, "can't watch process %s", handle);
    }
    t->pidfd = pidfd;
    t->pid = pid;
    t->start = start;
    uv_poll_start(&t->poll, UV_READABLE, on_pidfd);
    *task = t;
    return 0;
}

static int local_poll(struct task *t, struct usage *u)
{
    return t->gone ? ERR_NOT_FOUND : procfs_usage(t->pid, u);
}

/* A child of ours keeps its pid until it is reaped, which sets gone; a recovered one might have lost it: look
 * first. */
static void local_cancel(struct task *t, bool at_once)
{
    if (t->gone || (t->pidfd >= 0 && procfs_start(t->pid) != t->start))
        return;
    kill((pid_t)-t->pid, at_once ? SIGKILL : SIGTERM);
}

static void local_release(struct task *t)
{
    if (!t)
        return;
    t->ended = NULL;
    uv_close(t->pidfd >= 0 ? (uv_handle_t *)&t->poll : (uv_handle_t *)&t->process, on_closed);
}

const struct launcher launcher_local = {
    .name = "local",
    .submit = local_submit,
    .recover = local_recover,
    .poll = local_poll,
    .cancel = local_cancel,
    .release = local_release,
};
