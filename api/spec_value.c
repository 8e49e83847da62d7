/* spec_value.c - one value against one parameter: a table of types, each with its check. */
#include "api/spec_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_MAX 255 /* characters of a string, where the capabilities don't say */
#define ITEMS_MAX  256 /* members of a list, where the capabilities don't say */

void spec_problem(struct spec_problems *p, const char *pointer, const char *code, const char *format, ...)
{
    va_list ap;
    int i = p->count;

    if (i == SPEC_PROBLEMS)
        return;
    snprintf(p->problem[i].pointer, sizeof p->problem[i].pointer, "%s", pointer);
    snprintf(p->problem[i].code, sizeof p->problem[i].code, "%s", code);
    va_start(ap, format);
    vsnprintf(p->problem[i].detail, sizeof p->problem[i].detail, format, ap);
    va_end(ap);
    p->count++;
}

const json_t *spec_parameter(const json_t *capabilities, const char *pointer)
{
    const json_t *list = json_object_get(capabilities, "parameters"), *parameter;
    size_t i;

    json_array_foreach(list, i, parameter) if (strcmp(spec_text(parameter, "/pointer", ""), pointer) ==
                                               0) return parameter;
    return NULL;
}

void spec_value_words(const json_t *strings, char *out, size_t size)
{
    size_t i, n = 0, count = json_array_size(strings);
    const json_t *s;

    out[0] = 0;
    json_array_foreach(strings, i, s)
    {
        const char *before = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        int k = snprintf(out + n, size - n, "%s%s", before, json_is_string(s) ? json_string_value(s) : "?");
        if (k < 0 || (n += (size_t)k) >= size)
            return;
    }
}

bool spec_value_also(const json_t *parameter, const json_t *value)
{
    const json_t *also = json_object_get(parameter, "also"), *v;
    size_t i;

    json_array_foreach(also, i, v) if (json_is_number(v) && json_is_number(value) &&
                                       json_number_value(v) == json_number_value(value)) return true;
    return false;
}

static size_t characters(const char *utf8)
{
    size_t n = 0;

    for (; *utf8; utf8++)
        n += ((unsigned char)*utf8 & 0xc0) != 0x80;
    return n;
}

static bool string_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    int64_t most = spec_int(parameter, "/maxLength", LENGTH_MAX), length;

    if (!json_is_string(v)) {
        spec_problem(p, pointer, "type", "must be a string");
        return false;
    }
    length = (int64_t)characters(json_string_value(v));
    if (length > most || length < spec_int(parameter, "/minLength", 0)) {
        if (length > most)
            spec_problem(p, pointer, "range", "must not be longer than %lld characters", (long long)most);
        else
            spec_problem(p, pointer, "range", "must not be empty");
        return false;
    }
    return true;
}

static bool reference_ok(const json_t *parameter, const json_t *v, const char *pointer,
                         struct spec_problems *p)
{
    if (!string_ok(parameter, v, pointer, p))
        return false;
    if (!*json_string_value(v)) {
        spec_problem(p, pointer, "range", "must name something: a name, sha256:..., or a built-in one");
        return false;
    }
    return true;
}

static bool enum_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    const json_t *values = json_object_get(parameter, "values"), *one;
    char words[160];
    size_t i;

    if (!json_is_string(v)) {
        spec_problem(p, pointer, "type", "must be a string");
        return false;
    }
    json_array_foreach(values, i, one) if (json_equal(one, v)) return true;
    spec_value_words(values, words, sizeof words);
    spec_problem(p, pointer, "enum", "must be %s, not \"%.40s\"", words, json_string_value(v));
    return false;
}

