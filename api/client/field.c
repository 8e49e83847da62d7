/* field.c - pointers into JSON, for reading and for building. */
#include "api/client/field.h"

#include "base/num.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define KEY_MAX   256
#define INDEX_MAX 4096

/* The key after the slash at *p, unescaped; moves *p to the next slash or the end. */
static bool next_key(const char **p, char key[KEY_MAX])
{
    size_t n = 0;

    if (**p != '/')
        return false;
    for (++*p; **p && **p != '/'; ++*p) {
        char c = **p;
        if (c == '~') {
            ++*p;
            if (**p != '0' && **p != '1')
                return false;
            c = **p == '0' ? '~' : '/';
        }
        if (n + 1 >= KEY_MAX)
            return false;
        key[n++] = c;
    }
    key[n] = '\0';
    return true;
}

static bool is_index(const char *key, size_t *index)
{
    int64_t n;

    if (!num_int64(key, 0, INDEX_MAX, &n))
        return false;
    *index = (size_t)n;
    return true;
}

static json_t *child(const json_t *parent, const char *key)
{
    size_t i;

    if (json_is_array(parent))
        return is_index(key, &i) ? json_array_get(parent, i) : NULL;
    return json_object_get(parent, key);
}

const json_t *field_at(const json_t *root, const char *pointer)
{
    char key[KEY_MAX];

    while (root && *pointer)
        root = next_key(&pointer, key) ? child(root, key) : NULL;
    return root;
}

const char *field_text(const json_t *root, const char *pointer)
{
    return json_string_value(field_at(root, pointer));
}

int64_t field_int(const json_t *root, const char *pointer)
{
    return json_integer_value(field_at(root, pointer));
}

double field_number(const json_t *root, const char *pointer)
{
    const json_t *v = field_at(root, pointer);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Put value (stolen) into parent under key. */
static int attach(json_t *parent, const char *key, json_t *value)
{
    size_t i;

    if (json_is_object(parent))
        return json_object_set_new(parent, key, value);
    if (!json_is_array(parent) || !is_index(key, &i) || i > json_array_size(parent)) {
        json_decref(value);
        return -1;
    }
    return i == json_array_size(parent) ? json_array_append_new(parent, value)
                                        : json_array_set_new(parent, i, value);
}

int field_set(json_t *root, const char *pointer, json_t *value, struct err *e)
{
    const char *p = pointer;
    char key[KEY_MAX], following[KEY_MAX];
    json_t *parent = root;

    if (!next_key(&p, key)) {
        json_decref(value);
        return err_set(e, ERR_INVALID, "\"%s\" is not a JSON pointer such as /train/epochs", pointer);
    }
    while (*p) {
        json_t *inner = child(parent, key);
        size_t i;
        if (!next_key(&p, following)) {
            json_decref(value);
            return err_set(e, ERR_INVALID, "\"%s\" is not a JSON pointer such as /train/epochs", pointer);
        }
        if (!inner) {
            inner = is_index(following, &i) ? json_array() : json_object();
            if (attach(parent, key, inner) < 0)
                break;
        }
        parent = inner;
        memcpy(key, following, sizeof key);
    }
    if (*p) {
        json_decref(value);
        return err_set(e, ERR_INVALID, "%s can't be set: \"%s\" is no place there", pointer, key);
    }
    if (attach(parent, key, value) < 0)
        return err_set(e, ERR_INVALID, "%s can't be set: \"%s\" is no place there", pointer, key);
    return 0;
}
