/* utf8.c - the one decoder of the house. */
#include "base/utf8.h"

/* The second byte's range is what keeps out overlong forms, surrogates and what lies beyond U+10FFFF; the
 * others are always 80..BF. */
static const struct form {
    unsigned char first_low, first_high, second_low, second_high, length;
} forms[] = {
    { 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
    { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static const struct form *form_of(unsigned char first)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (first >= forms[i].first_low && first <= forms[i].first_high)
            return &forms[i];
    return NULL;
}

size_t utf8_next(const char *text, size_t length, uint32_t *point)
{
    const unsigned char *p = (const unsigned char *)text;
    const struct form *f = length ? form_of(p[0]) : NULL;
    if (!f || f->length > length)
        return 0;
    uint32_t value = f->length == 1 ? p[0] : p[0] & (0x7fu >> f->length);
    for (size_t i = 1; i < f->length; i++) {
        unsigned char low = i == 1 ? f->second_low : 0x80, high = i == 1 ? f->second_high : 0xbf;
        if (p[i] < low || p[i] > high)
            return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (point)
        *point = value;
    return f->length;
}

bool utf8_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

bool utf8_plain(const char *text)
{
    uint32_t point;
    size_t n;
    for (; *text; text += n) {
        n = utf8_next(text, SIZE_MAX, &point);
        if (n == 0 || utf8_control(point))
            return false;
    }
    return true;
}
