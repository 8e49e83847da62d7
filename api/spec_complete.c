/* spec_complete.c - a client's document becomes a complete specification, or a list of what is wrong with it.
 *
 * Four passes, each over data only: every key given is looked up (unknown, unused by the kind, bad value);
 * members of lists that must be there; the specification is built in the order of the capabilities (defaults,
 * required keys); the limits of the chosen method. A "pattern" is a pointer whose array indices are replaced
 * by '*', as the capabilities write it. */
#include "api/spec_value.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTER_MAX 160

struct walk {
    const json_t *capabilities;
    const char *kind;          /* NULL while it is not known: then every section is let through */
    const char *task, *method; /* likewise */
    struct spec_problems *p;
};

/* base + "/" + key, escaped (RFC 6901); cut when too long, which then matches no parameter. */
static void pointer_join(char out[POINTER_MAX], const char *base, const char *key)
{
    size_t n = (size_t)snprintf(out, POINTER_MAX, "%s/", base);

    for (; *key && n + 3 < POINTER_MAX; key++) {
        if (*key == '~' || *key == '/') {
            out[n++] = '~';
            out[n++] = *key == '~' ? '0' : '1';
        } else {
            out[n++] = *key;
        }
    }
    /* A cut inside a character would not be UTF-8 any more. */
    while (*key && n > 0 && ((unsigned char)out[n - 1] & 0x80))
        n--;
    out[n < POINTER_MAX ? n : POINTER_MAX - 1] = 0;
}

/* Is the word in the list? Without a list, or while the word is not known, yes. */
static bool listed(const json_t *words, const char *word)
{
    const json_t *one;
    size_t i;

    if (!json_is_array(words) || !word)
        return true;
    json_array_foreach(words, i,
                       one) if (json_is_string(one) && strcmp(json_string_value(one), word) == 0) return true;
    return false;
}

static bool kind_uses(const struct walk *w, const json_t *parameter)
{
    return listed(json_object_get(parameter, "kinds"), w->kind);
}

static bool task_uses(const struct walk *w, const json_t *parameter)
{
    return listed(json_object_get(parameter, "tasks"), w->task);
}

/* Kind, task and method all. */
static bool job_uses(const struct walk *w, const json_t *parameter)
{
    return kind_uses(w, parameter) && task_uses(w, parameter) &&
           listed(json_object_get(parameter, "methods"), w->method);
}

/* Is there anything below this pattern, does the job use any of it? Else *shy is something that it does not.
 */
static void section_find(const struct walk *w, const char *pattern, bool *exists, const json_t **shy,
                         bool *used)
{
    const json_t *list = json_object_get(w->capabilities, "parameters"), *parameter;
    size_t i, n = strlen(pattern);

    *exists = *used = false;
    *shy = NULL;
    json_array_foreach(list, i, parameter)
    {
        const char *pointer = spec_text(parameter, "/pointer", "");
        if (strncmp(pointer, pattern, n) != 0 || pointer[n] != '/')
            continue;
        *exists = true;
        if (!*shy || kind_uses(w, parameter))
            *shy = parameter;
        *used |= job_uses(w, parameter);
    }
}

static void problem_unused(const struct walk *w, const char *pointer, const json_t *parameter)
{
    if (!kind_uses(w, parameter))
        spec_problem(w->p, pointer, "unknown_key", "a job of kind \"%s\" does not use this", w->kind);
    else if (!task_uses(w, parameter))
        spec_problem(w->p, pointer, "unknown_key", "a job for the task \"%s\" does not use this", w->task);
    else
        spec_problem(w->p, pointer, "unknown_key", "the method \"%s\" does not use this", w->method);
}

static void walk_object(const struct walk *w, const json_t *object, const char *pattern, const char *pointer);

/* Members of a list of objects: their keys, and those that each must have. */
static void walk_list(const struct walk *w, const json_t *list, const char *pattern, const char *pointer)
{
    const json_t *parameters = json_object_get(w->capabilities, "parameters"), *item, *parameter;
    char below[POINTER_MAX], at[POINTER_MAX], missing[POINTER_MAX], index[24];
    size_t i, k, n;

    n = (size_t)snprintf(below, sizeof below, "%s/*", pattern);
    json_array_foreach(list, i, item)
    {
        snprintf(index, sizeof index, "%zu", i);
        pointer_join(at, pointer, index);
        if (!json_is_object(item)) {
            spec_problem(w->p, at, "type", "must be an object");
            continue;
        }
        walk_object(w, item, below, at);
        json_array_foreach(parameters, k, parameter)
        {
            const char *member = spec_text(parameter, "/pointer", "");
            if (strncmp(member, below, n) != 0 || !spec_bool(parameter, "/required", false) ||
                spec_at(item, member + n))
                continue;
            snprintf(missing, sizeof missing, "%s%s", at, member + n);
            spec_problem(w->p, missing, "required", "must be given");
        }
    }
}

