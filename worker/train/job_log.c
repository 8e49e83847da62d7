/* job_log.c - out/log.txt: the job's events that are meant for people, one line each. */
#include "worker/train/job_parts.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

#define EVENTS_MAX ((size_t)256 << 20)

static const char *text_of(json_t *event, const char *key)
{
    const char *s = json_string_value(json_object_get(event, key));

    return s ? s : "";
}

static void print_event(struct buf *out, json_t *event)
{
    const char *type = text_of(event, "t");
    char time[CLOCK_TEXT];

    clock_text((int64_t)json_integer_value(json_object_get(event, "time")), time);
    if (strcmp(type, "hello") == 0)
        buf_printf(out, "%s attempt %lld on %s kernels, %lld threads\n", time,
                   (long long)json_integer_value(json_object_get(event, "attempt")),
                   text_of(event, "kernels"),
                   (long long)json_integer_value(json_object_get(event, "threads")));
    else if (strcmp(type, "phase") == 0)
        buf_printf(out, "%s phase %s\n", time, text_of(event, "phase"));
    else if (strcmp(type, "log") == 0 || strcmp(type, "warning") == 0 || strcmp(type, "error") == 0)
        buf_printf(out, "%s %s %s\n", time, type, text_of(event, "text"));
}

int job_log(struct job *j, struct err *e)
{
    char path[4096], *text, *line;
    struct buf out;
    size_t length;

    snprintf(path, sizeof path, "%s/events.jsonl", j->dir);
    int status = file_load(path, EVENTS_MAX, &text, &length, e);
    if (status)
        return status;
    buf_init(&out, EVENTS_MAX);
    char *rest = text;
    while ((line = strsep(&rest, "\n"))) {
        json_t *event = json_loads(line, 0, NULL);
        if (event)
            print_event(&out, event);
        json_decref(event);
    }
    free(text);
    snprintf(path, sizeof path, "%s/out/log.txt", j->dir);
    status = out.failed ? err_set(e, ERR_NOMEM, "out of memory")
                        : file_publish(path, out.data ? out.data : "", out.length, 0644, e);
    buf_free(&out);
    return status;
}
