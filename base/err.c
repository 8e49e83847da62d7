/* err.c - the error idiom: one map, a fixed buffer on the caller's stack, no allocation. */
#include "base/err.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct code {
    const char *name, *type, *title;
    int number, status;
} codes[] = {
#define ERR_ROW(name, number, status, type, title) { #name, type, title, number, status },
    ERR_MAP(ERR_ROW)
#undef ERR_ROW
};

#define CODES (sizeof codes / sizeof codes[0])

static const struct code *find(int number)
{
    for (size_t i = 0; i < CODES; i++)
        if (codes[i].number == number)
            return &codes[i];
    return NULL;
}

/* Texts end up in log lines and JSON: one line, whole UTF-8 characters (a stray byte becomes '?'),
 * terminated. */
static void copy_line(char *to, size_t size, const char *from)
{
    size_t at = 0;

    while (*from) {
        size_t n = utf8_next(from, SIZE_MAX, NULL), step = n ? n : 1;
        if (at + step >= size)
            break;
        if (step > 1)
            memcpy(to + at, from, step);
        else
            to[at] = !n ? '?' : *from == '\n' || *from == '\r' ? ' ' : *from;
        at += step;
        from += step;
    }
    to[at] = '\0';
}

static void append(char *to, size_t size, const char *more)
{
    size_t used = strlen(to);
    copy_line(to + used, size - used, more);
}

/* Format first, store second: an argument may point into the struct that is being written. */
__attribute__((format(printf, 3, 0))) static void format_line(char *to, size_t size, const char *format,
                                                              va_list args)
{
    char line[sizeof(((struct err *)0)->text) + 4]; /* a character cut here is dropped by copy_line */
    vsnprintf(line, sizeof line, format, args);
    copy_line(to, size, line);
}

int err_set(struct err *e, int code, const char *format, ...)
{
    if (!e)
        return code;
    va_list args;
    va_start(args, format);
    format_line(e->text, sizeof e->text, format, args);
    va_end(args);
    e->code = code;
    e->place[0] = '\0';
    return code;
}

int err_sys(struct err *e, int code, const char *format, ...)
{
    int number = errno;
    if (!e)
        return code;
    va_list args;
    va_start(args, format);
    format_line(e->text, sizeof e->text, format, args);
    va_end(args);
    char reason[100];
    append(e->text, sizeof e->text, ": ");
    append(e->text, sizeof e->text, strerror_r(number, reason, sizeof reason));
    e->code = code;
    e->place[0] = '\0';
    errno = number;
    return code;
}

int err_wrap(struct err *e, const char *format, ...)
{
    if (!e)
        return ERR_INTERNAL;
    char context[sizeof e->text], old[sizeof e->text];
    va_list args;
    va_start(args, format);
    format_line(context, sizeof context, format, args);
    va_end(args);
    memcpy(old, e->text, sizeof old);
    memcpy(e->text, context, sizeof context);
    append(e->text, sizeof e->text, ": ");
    append(e->text, sizeof e->text, old);
    return e->code;
}

int err_at(struct err *e, const char *format, ...)
{
    if (!e)
        return ERR_INTERNAL;
    if (e->place[0])
        return e->code;
    va_list args;
    va_start(args, format);
    format_line(e->place, sizeof e->place, format, args);
    va_end(args);
    return e->code;
}

const char *err_name(int code)
{
    const struct code *c = find(code);
    return c ? c->name : "UNKNOWN";
}

int err_status(int code)
{
    const struct code *c = find(code);
    return c ? c->status : 500;
}

const char *err_type(int code)
{
    const struct code *c = find(code);
    return c ? c->type : "internal";
}

const char *err_title(int code)
{
    const struct code *c = find(code);
    return c ? c->title : "Internal error";
}

int err_by_name(const char *name)
{
    for (size_t i = 0; i < CODES; i++)
        if (name && strcmp(codes[i].name, name) == 0)
            return codes[i].number;
    return ERR_INTERNAL;
}
