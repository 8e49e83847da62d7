/* sweep_table.c - a sweep's results by combination. */
#include "api/sweep_table.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sweep_figure_names[SWEEP_FIGURES] = { "value", "float_value", "file_bytes", "ratio",
                                                        "wall_s" };

/* --- figures --- */

static void mean_add(struct sweep_mean *m, double x)
{
    const double distance = x - m->mean;

    m->mean += distance / ++m->n;
    m->squares += distance * (x - m->mean);
}

double sweep_deviation(const struct sweep_mean *m)
{
    return m->n < 2 ? (double)NAN : sqrt(m->squares / (m->n - 1));
}

static void row_add(struct sweep_row *row, const struct job *j, const json_t *result)
{
    row->ids[row->jobs++] = j->id;
    row->state[j->state]++;
    if (j->state != JOB_SUCCEEDED)
        return;
    snprintf(row->metric, sizeof row->metric, "%s", spec_text(result, "/metric", ""));
    for (int i = 0; i < SWEEP_FIGURES; i++) {
        const json_t *figure = json_object_get(result, sweep_figure_names[i]);
        if (json_is_number(figure))
            mean_add(&row->figure[i], json_number_value(figure));
    }
}

/* --- rows --- */

static size_t values_of(const struct sweep_table *t, int axis)
{
    return json_array_size(t->axes.axis[axis].values);
}

/* The row of a combination: its place among those of all axes but the seed. */
static int row_of(const struct sweep_table *t, int place)
{
    size_t row = 0, rest = (size_t)place, digit[AXES_MAX] = { 0 };

    for (int i = t->axes.count - 1; i >= 0; i--) {
        digit[i] = rest % values_of(t, i);
        rest /= values_of(t, i);
    }
    for (int i = 0; i < t->axes.count; i++)
        if (i != t->seed)
            row = row * values_of(t, i) + digit[i];
    return (int)row;
}

static int table_new(struct sweep_table *t, const struct sweep *s, struct err *e)
{
    struct spec_problems p = { .count = 0 };
    size_t seeds;

    t->seed = -1;
    t->document = json_loads(s->axes, 0, NULL);
    if (!axes_read(t->document, &t->axes, &p))
        return err_set(e, ERR_CORRUPT, "sweep %lld: %s", (long long)s->id, p.problem[0].detail);
    for (int i = 0; i < t->axes.count; i++)
        if (strcmp(t->axes.axis[i].pointer, "/train/seed") == 0)
            t->seed = i;
    seeds = t->seed < 0 ? 1 : values_of(t, t->seed);
    t->rows = t->axes.jobs / (int)seeds;
    t->row = mem_array((size_t)t->rows, sizeof *t->row);
    for (int place = t->axes.jobs - 1; t->row && place >= 0; place--)
        t->row[row_of(t, place)].place = place;
    for (int i = 0; t->row && i < t->rows; i++)
        if (!(t->row[i].ids = mem_array(seeds, sizeof *t->row[i].ids)))
            return err_set(e, ERR_NOMEM, "out of memory");
    return t->row ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int add_job(struct db *db, int64_t id, struct sweep_table *t, struct err *e)
{
    struct job j;
    int rc = job_get(db, id, &j, e);
    json_t *result = j.result ? json_loads(j.result, 0, NULL) : NULL;

    if (rc == 0 && j.sweep_place < t->axes.jobs)
        row_add(&t->row[row_of(t, j.sweep_place)], &j, result);
    json_decref(result);
    job_free(&j);
    return rc;
}

/* --- the best of them --- */

static bool dominates(const struct sweep_row *a, const struct sweep_row *b)
{
    const double value = a->figure[SWEEP_VALUE].mean - b->figure[SWEEP_VALUE].mean;
    const double bytes = a->figure[SWEEP_FILE_BYTES].mean - b->figure[SWEEP_FILE_BYTES].mean;

    return value >= 0 && bytes <= 0 && (value > 0 || bytes < 0);
}

static bool measured(const struct sweep_row *row)
{
    return row->figure[SWEEP_VALUE].n > 0 && row->figure[SWEEP_FILE_BYTES].n > 0;
}

static void mark_pareto(struct sweep_table *t)
{
    for (int i = 0; i < t->rows; i++) {
        struct sweep_row *row = &t->row[i];
        row->pareto = measured(row);
        for (int k = 0; k < t->rows && row->pareto; k++)
            row->pareto = !(measured(&t->row[k]) && dominates(&t->row[k], row));
    }
}

int sweep_table_read(struct db *db, const struct sweep *s, struct sweep_table *t, struct err *e)
{
    int64_t *ids = NULL;
    int count = 0, rc;

    *t = (struct sweep_table){ 0 };
    rc = table_new(t, s, e);
    if (rc == 0)
        rc = sweep_jobs(db, s->id, &ids, &count, e);
    for (int i = 0; rc == 0 && i < count; i++)
        rc = add_job(db, ids[i], t, e);
    if (rc == 0)
        mark_pareto(t);
    free(ids);
    return rc;
}

void sweep_table_free(struct sweep_table *t)
{
    for (int i = 0; t->row && i < t->rows; i++)
        free(t->row[i].ids);
    free(t->row);
    json_decref(t->document);
    *t = (struct sweep_table){ 0 };
}
