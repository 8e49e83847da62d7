/* sse.c - the line protocol of server-sent events (WHATWG HTML, section "Server-sent events"). */
#include "api/client/sse.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define RETRY_MS       2000

void sse_init(struct sse *s, int (*event)(void *arg, const struct sse_event *ev), void *arg)
{
    *s = (struct sse){ .event = event, .arg = arg, .last_id = -1, .retry_ms = RETRY_MS };
    buf_init(&s->line, LINE_MAX_BYTES);
    buf_init(&s->data, 2 * LINE_MAX_BYTES);
}

void sse_free(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->data);
}

void sse_reset(struct sse *s)
{
    buf_clear(&s->line);
    buf_clear(&s->data);
    s->type[0] = '\0';
    s->skip = false;
}

static int dispatch(struct sse *s)
{
    struct sse_event ev = { s->type[0] ? s->type : "message", s->data.data };
    int rc = s->data.length ? s->event(s->arg, &ev) : 0;

    buf_clear(&s->data);
    s->type[0] = '\0';
    return rc;
}

static void field(struct sse *s, const char *name, const char *value)
{
    int64_t n;

    if (strcmp(name, "event") == 0) {
        snprintf(s->type, sizeof s->type, "%s", value);
    } else if (strcmp(name, "data") == 0) {
        if (s->data.length)
            buf_append(&s->data, "\n", 1);
        buf_text(&s->data, value);
    } else if (strcmp(name, "id") == 0 && num_int64(value, 0, INT64_MAX, &n)) {
        s->last_id = n;
    } else if (strcmp(name, "retry") == 0 && num_int64(value, 0, 60000, &n)) {
        s->retry_ms = (int)n;
    }
}

static int line(struct sse *s)
{
    char *text = s->line.data, *colon;

    if (s->line.length && text[s->line.length - 1] == '\r')
        text[--s->line.length] = '\0';
    if (!s->line.length)
        return dispatch(s);
    colon = strchr(text, ':');
    if (colon == text)
        return 0; /* a comment: the heartbeat */
    if (colon)
        *colon++ = '\0';
    field(s, text, !colon ? "" : *colon == ' ' ? colon + 1 : colon);
    return 0;
}

int sse_feed(struct sse *s, const char *bytes, size_t length)
{
    while (length) {
        const char *end = memchr(bytes, '\n', length);
        size_t n = end ? (size_t)(end - bytes) : length;
        int rc;

        s->skip = s->skip || buf_append(&s->line, bytes, n) < 0;
        bytes += n + (end != NULL);
        length -= n + (end != NULL);
        if (!end)
            return 0;
        rc = s->skip ? 0 : line(s);
        buf_clear(&s->line);
        s->line.failed = s->skip = false;
        if (rc)
            return rc;
    }
    return 0;
}
