/* event.c - the check of one worker event. What each type must and may carry is a table; everything else in
 * the line is passed on as it is, after its depth was limited. */
#include "api/event.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 8 /* an event is flat; hello describes its sandbox in one or two levels */

static const char *const type_text[WORKER_EVENT_COUNT] = {
#define EVENT_TEXT(name, text) text,
    EVENT_TYPES(EVENT_TEXT)
#undef EVENT_TEXT
};

enum field_kind { FIELD_COUNT, FIELD_NUMBER, FIELD_TEXT, FIELD_SERIES, FIELD_KINDS };

static const struct field {
    enum worker_event_type type; /* WORKER_EVENT_COUNT: every type */
    const char *name;
    enum field_kind kind;
    bool required; /* others may be absent or null */
} field_list[] = {
    { WORKER_EVENT_COUNT, "seq", FIELD_COUNT, true },
    { WORKER_EVENT_COUNT, "time", FIELD_COUNT, true },
    { WORKER_EVENT_COUNT, "attempt", FIELD_COUNT, true },
    { WORKER_EVENT_HELLO, "version", FIELD_TEXT, false },
    { WORKER_EVENT_HELLO, "threads", FIELD_COUNT, false },
    { WORKER_EVENT_HELLO, "pid", FIELD_COUNT, false },
    { WORKER_EVENT_PHASE, "phase", FIELD_TEXT, true },
    { WORKER_EVENT_PROGRESS, "step", FIELD_COUNT, true },
    { WORKER_EVENT_PROGRESS, "steps", FIELD_COUNT, true },
    { WORKER_EVENT_PROGRESS, "eta_s", FIELD_NUMBER, false },
    { WORKER_EVENT_METRIC, "series", FIELD_SERIES, true },
    { WORKER_EVENT_METRIC, "step", FIELD_COUNT, true },
    { WORKER_EVENT_METRIC, "value", FIELD_NUMBER, true },
    { WORKER_EVENT_ARTIFACT, "name", FIELD_TEXT, true },
    { WORKER_EVENT_ARTIFACT, "bytes", FIELD_COUNT, false },
    { WORKER_EVENT_LOG, "level", FIELD_TEXT, false },
    { WORKER_EVENT_LOG, "text", FIELD_TEXT, true },
    { WORKER_EVENT_WARNING, "text", FIELD_TEXT, true },
    { WORKER_EVENT_WARNING, "code", FIELD_TEXT, false },
    { WORKER_EVENT_ERROR, "code", FIELD_TEXT, true },
    { WORKER_EVENT_ERROR, "text", FIELD_TEXT, true },
    { WORKER_EVENT_ERROR, "place", FIELD_TEXT, false },
    { WORKER_EVENT_DONE, "value", FIELD_NUMBER, false },
    { WORKER_EVENT_DONE, "metric", FIELD_TEXT, false },
};

const char *worker_event_text(enum worker_event_type t)
{
    return (unsigned)t < WORKER_EVENT_COUNT ? type_text[t] : "unknown";
}

