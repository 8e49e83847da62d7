#include "server/sse.h"

#include "api/stream.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HELLO        "retry: 2000\n\n" /* first on every stream: come back after two seconds */
#define PING         ": ping\n\n"      /* so that a client that is gone is noticed */
#define HEARTBEAT_MS 15000
#define BATCH        64                /* rows per question to the database */
#define TEXT_MAX     ((size_t)8 << 20) /* a batch of the longest events */

struct sse_stream {
    struct sse *owner;
    struct sse_stream *next;
    void *cookie;
    struct stream from;
    int64_t scanned; /* the table held nothing for us up to here */
    struct buf text; /* formatted, text.data[sent...] still to go */
    size_t sent;
    bool asleep;
};

struct sse {
    uv_loop_t *loop;
    struct db *db;
    void (*wake)(void *cookie);
    uv_timer_t heartbeat;
    struct sse_stream *first;
    int64_t last; /* newest row of the event table */
    int count;
    bool ending;
};

static void wake(struct sse_stream *t)
{
    if (!t->asleep)
        return;
    t->asleep = false;
    t->owner->wake(t->cookie);
}

static void beat(uv_timer_t *timer)
{
    struct sse *s = timer->data;
    for (struct sse_stream *t = s->first, *next; t; t = next) {
        next = t->next;
        if (t->asleep && buf_text(&t->text, PING) == 0)
            wake(t);
    }
}

struct sse *sse_new(uv_loop_t *loop, struct db *db, void (*on_wake)(void *cookie))
{
    struct sse *s = mem_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->loop = loop;
    s->db = db;
    s->wake = on_wake;
    event_last(db, &s->last, NULL);
    uv_timer_init(loop, &s->heartbeat);
    s->heartbeat.data = s;
    return s;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void sse_close(struct sse *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->heartbeat, closed);
}

int sse_count(const struct sse *s)
{
    return s->count;
}

void sse_changed(struct sse *s)
{
    if (!s->first || event_last(s->db, &s->last, NULL))
        return;
    for (struct sse_stream *t = s->first, *next; t; t = next) {
        next = t->next;
        if (t->scanned < s->last)
            wake(t);
    }
}

void sse_end_all(struct sse *s)
{
    s->ending = true;
    for (struct sse_stream *t = s->first, *next; t; t = next) {
        next = t->next;
        wake(t);
    }
}

int sse_open(struct sse *s, const struct stream *from, void *cookie, struct sse_stream **stream,
             struct err *e)
{
    if (s->count >= SSE_STREAMS_MAX || s->ending)
        return err_set(e, ERR_BUSY, "%d event streams are open already", s->count);
    struct sse_stream *t = mem_alloc(sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for an event stream");
    t->owner = s;
    t->cookie = cookie;
    t->from = *from;
    t->scanned = from->after;
    buf_init(&t->text, TEXT_MAX);
    buf_text(&t->text, HELLO);
    event_last(s->db, &s->last, NULL);
    t->next = s->first;
    s->first = t;
    if (s->count++ == 0)
        uv_timer_start(&s->heartbeat, beat, HEARTBEAT_MS, HEARTBEAT_MS);
    *stream = t;
    return 0;
}

static void refill(struct sse_stream *t)
{
    struct event *list = NULL;
    struct err e = { 0 };
    int count = 0;
    buf_clear(&t->text);
    t->text.failed = false;
    t->sent = 0;
    if (t->scanned >= t->owner->last)
        return;
    if (event_list(t->owner->db, t->from.job, t->from.after, BATCH, &list, &count, &e)) {
        log_error("event stream: %s", e.text);
        t->scanned = t->owner->last; /* the next event tries again */
        return;
    }
    for (int i = 0; i < count; i++) {
        stream_format(&list[i], &t->text);
        t->from.after = list[i].seq;
    }
    t->scanned = count < BATCH ? t->owner->last : t->from.after;
    if (t->scanned < t->from.after)
        t->scanned = t->from.after;
    event_list_free(list, count);
}

ssize_t sse_read(struct sse_stream *t, char *out, size_t size)
{
    if (t->sent == t->text.length)
        refill(t);
    size_t left = t->text.length - t->sent;
    if (left == 0) {
        t->asleep = !t->owner->ending;
        return t->owner->ending ? -1 : 0;
    }
    size_t part = left < size ? left : size;
    memcpy(out, t->text.data + t->sent, part);
    t->sent += part;
    return (ssize_t)part;
}

void sse_stream_free(struct sse_stream *t)
{
    if (!t)
        return;
    struct sse_stream **p = &t->owner->first;
    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    if (--t->owner->count == 0)
        uv_timer_stop(&t->owner->heartbeat);
    buf_free(&t->text);
    free(t);
}
