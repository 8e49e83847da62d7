/* axes.c - the swept parameters and their combinations. */
#include "api/axes.h"

#include "api/spec_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_PARAMETER "no parameter that can be swept, such as train.seed"

/* --- read --- */

/* "train.seed" to "/train/seed"; names of parameters need no escapes. */
static bool pointer_of(const char *key, char *out, size_t size)
{
    int n = snprintf(out, size, "/%s", key);

    for (char *p = out; *p; p++)
        if (*p == '.')
            *p = '/';
    return n > 1 && (size_t)n < size && !strpbrk(key, "/~*");
}

static void read_axis(struct axis *axis, struct spec_problems *p)
{
    char place[160];

    snprintf(place, sizeof place, "/sweep/%.140s", axis->key);
    if (!pointer_of(axis->key, axis->pointer, sizeof axis->pointer))
        spec_problem(p, place, "unknown_key", NO_PARAMETER);
    else if (json_array_size(axis->values) < 1) /* 0 for what is no array */
        spec_problem(p, place, "type", "must be an array with at least one value");
    else if (json_array_size(axis->values) > AXES_JOBS_MAX)
        spec_problem(p, place, "limit", "has more than %d values", AXES_JOBS_MAX);
}

bool axes_read(const json_t *sweep, struct axes *a, struct spec_problems *p)
{
    size_t jobs = 1;
    const char *key;
    json_t *values;

    *a = (struct axes){ 0 };
    if (json_object_size(sweep) < 1 || json_object_size(sweep) > AXES_MAX) {
        spec_problem(p, "/sweep", "type", "must be an object with 1 to %d parameters, each with its values",
                     AXES_MAX);
        return false;
    }
    json_object_foreach((json_t *)sweep, key, values)
    {
        struct axis *axis = &a->axis[a->count++];
        *axis = (struct axis){ .key = key, .values = values };
        read_axis(axis, p);
        if (jobs <= AXES_JOBS_MAX)
            jobs *= json_array_size(values);
    }
    if (jobs > AXES_JOBS_MAX)
        spec_problem(p, "/sweep", "limit", "makes more than %d jobs", AXES_JOBS_MAX);
    a->jobs = (int)jobs;
    return p->count == 0;
}

/* --- check --- */

/* A parameter that has one value: no list, whose members have no place of their own. */
static const json_t *parameter_of(const json_t *capabilities, const char *pointer)
{
    const json_t *parameter = spec_parameter(capabilities, pointer);

    return strcmp(spec_text(parameter, "/type", "list"), "list") == 0 ? NULL : parameter;
}

static bool twice(const json_t *values, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (json_equal(json_array_get(values, k), json_array_get(values, i)))
            return true;
    return false;
}

static void check_axis(const json_t *capabilities, const struct axis *axis, struct spec_problems *p)
{
    const json_t *parameter = parameter_of(capabilities, axis->pointer);
    char place[160], at[200];

    snprintf(place, sizeof place, "/sweep/%.140s", axis->key);
    if (!parameter)
        spec_problem(p, place, "unknown_key", NO_PARAMETER);
    for (size_t i = 0; parameter && i < json_array_size(axis->values); i++) {
        snprintf(at, sizeof at, "%.159s/%zu", place, i);
        if (spec_value_ok(parameter, json_array_get(axis->values, i), at, p) && twice(axis->values, i))
            spec_problem(p, at, "range", "the value is there already");
    }
}

bool axes_check(const struct axes *a, const json_t *capabilities, struct spec_problems *p)
{
    for (int i = 0; i < a->count; i++)
        check_axis(capabilities, &a->axis[i], p);
    return p->count == 0;
}

/* --- combinations --- */

const json_t *axes_value(const struct axes *a, int i, int job)
{
    size_t rest = (size_t)job;

    for (int k = a->count - 1; k > i; k--)
        rest /= json_array_size(a->axis[k].values);
    return json_array_get(a->axis[i].values, rest % json_array_size(a->axis[i].values));
}

/* Put the value at the pointer, making the objects on the way. Where something else is in the way it stays,
 * and whoever checks the specification will say so. */
static void put(json_t *root, const char *pointer, const json_t *value)
{
    char name[160];

    for (;;) {
        const size_t n = strcspn(++pointer, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, pointer);
        pointer += n;
        if (!*pointer)
            break;
        json_t *inner = json_object_get(root, name);
        if (!inner && json_object_set_new(root, name, inner = json_object()) < 0)
            return;
        root = inner;
    }
    json_object_set_new(root, name, json_deep_copy(value));
}

json_t *axes_apply(const struct axes *a, const json_t *given, int job)
{
    json_t *spec = json_deep_copy(given);

    json_object_del(spec, "sweep");
    for (int i = 0; i < a->count; i++)
        put(spec, a->axis[i].pointer, axes_value(a, i, job));
    return spec;
}

void axes_text(const struct axes *a, int job, char *out, size_t size)
{
    size_t n = 0;

    out[0] = 0;
    for (int i = 0; i < a->count && n < size; i++) {
        const json_t *value = axes_value(a, i, job);
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        int k = snprintf(out + n, size - n, "%s%s=%s", i ? " " : "", a->axis[i].key,
                         text                       ? text
                         : json_string_value(value) ? json_string_value(value)
                                                    : "?");
        free(text);
        n += k > 0 ? (size_t)k : 0;
    }
}
