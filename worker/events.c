#include "worker/events.h"

#include "api/event.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL = 2 * EVENT_LINE_MAX, LOG_MAX = 8192, SERIES_MAX = 64 };
enum { SERIES_NAME = sizeof((struct worker_event *)0)->series };

struct events {
    int fd; /* O_APPEND */
    int attempt;
    char *token;           /* owned; said once, in `hello` */
    pthread_mutex_t mutex; /* everything below */
    int64_t seq;           /* of the last line written */
    int warned;
    char warned_series[SERIES_MAX][SERIES_NAME]; /* had a value that is no number */
    char line[EVENT_LINE_MAX];
};

/* --- the end of a file that is there already --- */

/* seq of one line without its newline; 0 when it has none. */
static int64_t line_seq(const char *line, size_t length)
{
    json_t *o = json_loadb(line, length, 0, NULL);
    int64_t seq = json_integer_value(json_object_get(o, "seq"));

    json_decref(o);
    return seq > 0 ? seq : 0;
}

/* The last line that can be read, from behind: a power cut may have left lines of zeros at the end. */
static int64_t tail_seq(const char *tail, size_t length)
{
    while (length > 0) {
        size_t end = length - 1; /* of the line, at its newline */
        const char *before = memrchr(tail, '\n', end);
        size_t start = before != NULL ? (size_t)(before - tail) + 1 : 0;
        int64_t seq = line_seq(tail + start, end - start);
        if (seq > 0)
            return seq;
        length = start;
    }
    return 0;
}

/* Cut off a torn last line and go on counting behind the last whole one. */
static int events_resume(struct events *ev, struct err *e)
{
    struct stat st;
    ssize_t n;

    if (fstat(ev->fd, &st) != 0)
        return err_sys(e, ERR_IO, "can't read events.jsonl");
    size_t length = st.st_size < TAIL ? (size_t)st.st_size : TAIL;
    off_t base = st.st_size - (off_t)length;
    char *tail = mem_alloc(length);
    if (tail == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    int r = 0;
    n = pread(ev->fd, tail, length, base);
    if (n != (ssize_t)length) {
        r = err_sys(e, ERR_IO, "can't read events.jsonl");
        goto out;
    }
    const char *last = memrchr(tail, '\n', length);
    size_t whole = last != NULL ? (size_t)(last - tail) + 1 : 0;
    ev->seq = tail_seq(tail, whole);
    if (ev->seq == 0 && base > 0)
        r = err_set(e, ERR_CORRUPT, "the end of events.jsonl has no event in %d bytes", TAIL);
    else if (whole < length && ftruncate(ev->fd, base + (off_t)whole) != 0)
        r = err_sys(e, ERR_IO, "can't cut a torn line off events.jsonl");
out:
    free(tail);
    return r;
}

int events_open(const char *dir, int attempt, const char *token, struct events **out, struct err *e)
{
    char *path = mem_printf("%s/events.jsonl", dir);
    struct events *ev = mem_alloc(sizeof *ev);
    int r;

    *out = NULL;
    if (path == NULL || ev == NULL) {
        free(path);
        free(ev);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    pthread_mutex_init(&ev->mutex, NULL);
    ev->attempt = attempt;
    ev->token = mem_strdup(token);
    ev->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (ev->fd < 0)
        r = err_sys(e, ERR_IO, "can't open '%s'", path);
    else if (token != NULL && ev->token == NULL)
        r = err_set(e, ERR_NOMEM, "out of memory");
    else
        r = events_resume(ev, e);
    free(path);
    if (r < 0) {
        events_close(ev);
        return r;
    }
    *out = ev;
    return 0;
}

void events_close(struct events *ev)
{
    if (ev == NULL)
        return;
    if (ev->fd >= 0)
        close(ev->fd);
    pthread_mutex_destroy(&ev->mutex);
    free(ev->token);
    free(ev);
}

/* --- writing --- */

static json_t *line_new(const struct events *ev, const char *type)
{
    json_t *o = json_pack("{s:I, s:s, s:I, s:i}", "seq", (json_int_t)ev->seq + 1, "t", type, "time",
                          (json_int_t)clock_wall_ms(), "attempt", ev->attempt);

    if (o != NULL && ev->token != NULL && strcmp(type, "hello") == 0)
        json_object_set_new(o, "token", json_string(ev->token));
    return o;
}

/* All or nothing: a line cut short by a full disk is taken back, and the next one tries again with the same
 * seq. */
static void line_write(struct events *ev, size_t length)
{
    off_t end = lseek(ev->fd, 0, SEEK_END);
    ssize_t n;

    do
        n = write(ev->fd, ev->line, length);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)length)
        ev->seq++;
    else if (n > 0 && end >= 0 && ftruncate(ev->fd, end) != 0)
        ev->seq++; /* can't be taken back: a later line must not follow on the same line with the same number
                    */
}