static bool count_ok(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool number_ok(const json_t *v)
{
    return json_is_number(v) && isfinite(json_number_value(v));
}

static bool text_ok(const json_t *v)
{
    return json_is_string(v);
}

static bool series_ok(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t length = json_string_length(v);

    return s && length > 0 && length < sizeof((struct worker_event *)0)->series &&
           strspn(s, EVENT_SERIES_CHARS) == length;
}

static const struct {
    bool (*ok)(const json_t *v);
    const char *meaning;
} kind_list[FIELD_KINDS] = {
    [FIELD_COUNT] = { count_ok, "an integer, 0 or more" },
    [FIELD_NUMBER] = { number_ok, "a finite number" },
    [FIELD_TEXT] = { text_ok, "a string" },
    [FIELD_SERIES] = { series_ok, "1 to 47 characters of A-Z a-z 0-9 _ . / -" },
};

static bool shallow(const json_t *v, int levels)
{
    const char *key;
    json_t *member;
    size_t i;

    if (!json_is_object(v) && !json_is_array(v))
        return true;
    if (levels == 0)
        return false;
    json_object_foreach((json_t *)v, key, member) if (!shallow(member, levels - 1)) return false;
    json_array_foreach((json_t *)v, i, member) if (!shallow(member, levels - 1)) return false;
    return true;
}

static int type_find(const json_t *object, enum worker_event_type *type, struct err *e)
{
    const char *text = json_string_value(json_object_get(object, "t"));

    if (!text)
        return err_set(e, ERR_CORRUPT, "event without a type (\"t\")");
    for (int i = 0; i < WORKER_EVENT_COUNT; i++) {
        if (strcmp(text, type_text[i]) == 0) {
            *type = (enum worker_event_type)i;
            return 0;
        }
    }
    return err_set(e, ERR_CORRUPT, "event of unknown type \"%.40s\"", text);
}

static int fields_check(const json_t *object, enum worker_event_type type, struct err *e)
{
    for (size_t i = 0; i < sizeof field_list / sizeof *field_list; i++) {
        const struct field *f = &field_list[i];
        const json_t *v = json_object_get(object, f->name);

        if (f->type != type && f->type != WORKER_EVENT_COUNT)
            continue;
        if (!f->required && (!v || json_is_null(v)))
            continue;
        if (!v)
            return err_set(e, ERR_CORRUPT, "%s event without \"%s\"", type_text[type], f->name);
        if (!kind_list[f->kind].ok(v))
            return err_set(e, ERR_CORRUPT, "%s event: \"%s\" must be %s", type_text[type], f->name,
                           kind_list[f->kind].meaning);
    }
    return 0;
}

static double number_of(const json_t *object, const char *name, double fallback)
{
    const json_t *v = json_object_get(object, name);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

/* 0 where the type does not have it and what is there was not checked. */
static int64_t count_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return count_ok(v) ? json_integer_value(v) : 0;
}

static void event_fill(struct worker_event *ev, json_t *object, enum worker_event_type type)
{
    const char *series = json_string_value(json_object_get(object, "series"));

    ev->seq = json_integer_value(json_object_get(object, "seq"));
    ev->time_ms = json_integer_value(json_object_get(object, "time"));
    ev->attempt = (int)json_integer_value(json_object_get(object, "attempt"));
    ev->type = type;
    if (type == WORKER_EVENT_METRIC)
        memcpy(ev->series, series, strlen(series) + 1);
    ev->step = count_of(object, "step");
    ev->steps = count_of(object, "steps");
    ev->value = number_of(object, "value", 0);
    ev->eta_s = number_of(object, "eta_s", -1);
    ev->object = object;
}

int worker_event_parse(const char *line, size_t length, struct worker_event *ev, struct err *e)
{
    enum worker_event_type type = WORKER_EVENT_COUNT;
    json_error_t je;
    json_t *object;
    int rc;

    memset(ev, 0, sizeof *ev);
    if (length > EVENT_LINE_MAX)
        return err_set(e, ERR_CORRUPT, "event line of %zu bytes, at most %d are read", length,
                       EVENT_LINE_MAX);
    object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &je);
    if (!object)
        return err_set(e, ERR_CORRUPT, "event is not JSON: %s (column %d)", je.text, je.column);
    if (!json_is_object(object))
        rc = err_set(e, ERR_CORRUPT, "event is not a JSON object");
    else if (!shallow(object, DEPTH_MAX))
        rc = err_set(e, ERR_CORRUPT, "event is nested deeper than %d levels", DEPTH_MAX);
    else if ((rc = type_find(object, &type, e)) == 0)
        rc = fields_check(object, type, e);
    if (rc == 0 && json_integer_value(json_object_get(object, "seq")) < 1)
        rc = err_set(e, ERR_CORRUPT, "event numbers (\"seq\") begin with 1");
    if (rc == 0 && json_integer_value(json_object_get(object, "attempt")) > INT32_MAX)
        rc = err_set(e, ERR_CORRUPT, "attempt number out of range");
    if (rc) {
        json_decref(object);
        return rc;
    }
    event_fill(ev, object, type);
    return 0;
}

void worker_event_release(struct worker_event *ev)
{
    json_decref(ev->object);
    ev->object = NULL;
}
