#include "server/inspector.h"

#include "api/spec.h"
#include "base/file.h"
#include "base/mem.h"
#include "server/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE      2
#define OUTPUT_MAX   ((size_t)1 << 20)
#define TIMEOUT_MS   60000
#define BYTES_PER_MS 8192 /* as slow as reading may be: a large file gets more time */

struct inspection {
    struct inspector *owner;
    struct inspection *next;
    struct capture *capture; /* NULL: still in the queue */
    char kind[16], path[1024], format[32];
    void (*done)(void *cookie, const char *json, const struct err *e);
    void *cookie;
};

struct inspector {
    uv_loop_t *loop;
    const char *worker;
    uv_timer_t *timer;        /* starts what is queued, never from inside a caller */
    struct inspection *first; /* oldest first */
};

static void unlink_from(struct inspector *i, struct inspection *n)
{
    struct inspection **p = &i->first;
    while (*p != n)
        p = &(*p)->next;
    *p = n->next;
}

static void start_some(uv_timer_t *timer);

static void finish(struct inspection *n, const char *json, const struct err *e)
{
    struct inspector *i = n->owner;
    unlink_from(i, n);
    n->done(n->cookie, json, e);
    free(n);
    uv_timer_start(i->timer, start_some, 0, 0);
}

/* {"error": {"code", "text", "place"}} as the inspector prints it. */
static void read_error(const char *text, struct err *e)
{
    json_t *root = json_loads(text, 0, NULL);
    if (spec_at(root, "/error")) {
        err_set(e, err_by_name(spec_text(root, "/error/code", "")), "%s", spec_text(root, "/error/text", ""));
        const char *place = spec_text(root, "/error/place", "");
        if (*place)
            err_at(e, "%s", place);
    } else {
        err_set(e, ERR_CORRUPT, "the inspector gave up without a reason");
    }
    json_decref(root);
}

static bool is_object(const char *text, size_t length)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    bool yes = json_is_object(root);
    json_decref(root);
    return yes;
}

static uint64_t timeout_ms(const struct inspection *n)
{
    const int64_t bytes = file_size(n->path);
    return TIMEOUT_MS + (bytes > 0 ? (uint64_t)bytes / BYTES_PER_MS : 0);
}

static void on_captured(void *arg, const struct captured *c)
{
    struct inspection *n = arg;
    struct err e = { 0 };
    if (c->timed_out)
        err_set(&e, ERR_CORRUPT, "the inspector crashed: it took more than %d s",
                (int)(timeout_ms(n) / 1000));
    else if (c->overflowed)
        err_set(&e, ERR_CORRUPT, "the inspector crashed: its answer has no end");
    else if (c->signal)
        err_set(&e, ERR_CORRUPT, "the inspector crashed (signal %d)", c->signal);
    else if (c->exit_code)
        read_error(c->text, &e);
    else if (!is_object(c->text, c->length))
        err_set(&e, ERR_CORRUPT, "the inspector crashed: its answer is not JSON");
    finish(n, e.code ? NULL : c->text, e.code ? &e : NULL);
}

static int start(struct inspection *n, struct err *e)
{
    const char *args[] = { n->owner->worker, "inspect", n->kind, n->path, n->format[0] ? "--format" : NULL,
                           n->format,        NULL };
    struct capturing with = { .loop = n->owner->loop,
                              .args = args,
                              .limit = OUTPUT_MAX,
                              .timeout_ms = timeout_ms(n),
                              .done = on_captured,
                              .arg = n };
    return capture_start(&with, &n->capture, e);
}

static void start_some(uv_timer_t *timer)
{
    struct inspector *i = timer->data;
    int running = 0;
    for (struct inspection *n = i->first, *next; n && running < AT_ONCE; n = next) {
        struct err e = { 0 };
        next = n->next;
        if (n->capture || !start(n, &e))
            running++;
        else
            finish(n, NULL, &e);
    }
}

struct inspection *inspector_start(struct inspector *i, const char *kind, const char *path,
                                   const char *format,
                                   void (*done)(void *cookie, const char *json, const struct err *e),
                                   void *cookie)
{
    int waiting = 0;
    struct inspection **last = &i->first;
    for (; *last; last = &(*last)->next)
        waiting++;
    struct inspection *n = waiting < INSPECTOR_QUEUE_MAX ? mem_alloc(sizeof *n) : NULL;
    if (!n)
        return NULL;
    n->owner = i;
    snprintf(n->kind, sizeof n->kind, "%s", kind);
    snprintf(n->path, sizeof n->path, "%s", path);
    snprintf(n->format, sizeof n->format, "%s", format ? format : "");
    n->done = done;
    n->cookie = cookie;
    *last = n;
    uv_timer_start(i->timer, start_some, 0, 0);
    return n;
}

void inspector_forget(struct inspection *n)
{
    struct inspector *i = n->owner;
    if (n->capture)
        capture_forget(n->capture);
    unlink_from(i, n);
    free(n);
    uv_timer_start(i->timer, start_some, 0, 0);
}

struct inspector *inspector_new(uv_loop_t *loop, const char *worker)
{
    struct inspector *i = mem_alloc(sizeof *i);
    uv_timer_t *timer = mem_alloc(sizeof *timer);
    if (!i || !timer) {
        free(i);
        free(timer);
        return NULL;
    }
    i->loop = loop;
    i->worker = worker;
    i->timer = timer;
    uv_timer_init(loop, timer);
    timer->data = i;
    return i;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void inspector_free(struct inspector *i)
{
    if (!i)
        return;
    while (i->first)
        inspector_forget(i->first);
    uv_close((uv_handle_t *)i->timer, on_closed);
    free(i);
}
