/* utf8.h - text from outside, one character at a time. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the well-formed character at the beginning of text's first `length` bytes, with its number
 * in *point (may be NULL); 0 when there is none (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF). A zero behind the text ends every character that is cut short, so strings need no strlen. */
size_t utf8_next(const char *text, size_t length, uint32_t *point);

/* A character that moves the cursor, breaks the line or turns its direction: C0, DEL, C1, U+2028, U+2029 and
 * the bidirectional controls. Names don't hold any, terminals get none. */
bool utf8_control(uint32_t point);

/* Well-formed, and none of these in it. */
bool utf8_plain(const char *text);

#endif
