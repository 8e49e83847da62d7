/* log.c - log lines, each with one write(2), so that lines of several threads and processes never mix. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: up to here a write to a pipe is one piece */

static const char *const names[] = { "error", "warn", "info", "debug" };

static _Atomic int threshold = LOG_INFO;
static _Atomic size_t cap, written;
static atomic_bool silent;

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

int log_parse_level(const char *name)
{
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

void log_set_cap(size_t bytes)
{
    atomic_store(&cap, bytes);
    atomic_store(&written, 0);
    atomic_store(&silent, false);
}

static size_t line_start(char line[LINE_MAX_BYTES], enum log_level level)
{
    char time[CLOCK_TEXT];
    clock_text(clock_wall_ms(), time);
    return (size_t)snprintf(line, LINE_MAX_BYTES, "%s %s ", time, names[level]);
}

/* A caller's text may hold what a client sent: it must not be able to forge a second line. */
static void line_write(char line[LINE_MAX_BYTES], size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[length++] = '\n';
    ssize_t n;
    do
        n = write(STDERR_FILENO, line, length);
    while (n < 0 && errno == EINTR);
}

/* True when the line still fits under the cap; the first one that does not leaves one last word. */
static bool line_fits(size_t length)
{
    size_t most = atomic_load(&cap);
    if (!most)
        return true;
    if (atomic_fetch_add(&written, length) + length <= most)
        return true;
    if (!atomic_exchange(&silent, true)) {
        char last[LINE_MAX_BYTES];
        size_t start = line_start(last, LOG_WARN);
        int more =
            snprintf(last + start, sizeof last - start, "log is full, nothing more is written cap=%zu", most);
        line_write(last, start + (size_t)more);
    }
    return false;
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&threshold) || atomic_load(&silent))
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t length = line_start(line, level), room = sizeof line - length;
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + length, room, format, args);
    va_end(args);
    if (more > 0)
        length += (size_t)more < room ? (size_t)more : room - 1;
    if (line_fits(length + 1))
        line_write(line, length);
    errno = saved;
}
