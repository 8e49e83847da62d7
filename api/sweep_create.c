/* sweep_create.c - POST /v1/jobs with "sweep": a draft for each combination, then all rows in one
 * transaction. */
#include "api/axes.h"
#include "api/creation.h"
#include "api/draft.h"
#include "api/handle.h"
#include "api/sweep_show.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 200

struct making {
    const struct creation *c;
    struct axes axes;
    struct draft *draft; /* owned: one for each job */
    struct job_new *row; /* owned: they point into the drafts */
    json_t *first;       /* owned: the complete specification of the first job */
    json_t *estimate;    /* owned: of the first job */
    struct spec_problems problems;
};

static void making_free(struct making *m)
{
    for (int i = 0; m->draft && i < m->axes.jobs; i++)
        draft_free(&m->draft[i]);
    free(m->draft);
    free(m->row);
    json_decref(m->first);
    json_decref(m->estimate);
}

/* "name: train.seed=1", so that the queue tells the jobs apart. A character is never cut in two; a name that
 * is too long already is left for the check of the specification. */
static void name_job(const struct making *m, json_t *spec, int job)
{
    const char *given = spec_text(spec, "/name", "");
    char values[NAME_BYTES], name[2 * NAME_BYTES + 3];
    json_t *text = NULL;

    for (int i = 0; i < m->axes.count; i++)
        if (strcmp(m->axes.axis[i].pointer, "/name") == 0)
            return;
    if (strlen(given) > NAME_BYTES)
        return;
    axes_text(&m->axes, job, values, sizeof values);
    snprintf(name, sizeof name, "%.*s%s%s", NAME_BYTES, given, *given ? ": " : "", values);
    for (size_t n = strnlen(name, NAME_BYTES); !text && n > 0; n--)
        text = json_stringn(name, n);
    json_object_set_new(spec, "name", text);
}

/* Say which job has the problem; a sweep stops at the first that has one. */
static void tell_job(struct making *m, int job)
{
    char values[120], detail[sizeof m->problems.problem[0].detail];

    axes_text(&m->axes, job, values, sizeof values);
    for (int i = 0; i < m->problems.count; i++) {
        char *text = m->problems.problem[i].detail;
        snprintf(detail, sizeof detail, "%.110s (with %s)", text, values);
        memcpy(text, detail, sizeof detail);
    }
}

static int make_draft(struct api *api, const struct exchange *x, struct making *m, int job, struct err *e)
{
    json_t *given = axes_apply(&m->axes, m->c->given, job);
    struct draft *d = &m->draft[job];
    int rc;

    name_job(m, given, job);
    rc = draft_complete(api, given, d, &m->problems, e);
    json_decref(given);
    if (rc < 0 || m->problems.count) {
        tell_job(m, job);
        return rc;
    }
    if (job == 0) {
        m->first = json_incref(d->spec);
        m->estimate = draft_estimate(d);
    }
    return draft_row(d, x->user, &m->row[job], e);
}

/* 0 with the problems filled in or not; negative: the machinery is at fault. */
static int make_drafts(struct api *api, const struct exchange *x, struct making *m, struct err *e)
{
    int rc = 0;

    if (!axes_read(json_object_get(m->c->given, "sweep"), &m->axes, &m->problems) ||
        !axes_check(&m->axes, api->capabilities, &m->problems))
        return 0;
    m->draft = mem_array((size_t)m->axes.jobs, sizeof *m->draft);
    m->row = mem_array((size_t)m->axes.jobs, sizeof *m->row);
    if (!m->draft || !m->row)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < m->axes.jobs && rc == 0 && m->problems.count == 0; i++)
        rc = make_draft(api, x, m, i, e);
    return rc;
}

static void store(struct api *api, struct exchange *x, struct making *m)
{
    const struct creation *c = m->c;
    char *axes = json_dumps(json_object_get(c->given, "sweep"), JSON_COMPACT);
    struct sweep_new n = { .name = spec_text(c->given, "/name", ""), .owner = x->user, .axes = axes };
    struct err e = { 0 };
    struct sweep s = { 0 };
    bool existed = false;
    int rc = axes ? sweep_add(api->db, &n, m->row, m->axes.jobs, c->key[0] ? c->key : NULL, c->body_hash, &s,
                              &existed, &e)
                  : err_set(&e, ERR_NOMEM, "out of memory");

    if (rc == 0 && !existed)
        handle_changed(api);
    if (rc == 0)
        sweep_answer(api, x, 202, &s);
    else
        exchange_problem(x, &e);
    sweep_free(&s);
    free(axes);
}

void sweep_create(struct api *api, struct exchange *x, const struct creation *c)
{
    struct making m = { .c = c };
    struct err e = { 0 };

    if (make_drafts(api, x, &m, &e) < 0)
        exchange_problem(x, &e);
    else if (m.problems.count)
        exchange_problems(x, ERR_INVALID, &m.problems);
    else if (c->dry_run)
        exchange_json(
            x, 200, json_pack("{s:O,s:O,s:i}", "spec", m.first, "estimate", m.estimate, "jobs", m.axes.jobs));
    else
        store(api, x, &m);
    making_free(&m);
}
