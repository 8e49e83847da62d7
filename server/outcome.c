#include "server/outcome.h"

#include "api/event.h"
#include "api/spec.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES ((off_t)4 * EVENT_LINE_MAX)

static void take(const struct worker_event *ev, struct outcome *o)
{
    if (ev->type == WORKER_EVENT_DONE)
        o->done = true;
    if (ev->type != WORKER_EVENT_ERROR)
        return;
    const char *place = spec_text(ev->object, "/place", "");
    o->error = true;
    snprintf(o->reason, sizeof o->reason, *place ? "%.400s (%.200s)" : "%.400s%.0s",
             spec_text(ev->object, "/text", "the worker gave no reason"), place);
}

/* Whole lines only; the first one may have been cut by the tail's beginning and then does not parse. */
static void scan(const char *text, size_t length, int attempt, struct outcome *o)
{
    const char *end = text + length, *newline;
    for (; (newline = memchr(text, '\n', (size_t)(end - text))); text = newline + 1) {
        struct worker_event ev;
        if (worker_event_parse(text, (size_t)(newline - text), &ev, NULL))
            continue;
        if (ev.attempt == attempt)
            take(&ev, o);
        worker_event_release(&ev);
    }
}

void outcome_read(const char *dir, int attempt, struct outcome *o)
{
    char path[1024];
    struct stat st;
    memset(o, 0, sizeof *o);
    snprintf(path, sizeof path, "%s/events.jsonl", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    char *text = mem_alloc((size_t)TAIL_BYTES);
    if (text && !fstat(fd, &st)) {
        off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
        ssize_t n = pread(fd, text, (size_t)TAIL_BYTES, from);
        if (n > 0)
            scan(text, (size_t)n, attempt, o);
    }
    free(text);
    close(fd);
}
