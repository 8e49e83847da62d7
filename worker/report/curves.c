/* curves.c - metric series in memory, each sorted by step. */
#include "base/mem.h"
#include "worker/report/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MOST 256

static struct series *find_series(struct curves *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->series[i].name, name))
            return &c->series[i];
    return NULL;
}

static struct series *add_series(struct curves *c, const char *name)
{
    struct series *list = mem_grow(c->series, (size_t)c->count + 1, sizeof *list);
    if (!list)
        return NULL;
    c->series = list;
    struct series *s = &list[c->count++];
    *s = (struct series){ 0 };
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

/* Where `step` is or belongs; mostly at the end. */
static int find_place(const struct series *s, int64_t step)
{
    int low = 0, high = s->count;
    if (!high || s->point[high - 1].step < step)
        return high;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->point[middle].step < step)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert_point(struct series *s, int place, struct point p)
{
    if (s->count == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 64;
        struct point *list =
            s->capacity < 1 << 28 ? mem_grow(s->point, (size_t)capacity, sizeof *list) : NULL;
        if (!list)
            return ERR_NOMEM;
        s->point = list;
        s->capacity = capacity;
    }
    memmove(s->point + place + 1, s->point + place, (size_t)(s->count - place) * sizeof *s->point);
    s->point[place] = p;
    s->count++;
    return 0;
}

int curves_add(struct curves *c, const char *series, int64_t step, double value)
{
    struct series *s = find_series(c, series);
    if (!s) {
        if (!*series || strlen(series) >= sizeof s->name || c->count == SERIES_MOST)
            return ERR_INVALID;
        s = add_series(c, series);
        if (!s)
            return ERR_NOMEM;
    }
    int place = find_place(s, step);
    if (place < s->count && s->point[place].step == step) {
        s->point[place].value = value;
        return 0;
    }
    return insert_point(s, place, (struct point){ step, value });
}

void curves_free(struct curves *c)
{
    for (int i = 0; i < c->count; i++)
        free(c->series[i].point);
    free(c->series);
    *c = (struct curves){ 0 };
}

/* Lines that are no metrics, and a torn last one, are passed over. */
static int load_line(struct curves *c, const char *line)
{
    if (!strstr(line, "\"metric\""))
        return 0;
    json_t *event = json_loads(line, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "t"));
    const char *series = json_string_value(json_object_get(event, "series"));
    json_t *step = json_object_get(event, "step"), *value = json_object_get(event, "value");
    int rc = 0;
    if (type && !strcmp(type, "metric") && series && json_is_integer(step) && json_is_number(value))
        rc = curves_add(c, series, json_integer_value(step), json_number_value(value));
    json_decref(event);
    return rc;
}

int curves_load(struct curves *c, const char *events_path, struct err *e)
{
    FILE *file = fopen(events_path, "re");
    if (!file)
        return errno == ENOENT ? 0 : err_sys(e, ERR_IO, "can't read %s", events_path);
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    while (!rc && getline(&line, &room, file) >= 0)
        rc = load_line(c, line);
    if (rc)
        err_set(e, rc, "can't load the metrics of %s", events_path);
    else if (ferror(file))
        rc = err_sys(e, ERR_IO, "can't read %s", events_path);
    free(line);
    fclose(file);
    return rc;
}
