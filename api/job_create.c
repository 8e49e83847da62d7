/* job_create.c - POST /v1/jobs: a draft (draft.h) becomes a row, or with "sweep" several (sweep_create.c).
 * Every problem is collected before anything is answered, and nothing is stored until there is none. */
#include "api/creation.h"
#include "api/document.h"
#include "api/draft.h"
#include "api/handle.h"
#include "api/query.h"
#include "api/show.h"
#include "api/sweep_show.h"

#include <inttypes.h>
#include <string.h>

static int read_key(const struct exchange *x, struct creation *c, struct err *e)
{
    const char *key = x->header(x, "Idempotency-Key");
    unsigned char digest[HASH_BYTES];
    size_t n = key ? strlen(key) : 0;

    if (!key)
        return 0;
    if (n < 1 || n > CREATION_KEY_MAX)
        return err_set(e, ERR_SYNTAX, "an Idempotency-Key has 1 to %d characters", CREATION_KEY_MAX);
    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            return err_set(e, ERR_SYNTAX, "an Idempotency-Key is made of visible ASCII characters");
    memcpy(c->key, key, n + 1);
    hash_bytes(x->body, x->body_length, digest);
    hash_text(digest, c->body_hash);
    return 0;
}

static int creation_read(const struct exchange *x, struct creation *c, struct err *e)
{
    int rc = query_flag(x, "dry_run", &c->dry_run, e);

    if (rc == 0)
        rc = document_body(x, &c->given, e);
    return rc < 0 ? rc : read_key(x, c, e);
}

static void answer_job(struct api *api, struct exchange *x, const struct job *j)
{
    exchange_header(x, "Location", "/v1/jobs/%" PRId64, j->id);
    job_answer(api, x, 202, j);
}

/* A request sent again gets the job or the sweep that the first one made, whatever has become of its model
 * meanwhile. */
static bool answer_replay(struct api *api, struct exchange *x, const struct creation *c)
{
    struct err e = { 0 };
    struct job j;
    int rc;

    if (!c->key[0] || c->dry_run)
        return false;
    rc = job_find_key(api->db, x->user, c->key, c->body_hash, &j, &e);
    if (rc == ERR_NOT_FOUND)
        return false;
    if (rc < 0)
        exchange_problem(x, &e);
    else if (j.sweep)
        sweep_answer_id(api, x, 202, j.sweep);
    else
        answer_job(api, x, &j);
    job_free(&j);
    return true;
}

static void store(struct api *api, struct exchange *x, const struct creation *c, struct draft *d)
{
    struct err e = { 0 };
    struct job_new n;
    struct job j = { 0 };
    bool existed = false;

    if (draft_row(d, x->user, &n, &e) < 0 ||
        job_add(api->db, &n, c->key[0] ? c->key : NULL, c->body_hash, &j, &existed, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    if (!existed)
        handle_changed(api);
    answer_job(api, x, &j);
    job_free(&j);
}

static void create_one(struct api *api, struct exchange *x, const struct creation *c)
{
    struct spec_problems p = { .count = 0 };
    struct draft d = { 0 };
    struct err e = { 0 };

    if (draft_complete(api, c->given, &d, &p, &e) < 0)
        exchange_problem(x, &e);
    else if (p.count)
        exchange_problems(x, ERR_INVALID, &p);
    else if (c->dry_run)
        exchange_json(x, 200, json_pack("{s:O,s:o}", "spec", d.spec, "estimate", draft_estimate(&d)));
    else
        store(api, x, c, &d);
    draft_free(&d);
}

void handle_job_create(struct api *api, struct exchange *x)
{
    struct creation c = { .dry_run = false };
    struct err e = { 0 };

    if (!query_ok(x))
        return;
    if (creation_read(x, &c, &e) < 0)
        exchange_problem(x, &e);
    else if (answer_replay(api, x, &c))
        ;
    else if (json_object_get(c.given, "sweep"))
        sweep_create(api, x, &c);
    else
        create_one(api, x, &c);
    json_decref(c.given);
}