/* The mutex is held. False when the line is longer than what readers accept. */
static bool emit_locked(struct events *ev, const char *type, json_t *fields)
{
    json_t *o = line_new(ev, type);

    if (o != NULL && fields != NULL)
        json_object_update_missing(o, fields);
    size_t n = json_dumpb(o, ev->line, sizeof ev->line - 1, JSON_COMPACT);
    json_decref(o);
    if (n > sizeof ev->line - 1)
        return false;
    if (n > 0) {
        ev->line[n++] = '\n';
        line_write(ev, n);
    }
    return true;
}

void events_emit(struct events *ev, const char *type, json_t *fields)
{
    pthread_mutex_lock(&ev->mutex);
    if (!emit_locked(ev, type, fields)) {
        json_t *warning =
            json_pack("{s:s, s:s+}", "code", "TOO_LARGE", "text", "an event was too long for a line: ", type);
        emit_locked(ev, "warning", warning);
        json_decref(warning);
    }
    pthread_mutex_unlock(&ev->mutex);
    json_decref(fields);
}

/* True the first time for each series (of the first SERIES_MAX). */
static bool warn_once(struct events *ev, const char *series)
{
    bool fresh = false;

    pthread_mutex_lock(&ev->mutex);
    int i = 0;
    while (i < ev->warned && strncmp(ev->warned_series[i], series, SERIES_NAME - 1) != 0)
        i++;
    if (i == ev->warned && i < SERIES_MAX) {
        snprintf(ev->warned_series[ev->warned++], SERIES_NAME, "%s", series);
        fresh = true;
    }
    pthread_mutex_unlock(&ev->mutex);
    return fresh;
}

/* As the daemon takes it: layers of a user's model may have any name. */
static void series_name(const char *series, char name[SERIES_NAME])
{
    const size_t most = SERIES_NAME - 1, length = strlen(series), point = strcspn(series, ".") + 1;
    const size_t kept = length > most && point < most / 2 ? point : 0;

    memcpy(name, series, kept);
    snprintf(name + kept, SERIES_NAME - kept, "%s", series + (length > most ? length - (most - kept) : 0));
    for (char *c = name; *c; c++)
        if (!strchr(EVENT_SERIES_CHARS, *c))
            *c = '_';
}

void events_metric(struct events *ev, const char *series, int64_t step, double value)
{
    char text[128], name[SERIES_NAME];

    if (isfinite(value)) {
        series_name(series, name);
        events_emit(ev, "metric",
                    json_pack("{s:s, s:I, s:f}", "series", name, "step", (json_int_t)step, "value", value));
        return;
    }
    if (!warn_once(ev, series))
        return;
    snprintf(text, sizeof text, "%.48s is not a finite number at step %lld", series, (long long)step);
    events_emit(ev, "warning", json_pack("{s:s, s:s}", "code", "NOT_FINITE", "text", text));
}

void events_phase(struct events *ev, const char *phase)
{
    events_emit(ev, "phase", json_pack("{s:s}", "phase", phase));
}

void events_progress(struct events *ev, int64_t step, int64_t steps, double eta_s)
{
    events_emit(ev, "progress",
                json_pack("{s:I, s:I, s:f}", "step", (json_int_t)step, "steps", (json_int_t)steps, "eta_s",
                          isfinite(eta_s) ? eta_s : -1.0));
}

void events_log(struct events *ev, const char *level, const char *format, ...)
{
    char text[LOG_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_t *o = json_pack("{s:s, s:s}", "level", level, "text", text);
    if (o == NULL) { /* not UTF-8, or cut within a character: keep what is ASCII */
        for (char *p = text; *p != '\0'; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        o = json_pack("{s:s, s:s}", "level", level, "text", text);
    }
    events_emit(ev, "log", o);
}
