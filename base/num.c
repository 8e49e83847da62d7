/* num.c - strict parsing of numbers. */
#include "base/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

bool num_int64(const char *text, int64_t low, int64_t high, int64_t *out)
{
    bool negative = *text == '-';
    int64_t value = 0;
    text += negative;
    if (!digit(*text))
        return false;
    for (; digit(*text); text++) {
        int d = *text - '0';
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(negative ? -d : d), &value))
            return false;
    }
    if (*text || value < low || value > high)
        return false;
    *out = value;
    return true;
}

static const char *skip_digits(const char *text)
{
    while (digit(*text))
        text++;
    return text;
}

/* [-] digits [. digits] [e [+-] digits], to the end of the text */
static bool decimal(const char *text)
{
    text += *text == '-';
    if (!digit(*text))
        return false;
    text = skip_digits(text);
    if (*text == '.') {
        if (!digit(*++text))
            return false;
        text = skip_digits(text);
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '+' || *text == '-';
        if (!digit(*text))
            return false;
        text = skip_digits(text);
    }
    return !*text;
}

bool num_double(const char *text, double low, double high, double *out)
{
    if (!decimal(text))
        return false;
    /* No program of the house calls setlocale; if a library did, the unread tail would say so. */
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value) || value < low || value > high)
        return false;
    *out = value;
    return true;
}

static const char hex_digits[] = "0123456789abcdef";

static int nibble(char c)
{
    const char *at = c ? strchr(hex_digits, c) : NULL;
    return at ? (int)(at - hex_digits) : -1;
}

bool num_hex(const char *text, unsigned char *out, int bytes)
{
    if (strnlen(text, 2 * (size_t)bytes + 1) != 2 * (size_t)bytes)
        return false;
    for (int i = 0; i < bytes; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

void num_to_hex(const unsigned char *data, int bytes, char *out)
{
    for (int i = 0; i < bytes; i++) {
        *out++ = hex_digits[data[i] >> 4];
        *out++ = hex_digits[data[i] & 15];
    }
    *out = '\0';
}