static void walk_member(const struct walk *w, const json_t *v, const char *pattern, const char *pointer)
{
    const json_t *parameter = spec_parameter(w->capabilities, pattern);
    const json_t *shy;
    bool section, used;

    if (parameter && !job_uses(w, parameter)) {
        problem_unused(w, pointer, parameter);
    } else if (parameter) {
        if (spec_value_ok(parameter, v, pointer, w->p) &&
            strcmp(spec_text(parameter, "/type", ""), "list") == 0)
            walk_list(w, v, pattern, pointer);
    } else {
        section_find(w, pattern, &section, &shy, &used);
        if (!section)
            spec_problem(w->p, pointer, "unknown_key", "there is no such parameter");
        else if (!used)
            problem_unused(w, pointer, shy);
        else if (!json_is_object(v))
            spec_problem(w->p, pointer, "type", "must be an object");
        else
            walk_object(w, v, pattern, pointer);
    }
}

static void walk_object(const struct walk *w, const json_t *object, const char *pattern, const char *pointer)
{
    char below[POINTER_MAX], at[POINTER_MAX];
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)object, key, v)
    {
        pointer_join(below, pattern, key);
        pointer_join(at, pointer, key);
        walk_member(w, v, below, at);
    }
}

/* Put a value (a new reference, taken) where the pointer says; the objects on the way are made. */
static int spec_put(json_t *root, const char *pointer, json_t *value)
{
    char key[POINTER_MAX];
    const char *slash;
    json_t *next;

    while ((slash = strchr(pointer + 1, '/'))) {
        snprintf(key, sizeof key, "%.*s", (int)(slash - pointer - 1), pointer + 1);
        next = json_object_get(root, key);
        if (!next) {
            next = json_object();
            if (json_object_set_new(root, key, next) != 0) {
                json_decref(value);
                return ERR_NOMEM;
            }
        }
        root = next;
        pointer = slash;
    }
    return json_object_set_new(root, pointer + 1, value) == 0 ? 0 : ERR_NOMEM;
}

/* One parameter of the complete specification. */
static int build_parameter(const struct walk *w, const json_t *given, const json_t *parameter, json_t *spec)
{
    const char *pointer = spec_text(parameter, "/pointer", "");
    const json_t *v = spec_at(given, pointer);

    if (strstr(pointer, "/*/") || pointer[0] != '/' || !job_uses(w, parameter))
        return 0;
    if (!v && spec_bool(parameter, "/required", false)) {
        spec_problem(w->p, pointer, "required", "must be given");
        return 0;
    }
    if (!v)
        v = json_object_get(parameter, "default");
    return v ? spec_put(spec, pointer, json_deep_copy(v)) : 0;
}

static int build(const struct walk *w, const json_t *given, json_t *spec)
{
    const json_t *list = json_object_get(w->capabilities, "parameters"), *parameter;
    size_t i;
    int rc;

    json_array_foreach(list, i,
                       parameter) if ((rc = build_parameter(w, given, parameter, spec)) < 0) return rc;
    return 0;
}

static bool problem_at(const struct spec_problems *p, const char *pointer)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->problem[i].pointer, pointer) == 0)
            return true;
    return false;
}

static bool words_have(const json_t *words, const json_t *v)
{
    const json_t *one;
    size_t i;

    json_array_foreach(words, i, one) if (json_equal(one, v)) return true;
    return false;
}

/* One value against one limit: [min, max], or the words that are possible. who: "method \"msqe\"". */
static void limit_check(const struct walk *w, const char *who, const json_t *limit, const char *pattern,
                        const char *pointer, const json_t *v)
{
    char words[120];
    const json_t *low = json_array_get(limit, 0), *high = json_array_get(limit, 1);

    if (!v || problem_at(w->p, pointer) || spec_value_also(spec_parameter(w->capabilities, pattern), v))
        return;
    if (json_is_number(v) && json_is_number(low) && json_is_number(high)) {
        double x = json_number_value(v);
        if (x < json_number_value(low) || x > json_number_value(high))
            spec_problem(w->p, pointer, "limit", "the %s can do %.17g to %.17g, not %.17g", who,
                         json_number_value(low), json_number_value(high), x);
    } else if (json_is_string(v) && json_is_string(low) && !words_have(limit, v)) {
        spec_value_words(limit, words, sizeof words);
        spec_problem(w->p, pointer, "limit", "the %s can do %s, not \"%.40s\"", who, words,
                     json_string_value(v));
    }
}

