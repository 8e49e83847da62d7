/* buf.c - a growable byte buffer with a ceiling. Once an append has failed, later ones fail too (a text with
 * a hole in it must not look whole) until buf_clear or buf_free. */
#include "base/buf.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){ .limit = limit ? limit : BUF_LIMIT };
}

void buf_free(struct buf *b)
{
    if (!b)
        return;
    free(b->data);
    buf_init(b, b->limit);
}

void buf_clear(struct buf *b)
{
    b->length = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

static int fail(struct buf *b, int code)
{
    b->failed = true;
    return code;
}

/* Room for `more` bytes and the zero behind them. */
static int reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return ERR_NOMEM;
    size_t need;
    if (b->length > b->limit || more > b->limit - b->length || !size_add(b->length + more, 1, &need))
        return fail(b, ERR_TOO_LARGE);
    if (need <= b->capacity)
        return 0;
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity < need)
        if (!size_mul(capacity, 2, &capacity))
            capacity = need;
    if (capacity > b->limit && need <= b->limit)
        capacity = b->limit;
    char *data = mem_grow(b->data, capacity, 1);
    if (!data)
        return fail(b, ERR_NOMEM);
    b->data = data;
    b->capacity = capacity;
    b->data[b->length] = '\0';
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t length)
{
    int rc = reserve(b, length);
    if (rc)
        return rc;
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = '\0';
    return 0;
}

int buf_text(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return fail(b, ERR_TOO_LARGE);
    int rc = reserve(b, (size_t)length);
    if (rc)
        return rc;
    va_start(args, format);
    vsnprintf(b->data + b->length, (size_t)length + 1, format, args);
    va_end(args);
    b->length += (size_t)length;
    return 0;
}

/* The escape of a control character, quote or backslash; NULL for everything that stands for itself. */
static const char *json_escape(unsigned char c, char scratch[7])
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at)
        snprintf(scratch, 7, "\\%c", letters[at - plain]);
    else if (c < 0x20 || c == 0x7f)
        snprintf(scratch, 7, "\\u%04x", c);
    else
        return NULL;
    return scratch;
}

int buf_json_string(struct buf *b, const char *text)
{
    int rc = buf_text(b, "\"");
    while (*text && !rc) {
        char scratch[7];
        const char *escape = json_escape((unsigned char)*text, scratch);
        size_t length = escape ? 1 : utf8_next(text, SIZE_MAX, NULL);
        if (escape)
            rc = buf_text(b, escape);
        else if (length)
            rc = buf_append(b, text, length);
        else
            rc = buf_text(b, "\xef\xbf\xbd");
        text += length ? length : 1;
    }
    return rc ? rc : buf_text(b, "\"");
}

static const char *html_entity(char c)
{
    static const char plain[] = "&<>\"'";
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };
    const char *at = strchr(plain, c);
    return at ? entities[at - plain] : NULL;
}

int buf_html(struct buf *b, const char *text)
{
    int rc = 0;
    while (*text && !rc) {
        size_t plain = strcspn(text, "&<>\"'");
        rc = buf_append(b, text, plain);
        text += plain;
        if (*text && !rc)
            rc = buf_text(b, html_entity(*text++));
    }
    return rc;
}

char *buf_take(struct buf *b)
{
    char *data = b->data;
    bool failed = b->failed, keep = !failed && b->length;
    if (!keep)
        free(data);
    buf_init(b, b->limit);
    b->failed = failed;
    return keep ? data : NULL;
}
