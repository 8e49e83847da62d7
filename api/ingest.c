/* ingest.c - upload -> blob -> inspection -> row. */
#include "api/ingest.h"

#include "api/document.h"
#include "api/show.h"
#include "api/spec.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/blob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE_MAX ((size_t)4096) /* bytes of {"blob": "sha256:..."} */
#define INFO_MAX      ((size_t)8 << 20)

struct ingest {
    struct api *api;
    struct exchange *x;
    enum asset_kind kind;
    void *inspection;
    json_t *extra;   /* owned; may be NULL */
    int64_t made_ms; /* 0, or this upload made the blob then: refused, it goes again */
    char name[ASSET_NAME_MAX + 1], hash[HASH_TEXT];
};

static void ingest_free(struct ingest *in)
{
    if (in->made_ms) /* stays when a row refers to it, or somebody sent it meanwhile */
        blob_discard(in->api->db, in->hash, in->made_ms, NULL);
    json_decref(in->extra);
    free(in);
}

/* {"blob": "sha256:..."}: the only thing that a JSON body can say. */
static int reference_read(const char *path, char hash[HASH_TEXT], struct err *e)
{
    unsigned char digest[HASH_BYTES];
    json_t *body = NULL;
    const char *text;
    char *data = NULL;
    size_t length;
    int rc = file_load(path, REFERENCE_MAX, &data, &length, e);

    if (rc == 0)
        rc = document_parse(data, length, &body, e);
    if (rc < 0)
        goto out;
    text = spec_text(body, "/blob", NULL);
    if (!text || json_object_size(body) != 1 || hash_parse(text, digest) < 0) {
        err_set(e, ERR_INVALID, "a JSON body must be {\"blob\": \"sha256:...\"} and nothing else");
        rc = err_at(e, "/blob");
        goto out;
    }
    snprintf(hash, HASH_TEXT, "%s", text);
out:
    json_decref(body);
    free(data);
    return rc;
}

/* The content as a blob: one that is there already, or the upload. */
static int ingest_blob(struct ingest *in, struct err *e)
{
    struct upload *u = &in->x->upload;
    struct blob b;
    bool fresh;
    int rc;

    if (!u->path[0] || u->size == 0)
        return err_set(e, ERR_SYNTAX, "the body is empty");
    if (document_is_json(in->x->header(in->x, "Content-Type"))) {
        rc = reference_read(u->path, in->hash, e);
        if (rc == 0 && blob_get(in->api->db, in->hash, &b, e) < 0) {
            err_set(e, ERR_INVALID, "there is no blob %s", in->hash);
            rc = err_at(e, "/blob");
        }
        return rc;
    }
    memcpy(in->hash, u->hash, sizeof in->hash);
    fresh = blob_get(in->api->db, in->hash, &b, NULL) == ERR_NOT_FOUND;
    rc = blob_adopt(in->api->db, u->path, u->hash, u->size, e);
    if (rc == 0)
        u->path[0] = 0;
    if (rc == 0 && fresh && blob_get(in->api->db, in->hash, &b, NULL) == 0)
        in->made_ms = b.created_ms;
    return rc;
}

/* One mean and deviation per channel, or one for all. */
static int normalize_check(const json_t *info, struct err *e)
{
    size_t given = json_array_size(json_object_get(info, "mean"));
    int64_t channels = spec_int(info, "/shape/0", 0);

    if (given <= 1 || channels < 1 || (int64_t)given == channels)
        return 0;
    err_set(e, ERR_INVALID, "%zu numbers are given for %" PRId64 " channels", given, channels);
    return err_at(e, "?mean");
}

/* The inspector's words, completed by what the client said, become a row and the answer. */
static int ingest_store(struct ingest *in, const char *json, struct err *e)
{
    struct asset_new n = { .name = in->name, .hash = in->hash };
    struct asset a = { 0 };
    json_t *info = NULL;
    char *text = NULL;
    bool existed;
    size_t length = strlen(json);
    int rc = length > INFO_MAX ? err_set(e, ERR_TOO_LARGE, "the inspector's answer is too long")
                               : document_parse(json, length, &info, e);

    if (rc < 0) {
        err_set(e, ERR_INTERNAL, "the inspector's answer can't be read");
        rc = e->code;
        goto out;
    }
    if (in->extra && json_object_update(info, in->extra) != 0) {
        rc = err_set(e, ERR_INTERNAL, "the inspector's answer is not an object");
        goto out;
    }
    rc = normalize_check(info, e);
    if (rc < 0)
        goto out;
    text = json_dumps(info, JSON_COMPACT);
    if (!text) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    n.info = text;
    n.format = spec_text(info, "/format", "");
    rc = asset_add(in->api->db, in->kind, &n, &a, &existed, e);
    if (rc < 0)
        goto out;
    exchange_header(in->x, "Location", "%s/%" PRId64, asset_words[in->kind].collection, a.id);
    exchange_json(in->x, existed ? 200 : 201, asset_json(&a));
    asset_free(&a);
out:
    json_decref(info);
    free(text);
    return rc;
}

static void inspected(void *cookie, const char *json, const struct err *failure)
{
    struct ingest *in = cookie;
    struct exchange *x = in->x;
    struct err e = { 0 };

    if (failure && failure->code)
        exchange_problem(x, failure);
    else if (ingest_store(in, json ? json : "", &e) < 0)
        exchange_problem(x, &e);
    ingest_free(in);
    exchange_ready(x);
}

static void abandoned(void *arg)
{
    struct ingest *in = arg;
    const struct service *s = in->api->service;

    s->inspect_forget(s->arg, in->inspection);
    ingest_free(in);
}

static int ingest_begin(struct ingest *in, const char *format, struct err *e)
{
    const struct service *s = in->api->service;
    const char *name = in->x->query(in->x, "name");
    char path[4096];
    int rc = name ? asset_name_check(name, e) : 0;

    if (rc < 0)
        return err_at(e, "?name");
    if (name)
        memcpy(in->name, name, strlen(name) + 1);
    if ((rc = ingest_blob(in, e)) < 0)
        return rc;
    blob_path(in->api->db, in->hash, path, sizeof path);
    in->inspection = s->inspect(s->arg, asset_words[in->kind].noun, path, format, inspected, in);
    if (!in->inspection)
        return err_set(e, ERR_BUSY, "too many files are being inspected");
    exchange_park(in->x, abandoned, in);
    return 0;
}

void ingest_start(struct api *api, struct exchange *x, enum asset_kind kind, const char *format,
                  json_t *extra)
{
    struct ingest *in = mem_alloc(sizeof *in);
    struct err e = { 0 };

    if (!in) {
        json_decref(extra);
        err_set(&e, ERR_NOMEM, "out of memory");
    } else {
        *in = (struct ingest){ .api = api, .x = x, .kind = kind, .extra = extra };
        if (ingest_begin(in, format, &e) < 0)
            ingest_free(in);
    }
    if (e.code)
        exchange_problem(x, &e);
}