/* A pattern with a '*' is a limit on every member of that list. */
static void limit_apply(const struct walk *w, const char *who, const json_t *limit, const char *pattern,
                        const json_t *spec)
{
    const char *star = strstr(pattern, "/*/");
    char list_at[POINTER_MAX], at[2 * POINTER_MAX + 24];
    size_t i, count;

    if (!star) {
        limit_check(w, who, limit, pattern, pattern, spec_at(spec, pattern));
        return;
    }
    snprintf(list_at, sizeof list_at, "%.*s", (int)(star - pattern), pattern);
    count = json_array_size(spec_at(spec, list_at));
    for (i = 0; i < count; i++) {
        snprintf(at, sizeof at, "%s/%zu%s", list_at, i, star + 2);
        limit_check(w, who, limit, pattern, at, spec_at(spec, at));
    }
}

/* What a method can do to the whole network is also what it can do to one layer: a limit on
 * "/quantize/weights/bits" holds for the members of "/overrides" as well. */
static void limit_apply_overrides(const struct walk *w, const char *who, const json_t *limit,
                                  const char *pattern, const json_t *spec)
{
    static const char section[] = "/quantize/";
    char override[POINTER_MAX];

    if (strncmp(pattern, section, sizeof section - 1) != 0)
        return;
    snprintf(override, sizeof override, "/overrides/*/%s", pattern + sizeof section - 1);
    limit_apply(w, who, limit, override, spec);
}

/* The limits of whatever the specification has chosen at `pointer` from the capabilities' `list`. */
static void choice_check(const struct walk *w, const json_t *spec, const char *list, const char *pointer,
                         const char *what)
{
    const json_t *choices = json_object_get(w->capabilities, list), *c;
    const char *chosen = spec_text(spec, pointer, NULL), *pattern;
    char who[100];
    json_t *limit;
    size_t i;

    json_array_foreach(choices, i, c)
    {
        if (!chosen || strcmp(spec_text(c, "/name", ""), chosen) != 0)
            continue;
        snprintf(who, sizeof who, "%s \"%.60s\"", what, chosen);
        json_object_foreach(json_object_get(c, "limits"), pattern, limit)
        {
            limit_apply(w, who, limit, pattern, spec);
            limit_apply_overrides(w, who, limit, pattern, spec);
        }
    }
}

/* Kind and task decide what else may be there; NULL when the word is missing or wrong, which the passes will
 * report. */
static const char *word_of(const json_t *capabilities, const json_t *given, const char *pointer)
{
    const json_t *v = spec_at(given, pointer), *parameter = spec_parameter(capabilities, pointer);
    struct spec_problems ignored = { .count = 0 };

    if (!v)
        v = json_object_get(parameter, "default");
    return v && json_is_string(v) && parameter && spec_value_ok(parameter, v, pointer, &ignored)
               ? json_string_value(v)
               : NULL;
}

int spec_complete(const json_t *capabilities, const json_t *given, json_t **spec, struct spec_problems *p)
{
    struct walk w = { .capabilities = capabilities, .p = p };
    json_t *built;

    *spec = NULL;
    p->count = 0;
    if (!json_is_object(given)) {
        spec_problem(p, "", "type", "a job specification is a JSON object");
        return ERR_INVALID;
    }
    built = json_object();
    if (!built)
        return ERR_NOMEM;
    w.kind = word_of(capabilities, given, "/kind");
    w.task = word_of(capabilities, given, "/task");
    w.method = word_of(capabilities, given, "/quantize/method");
    walk_object(&w, given, "", "");
    if (build(&w, given, built) < 0) {
        json_decref(built);
        return ERR_NOMEM;
    }
    choice_check(&w, built, "methods", "/quantize/method", "method");
    choice_check(&w, built, "tasks", "/task", "task");
    if (p->count) {
        json_decref(built);
        return ERR_INVALID;
    }
    *spec = built;
    return 0;
}

static bool match_any(const char *match, const json_t *layers)
{
    const json_t *layer;
    size_t i;

    json_array_foreach(layers, i,
                       layer) if (fnmatch(match, spec_text(layer, "/name", ""), 0) == 0) return true;
    return false;
}

int spec_check_overrides(const json_t *spec, const json_t *layers, struct spec_problems *p)
{
    const json_t *list = json_object_get(spec, "overrides"), *item;
    int before = p->count;
    char at[POINTER_MAX];
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *match = spec_text(item, "/match", "");
        if (match_any(match, layers))
            continue;
        snprintf(at, sizeof at, "/overrides/%zu/match", i);
        spec_problem(p, at, "no_match", "no layer of the model is called \"%.80s\"", match);
    }
    return p->count > before ? ERR_INVALID : 0;
}
