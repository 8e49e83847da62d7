/* buf.h - a growable byte buffer with a ceiling. Zero-terminated behind its length, so data is also a string.
 * A failed append sets the sticky flag `failed` and leaves the content as it was: check once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL while empty */
    size_t length, capacity, limit;
    bool failed;
};

#define BUF_LIMIT ((size_t)64 << 20) /* default ceiling */

void buf_init(struct buf *b, size_t limit); /* limit 0: BUF_LIMIT */
void buf_free(struct buf *b);               /* NULL is fine; the buffer may be used again after buf_init */
int buf_append(struct buf *b, const void *data, size_t length); /* 0, ERR_NOMEM or ERR_TOO_LARGE */
int buf_text(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_json_string(struct buf *b, const char *text); /* quoted and escaped; invalid UTF-8 becomes U+FFFD */
int buf_html(struct buf *b, const char *text);        /* & < > " ' escaped */
void buf_clear(struct buf *b);                        /* length 0, memory kept */
char *buf_take(struct buf *b); /* hand over the string (free() it); NULL when empty or failed */

#endif
