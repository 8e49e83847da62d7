/* spec.c - reading a complete specification by JSON pointer. The validation is in spec_complete.c: the
 * worker, which only reads, links this file alone. */
#include "api/spec.h"

#include "base/num.h"

#include <string.h>

#define TOKEN_MAX 256 /* bytes of one reference token; longer keys are in no specification */

/* Decode one reference token (up to the next '/') into token; returns what follows it, NULL when it is
 * malformed. */
static const char *token_next(const char *p, char token[TOKEN_MAX])
{
    size_t n = 0;

    for (; *p && *p != '/'; p++) {
        char c = *p;
        if (c == '~') {
            p++;
            if (*p != '0' && *p != '1')
                return NULL;
            c = *p == '0' ? '~' : '/';
        }
        if (n + 1 == TOKEN_MAX)
            return NULL;
        token[n++] = c;
    }
    token[n] = 0;
    return p;
}

static const json_t *member_at(const json_t *v, const char *token)
{
    int64_t index;

    if (json_is_object(v))
        return json_object_get(v, token);
    if (!json_is_array(v) || (token[0] == '0' && token[1]))
        return NULL;
    return num_int64(token, 0, INT32_MAX, &index) ? json_array_get(v, (size_t)index) : NULL;
}

const json_t *spec_at(const json_t *root, const char *pointer)
{
    char token[TOKEN_MAX];
    const json_t *v = root;

    while (v && *pointer) {
        if (*pointer != '/' || !(pointer = token_next(pointer + 1, token)))
            return NULL;
        v = member_at(v, token);
    }
    return v;
}

int64_t spec_int(const json_t *root, const char *pointer, int64_t fallback)
{
    const json_t *v = spec_at(root, pointer);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

double spec_double(const json_t *root, const char *pointer, double fallback)
{
    const json_t *v = spec_at(root, pointer);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

const char *spec_text(const json_t *root, const char *pointer, const char *fallback)
{
    const json_t *v = spec_at(root, pointer);
    return json_is_string(v) ? json_string_value(v) : fallback;
}

bool spec_bool(const json_t *root, const char *pointer, bool fallback)
{
    const json_t *v = spec_at(root, pointer);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}