/* "1 to 8 or 32" */
static void range_text(const json_t *parameter, char *out, size_t size)
{
    const json_t *also = json_object_get(parameter, "also"), *v;
    double low = spec_double(parameter, "/minimum", -INFINITY),
           high = spec_double(parameter, "/maximum", INFINITY);
    /* Integers to their last digit; 17 digits would show 1e-9 as 1.0000000000000001e-09. */
    int digits = strcmp(spec_text(parameter, "/type", ""), "integer") == 0 ? 17 : 15;
    size_t i, n;

    if (isinf(low) && isinf(high))
        n = (size_t)snprintf(out, size, "a finite number");
    else if (isinf(high))
        n = (size_t)snprintf(out, size, "%.*g or more", digits, low);
    else if (isinf(low))
        n = (size_t)snprintf(out, size, "%.*g or less", digits, high);
    else
        n = (size_t)snprintf(out, size, "%.*g to %.*g", digits, low, digits, high);
    json_array_foreach(also, i, v) if (n < size) n +=
        (size_t)snprintf(out + n, size - n, " or %.17g", json_number_value(v));
}

static bool number_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    double x = json_number_value(v);
    char range[120];

    if (!json_is_number(v)) {
        spec_problem(p, pointer, "type", "must be a number");
        return false;
    }
    if (spec_value_also(parameter, v))
        return true;
    if (isfinite(x) && x >= spec_double(parameter, "/minimum", -INFINITY) &&
        x <= spec_double(parameter, "/maximum", INFINITY))
        return true;
    range_text(parameter, range, sizeof range);
    spec_problem(p, pointer, "range", "must be %s, not %.15g", range, x);
    return false;
}

static bool integer_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    int64_t x = json_integer_value(v);
    char range[120];

    if (!json_is_integer(v)) {
        spec_problem(p, pointer, "type", "must be an integer");
        return false;
    }
    /* Compared as integers: near 2^63 a double would round. */
    if (spec_value_also(parameter, v) ||
        (x >= spec_int(parameter, "/minimum", INT64_MIN) && x <= spec_int(parameter, "/maximum", INT64_MAX)))
        return true;
    range_text(parameter, range, sizeof range);
    spec_problem(p, pointer, "range", "must be %s, not %lld", range, (long long)x);
    return false;
}

static bool boolean_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    (void)parameter;
    if (json_is_boolean(v))
        return true;
    spec_problem(p, pointer, "type", "must be true or false");
    return false;
}

static bool list_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    int64_t most = spec_int(parameter, "/maxItems", ITEMS_MAX);

    if (!json_is_array(v)) {
        spec_problem(p, pointer, "type", "must be an array");
        return false;
    }
    if ((int64_t)json_array_size(v) > most) {
        spec_problem(p, pointer, "range", "must not have more than %lld members", (long long)most);
        return false;
    }
    return true;
}

typedef bool check(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p);

static bool each_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p,
                    check *ok)
{
    char at[160];
    bool good = list_ok(parameter, v, pointer, p);
    const json_t *item;
    size_t i;

    if (!good)
        return false;
    json_array_foreach(v, i, item)
    {
        snprintf(at, sizeof at, "%s/%zu", pointer, i);
        good &= ok(parameter, item, at, p);
    }
    return good;
}

static bool strings_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    return each_ok(parameter, v, pointer, p, string_ok);
}

static bool numbers_ok(const json_t *parameter, const json_t *v, const char *pointer, struct spec_problems *p)
{
    return each_ok(parameter, v, pointer, p, number_ok);
}

static const struct {
    const char *name;
    check *ok;
} type_list[] = {
    { "string", string_ok },   { "enum", enum_ok },       { "integer", integer_ok },
    { "number", number_ok },   { "boolean", boolean_ok }, { "strings", strings_ok },
    { "numbers", numbers_ok }, { "list", list_ok },       { "reference", reference_ok },
};

bool spec_value_ok(const json_t *parameter, const json_t *value, const char *pointer, struct spec_problems *p)
{
    const char *type = spec_text(parameter, "/type", "");

    if (json_is_null(value) && json_is_null(json_object_get(parameter, "default")) &&
        !spec_bool(parameter, "/required", false))
        return true;
    for (size_t i = 0; i < sizeof type_list / sizeof *type_list; i++)
        if (strcmp(type_list[i].name, type) == 0)
            return type_list[i].ok(parameter, value, pointer, p);
    spec_problem(p, pointer, "type", "is of the type \"%.40s\", which this server does not know", type);
    return false;
}
