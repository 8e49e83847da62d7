/* variant.c - see variant.h. */
#include "base/variant.h"

#include <stddef.h>
#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number at the text into *out; what follows it, NULL when there is none. */
static const char *number(const char *text, int *out)
{
    int value = 0;

    if (!digit(*text) || *text == '0')
        return NULL;
    for (; digit(*text); text++) {
        value = 10 * value + (*text - '0');
        if (value > VARIANT_MAX)
            return NULL;
    }
    *out = value;
    return text;
}

static const char *number_behind(const char *text, char sign, int *out)
{
    return text && *text == sign ? number(text + 1, out) : NULL;
}

bool variant_parse(const char *text, struct variant *v)
{
    size_t length = strcspn(text, "@/");

    *v = (struct variant){ 0 };
    if (length == 0 || length >= sizeof v->name)
        return false;
    memcpy(v->name, text, length);
    text += length;
    if (*text == '@') {
        text = number_behind(text, '@', &v->channels);
        text = number_behind(text, 'x', &v->height);
        text = number_behind(text, 'x', &v->width);
    }
    if (text && *text == '/')
        text = number_behind(text, '/', &v->classes);
    return text && !*text;
}
