/* job.c - jobs after they were made: list, show, change, cancel, queue again, delete. */
#include "storage/job.h"

#include "api/document.h"
#include "api/handle.h"
#include "api/page.h"
#include "api/query.h"
#include "api/show.h"
#include "api/spec_value.h"
#include "base/file.h"
#include "base/num.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- list -------------------------------------------------------------------------------------------------
 */

static int filter_read(const struct exchange *x, struct page *page, struct job_filter *f, struct err *e)
{
    const char *state = x->query(x, "state");
    int rc = page_read(x, page, e);

    if (rc < 0)
        return rc;
    *f = (struct job_filter){
        .state = state ? job_state_parse(state) : -1,
        .kind = x->query(x, "kind"),
        .owner = x->query(x, "owner"),
        .tag = x->query(x, "tag"),
        .before = page->before,
        .limit = page->limit + 1,
    };
    if ((rc = query_int(x, "sweep", 1, INT64_MAX, &f->sweep, e)) < 0)
        return rc;
    if (!state || f->state >= 0)
        return 0;
    err_set(e, ERR_SYNTAX, "there is no job state \"%.40s\"", state);
    return err_at(e, "?state");
}

void handle_job_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct page page;
    struct job_filter filter;
    struct job *list = NULL;
    int count = 0, shown;
    json_t *items, *item;

    if (!query_ok(x))
        return;
    if (filter_read(x, &page, &filter, &e) < 0 || job_list(api->db, &filter, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    items = json_array();
    shown = page_shown(&page, count);
    for (int i = 0; i < shown && e.code == 0; i++)
        if (job_json(api, &list[i], false, &item, &e) == 0)
            json_array_append_new(items, item);
    if (e.code) {
        json_decref(items);
        exchange_problem(x, &e);
    } else {
        page_answer(x, &page, items, count > shown, shown ? list[shown - 1].id : 0);
    }
    job_list_free(list, count);
}

void handle_job_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j = { 0 };

    if (!query_ok(x))
        return;
    if (handle_job(api, x, &j, &e) < 0)
        exchange_problem(x, &e);
    else
        job_answer(api, x, 200, &j);
    job_free(&j);
}

/* --- change -----------------------------------------------------------------------------------------------
 */

/* The version that If-Match names; 0 without the header or with "*". What we have never given matches
 * nothing. */
static int if_match(const struct exchange *x, int64_t *version, struct err *e)
{
    const char *text = x->header(x, "If-Match");
    char digits[24];
    size_t n;

    *version = 0;
    if (!text || strcmp(text, "*") == 0)
        return 0;
    if (strncmp(text, "W/", 2) == 0)
        text += 2;
    n = strlen(text);
    if (n > 2 && n - 2 < sizeof digits && text[0] == '"' && text[n - 1] == '"') {
        memcpy(digits, text + 1, n - 2);
        digits[n - 2] = 0;
        if (num_int64(digits, 1, INT64_MAX, version))
            return 0;
    }
    return err_set(e, ERR_PRECONDITION, "If-Match names no version of this job");
}

/* The three things that may change, each held against the same description as in a new job. */
static bool patch_ok(const struct api *api, const json_t *patch, struct spec_problems *p)
{
    static const char *const keys[] = { "name", "tags", "priority" };
    const char *key;
    char pointer[64];
    json_t *v;
    size_t i;

    if (!json_is_object(patch)) {
        spec_problem(p, "", "type", "must be an object with priority, name or tags");
        return false;
    }
    json_object_foreach((json_t *)patch, key, v)
    {
        snprintf(pointer, sizeof pointer, "/%.60s", key);
        for (i = 0; i < sizeof keys / sizeof *keys && strcmp(key, keys[i]) != 0; i++)
            ;
        if (i == sizeof keys / sizeof *keys)
            spec_problem(p, pointer, "unknown_key", "priority, name and tags can be changed, nothing else");
        else
            spec_value_ok(spec_parameter(api->capabilities, pointer), v, pointer, p);
    }
    return p->count == 0;
}

static int patch_store(struct api *api, int64_t id, int64_t version, const json_t *patch, struct err *e)
{
    const json_t *tags = json_object_get(patch, "tags");
    char *tags_text = tags ? json_dumps(tags, JSON_COMPACT) : NULL;
    int rc = job_patch(api->db, id, version, spec_text(patch, "/name", NULL), tags_text,
                       (int)spec_int(patch, "/priority", INT_MIN), e);

    free(tags_text);
    return rc;
}

void handle_job_patch(struct api *api, struct exchange *x)
{
    struct spec_problems p = { .count = 0 };
    struct err e = { 0 };
    struct job j = { 0 };
    json_t *patch = NULL;
    int64_t version;

    if (!query_ok(x))
        return;
    if (handle_job(api, x, &j, &e) < 0 || document_body(x, &patch, &e) < 0 || if_match(x, &version, &e) < 0) {
        exchange_problem(x, &e);
    } else if (!patch_ok(api, patch, &p)) {
        exchange_problems(x, ERR_INVALID, &p);
    } else if (patch_store(api, j.id, version, patch, &e) < 0) {
        exchange_problem(x, &e);
    } else {
        handle_changed(api);
        job_free(&j);
        if (handle_job(api, x, &j, &e) < 0)
            exchange_problem(x, &e);
        else
            job_answer(api, x, 200, &j);
    }
    json_decref(patch);
    job_free(&j);
}

/* One step of the state machine that a person asks for, and the job after it. */
static int move(struct api *api, int64_t id, enum job_event event, const char *reason, struct job *j,
                struct err *e)
{
    int rc = job_move(api->db, id, event, reason, e);

    *j = (struct job){ 0 };
    return rc < 0 ? rc : job_get(api->db, id, j, e);
}

int handle_cancel(struct api *api, const struct exchange *x, int64_t id, struct job *j, struct err *e)
{
    char reason[100];
    int rc;

    snprintf(reason, sizeof reason, x->user[0] ? "cancelled by %s" : "cancelled on request%s", x->user);
    rc = move(api, id, JOB_EVENT_CANCEL, reason, j, e);
    if (rc == 0 && j->state == JOB_CANCELLING)
        api->service->stop_job(api->service->arg, id);
    return rc;
}

void handle_job_cancel(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j = { 0 };
    int64_t id;

    if (!query_ok(x))
        return;
    if (handle_job_id(x, &id, &e) < 0 || handle_cancel(api, x, id, &j, &e) < 0) {
        exchange_problem(x, &e);
    } else {
        handle_changed(api);
        job_answer(api, x, 202, &j);
    }
    job_free(&j);
}

void handle_job_retry(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j = { 0 };
    int64_t id;

    if (!query_ok(x))
        return;
    if (handle_job_id(x, &id, &e) < 0 || move(api, id, JOB_EVENT_RETRY, "", &j, &e) < 0) {
        exchange_problem(x, &e);
    } else {
        handle_changed(api);
        job_answer(api, x, 202, &j);
    }
    job_free(&j);
}

int handle_delete(struct api *api, int64_t id, struct err *e)
{
    char dir[4096];
    int rc = job_delete(api->db, id, e);

    if (rc < 0)
        return rc;
    handle_changed(api);
    job_dir(api->db, id, dir, sizeof dir);
    rc = file_remove_tree(dir, e);
    if (rc < 0)
        err_wrap(e, "the job is deleted, its directory is not");
    return rc;
}

void handle_job_delete(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    int64_t id;

    if (!query_ok(x))
        return;
    if (handle_job_id(x, &id, &e) < 0 || handle_delete(api, id, &e) < 0)
        exchange_problem(x, &e);
    else
        exchange_empty(x, 204);
}
