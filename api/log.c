/* log.c - a job's log: what its worker said in events, one line each, then the tail of its stderr. */
#include "api/handle.h"
#include "api/query.h"
#include "api/spec.h"
#include "base/clock.h"
#include "base/file.h"
#include "storage/event.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BATCH       500
#define LINES_BYTES ((size_t)1 << 20) /* of the newest events */
#define STDERR_TAIL ((int64_t)64 << 10)

/* Where each type of event keeps its words. */
static const struct line {
    const char *type, *level, *before, *words_at;
} line_list[] = {
    { "log", NULL, "", "/text" }, /* carries its own level */
    { "warning", "warning", "", "/text" },
    { "error", "error", "", "/text" },
    { "phase", "info", "phase ", "/phase" },
};

static const struct line *line_find(const char *type)
{
    for (size_t i = 0; i < sizeof line_list / sizeof *line_list; i++)
        if (strcmp(line_list[i].type, type) == 0)
            return &line_list[i];
    return NULL;
}

/* Control characters would forge another line, or worse in a terminal. */
static void add_words(struct buf *b, const char *before, const char *words)
{
    buf_text(b, before);
    for (; *words; words++) {
        unsigned char c = (unsigned char)*words;
        char shown = c < 0x20 || c == 0x7f ? ' ' : *words;
        buf_append(b, &shown, 1);
    }
}

/* "time level words[ (place)]" */
static void add_line(struct buf *b, const struct event *ev)
{
    const struct line *line = line_find(ev->type);
    json_t *data = line && ev->data ? json_loads(ev->data, 0, NULL) : NULL;
    const char *place = spec_text(data, "/place", "");
    int64_t time_ms = spec_int(data, "/time", 0);
    char when[CLOCK_TEXT] = "-";

    if (!data)
        return;
    if (time_ms > 0)
        clock_text(time_ms, when);
    buf_text(b, when);
    add_words(b, " ", line->level ? line->level : spec_text(data, "/level", "info"));
    buf_text(b, " ");
    add_words(b, line->before, spec_text(data, line->words_at, ""));
    if (*place) {
        add_words(b, " (", place);
        buf_text(b, ")");
    }
    buf_text(b, "\n");
    json_decref(data);
}

/* Keep the newest lines: drop whole ones from the front until there is room again. */
static void drop_oldest(struct buf *b, bool *dropped)
{
    const char *end;

    if (b->length <= LINES_BYTES)
        return;
    end = memchr(b->data + LINES_BYTES / 2, '\n', b->length - LINES_BYTES / 2);
    if (!end)
        return;
    b->length -= (size_t)(end + 1 - b->data);
    memmove(b->data, end + 1, b->length + 1);
    *dropped = true;
}

static int add_events(struct api *api, int64_t job, struct buf *b, bool *dropped, struct err *e)
{
    struct event *list;
    int64_t after = 0;
    int count, rc;

    do {
        rc = event_list(api->db, job, after, BATCH, &list, &count, e);
        if (rc < 0)
            return rc;
        for (int i = 0; i < count; i++) {
            add_line(b, &list[i]);
            drop_oldest(b, dropped);
            after = list[i].seq;
        }
        event_list_free(list, count);
    } while (count == BATCH);
    return 0;
}

/* The directory belongs to the worker: nothing in it is trusted to be what its name says. */
static void add_stderr(struct api *api, int64_t job, struct buf *b)
{
    char dir[4096], chunk[4096];
    int64_t size, left = STDERR_TAIL;
    int dirfd, fd;
    ssize_t n;

    job_dir(api->db, job, dir, sizeof dir);
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return;
    fd = file_open_below(dirfd, "stderr.log", NULL);
    close(dirfd);
    if (fd < 0)
        return;
    size = lseek(fd, 0, SEEK_END);
    if (size > 0) {
        buf_text(b, size > left ? "--- the last 64 KiB of stderr\n" : "--- stderr\n");
        lseek(fd, size > left ? size - left : 0, SEEK_SET);
    }
    while (left > 0 && (n = read(fd, chunk, sizeof chunk)) > 0) {
        buf_append(b, chunk, (size_t)n < (size_t)left ? (size_t)n : (size_t)left);
        left -= n;
    }
    close(fd);
}

void handle_job_log(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j = { 0 };
    struct buf b;
    bool dropped = false;

    if (!query_ok(x))
        return;
    buf_init(&b, 0);
    if (handle_job(api, x, &j, &e) < 0 || add_events(api, j.id, &b, &dropped, &e) < 0) {
        exchange_problem(x, &e);
        goto out;
    }
    add_stderr(api, j.id, &b);
    exchange_text(x, 200, "text/plain; charset=utf-8", dropped ? "(earlier lines are left out)\n" : "");
    if (b.failed || (b.length && buf_append(&x->out, b.data, b.length) < 0)) {
        err_set(&e, ERR_NOMEM, "out of memory");
        exchange_problem(x, &e);
    }
out:
    job_free(&j);
    buf_free(&b);
}
