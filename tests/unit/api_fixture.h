/* api_fixture.h - a real database in a temporary directory, a service that only takes notes, and requests
 * made by hand: everything that a handler sees, without HTTP. */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api.h"
#include "api/route.h"
#include "api/spec.h"
#include "base/file.h"
#include "base/hash.h"
#include "storage/asset.h"
#include "storage/blob.h"
#include "storage/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITIES "tests/unit/api_capabilities.json"

struct fixture {
    char dir[64];
    struct db *db;
    struct api api;
    struct service service;
    int kicks, wakes, readied;
    int64_t stopped;     /* the job that was last told to stop */
    const char *unready; /* NULL: ready */
    /* the inspection under way */
    char kind[16], path[512], format[32];
    void (*done)(void *cookie, const char *json, const struct err *e);
    void *cookie;
    bool forgotten, inspector_full;
};

static struct fixture fx;

static inline void fake_kick(void *arg)
{
    ((struct fixture *)arg)->kicks++;
}

static inline void fake_stop(void *arg, int64_t job)
{
    ((struct fixture *)arg)->stopped = job;
}

static inline void *fake_inspect(void *arg, const char *kind, const char *path, const char *format,
                                 void (*done)(void *cookie, const char *json, const struct err *e),
                                 void *cookie)
{
    struct fixture *f = arg;

    if (f->inspector_full)
        return NULL;
    snprintf(f->kind, sizeof f->kind, "%s", kind);
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->format, sizeof f->format, "%s", format ? format : "");
    f->done = done;
    f->cookie = cookie;
    return f;
}

static inline void fake_forget(void *arg, void *handle)
{
    struct fixture *f = arg;

    assert_ptr_equal(handle, f);
    f->forgotten = true;
}

static inline void fake_events(void *arg)
{
    ((struct fixture *)arg)->wakes++;
}

static inline int fake_ready(void *arg, struct err *e)
{
    struct fixture *f = arg;
    return f->unready ? err_set(e, ERR_BUSY, "%s", f->unready) : 0;
}

static inline int64_t fake_slots(void *arg)
{
    (void)arg;
    return 4;
}

static inline int fake_streams(void *arg)
{
    (void)arg;
    return 3;
}

static inline int fixture_open(void **state)
{
    struct err e = { 0 };

    (void)state;
    memset(&fx, 0, sizeof fx);
    strcpy(fx.dir, "/tmp/quantd-api-XXXXXX");
    if (!mkdtemp(fx.dir) || db_open(fx.dir, &fx.db, &e) < 0) {
        fprintf(stderr, "fixture: %s\n", e.text);
        return -1;
    }
    fx.service = (struct service){ &fx,         fake_kick,  fake_stop,  fake_inspect, fake_forget,
                                   fake_events, fake_ready, fake_slots, fake_streams };
    fx.api = (struct api){ .db = fx.db,
                           .capabilities = json_load_file(CAPABILITIES, 0, NULL),
                           .service = &fx.service,
                           .upload_max = 1 << 30,
                           .webui_dir = "webui",
                           .openapi_path = "api/openapi.json",
                           .started_ms = 1 };
    return fx.api.capabilities ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    (void)state;
    json_decref(fx.api.capabilities);
    db_close(fx.db);
    return file_remove_tree(fx.dir, NULL);
}

/* --- one request ------------------------------------------------------------------------------------------
 */

#define PAIRS 8

struct pair {
    char key[32], value[300];
};

struct call {
    struct exchange x;
    struct pair query[PAIRS], header[PAIRS];
    int queries, headers;
    json_t *json; /* the answer, when it is JSON */
};

static inline const char *pair_find(const struct pair *list, int count, const char *key)
{
    for (int i = 0; i < count; i++)
        if (strcasecmp(list[i].key, key) == 0)
            return list[i].value;
    return NULL;
}

static inline const char *call_query(const struct exchange *x, const char *key)
{
    const struct call *c = x->http;
    return pair_find(c->query, c->queries, key);
}

static inline const char *call_header(const struct exchange *x, const char *name)
{
    const struct call *c = x->http;
    return pair_find(c->header, c->headers, name);
}

static inline int call_query_each(const struct exchange *x,
                                  int (*f)(void *arg, const char *key, const char *value), void *arg)
{
    const struct call *c = x->http;
    int rc = 0;

    for (int i = 0; i < c->queries && rc == 0; i++)
        rc = f(arg, c->query[i].key, c->query[i].value);
    return rc;
}

static inline void call_ready(struct exchange *x)
{
    (void)x;
    fx.readied++;
}

static inline void call_split_query(struct call *c, const char *text)
{
    while (text && *text && c->queries < PAIRS) {
        size_t n = strcspn(text, "&"), k = strcspn(text, "=&");
        struct pair *p = &c->query[c->queries++];
        snprintf(p->key, sizeof p->key, "%.*s", (int)k, text);
        snprintf(p->value, sizeof p->value, "%.*s", (int)(n > k ? n - k - 1 : 0), text + k + (n > k));
        text += n;
        text += *text == '&';
    }
}

static inline void call_begin(struct call *c, const char *method, const char *target)
{
    char allow[64];
    size_t n = strcspn(target, "?");

    memset(c, 0, sizeof *c);
    buf_init(&c->x.out, 0);
    snprintf(c->x.method, sizeof c->x.method, "%s", method);
    snprintf(c->x.path, sizeof c->x.path, "%.*s", (int)n, target);
    strcpy(c->x.request_id, "0123456789abcdef");
    c->x.http = c;
    c->x.file = -1;
    c->x.query = call_query;
    c->x.query_each = call_query_each;
    c->x.header = call_header;
    c->x.ready = call_ready;
    call_split_query(c, target[n] ? target + n + 1 : NULL);
    assert_int_equal(route_find(method, c->x.path, &c->x.route, &c->x, allow, sizeof allow), 0);
}

static inline void call_set(struct call *c, const char *name, const char *value)
{
    struct pair *p = &c->header[c->headers++];

    snprintf(p->key, sizeof p->key, "%s", name);
    snprintf(p->value, sizeof p->value, "%s", value);
}

static inline void call_json(struct call *c, const char *body)
{
    call_set(c, "Content-Type", "application/json");
    c->x.body = body;
    c->x.body_length = strlen(body);
}

/* The body as http.c leaves it: a hashed file in DIR/tmp. */
static inline void call_upload(struct call *c, const char *data, size_t length)
{
    unsigned char digest[HASH_BYTES];
    static int number;
    int fd;

    snprintf(c->x.upload.path, sizeof c->x.upload.path, "%s/tmp/upload%d", fx.dir, ++number);
    fd = open(c->x.upload.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
    hash_bytes(data, length, digest);
    hash_text(digest, c->x.upload.hash);
    c->x.upload.size = (int64_t)length;
}

static inline void call_answered(struct call *c)
{
    if (strstr(c->x.content_type, "json") && c->x.out.length) {
        c->json = json_loadb(c->x.out.data, c->x.out.length, JSON_DECODE_ANY, NULL);
        assert_non_null(c->json);
    }
}

static inline void call_run(struct call *c, int status)
{
    c->x.route->handler(&fx.api, &c->x);
    if (c->x.status != status)
        print_error("%s %s: %d, not %d: %s\n", c->x.method, c->x.path, c->x.status, status,
                    c->x.out.data ? c->x.out.data : "");
    assert_int_equal(c->x.status, status);
    call_answered(c);
}

static inline void call_end(struct call *c)
{
    json_decref(c->json);
    buf_free(&c->x.out);
    if (c->x.file >= 0)
        close(c->x.file);
    if (c->x.upload.path[0])
        unlink(c->x.upload.path);
}

/* A request without a body, from beginning to answer. */
static inline void call_simple(struct call *c, const char *method, const char *target, int status)
{
    call_begin(c, method, target);
    call_run(c, status);
}

static inline void expect_status(const char *method, const char *target, int status)
{
    struct call c;

    call_simple(&c, method, target, status);
    call_end(&c);
}

static inline const char *call_added(const struct call *c, const char *name)
{
    for (int i = 0; i < c->x.adds; i++)
        if (strcasecmp(c->x.add[i].name, name) == 0)
            return c->x.add[i].value;
    return NULL;
}

/* The inspector finishes. */
static inline void inspector_says(const char *json, const struct err *e)
{
    void (*done)(void *cookie, const char *text, const struct err *failure) = fx.done;

    assert_non_null(done);
    fx.done = NULL;
    done(fx.cookie, json, e);
}

static inline const char *at_text(const struct call *c, const char *pointer)
{
    return spec_text(c->json, pointer, "(absent)");
}

static inline int64_t at_int(const struct call *c, const char *pointer)
{
    return spec_int(c->json, pointer, -999);
}

/* Is there an error with this pointer and code in the problem? */
static inline bool has_error(const struct call *c, const char *pointer, const char *code)
{
    const json_t *errors = json_object_get(c->json, "errors"), *one;
    size_t i;

    json_array_foreach(errors, i, one) if (strcmp(spec_text(one, "/pointer", ""), pointer) == 0 &&
                                           strcmp(spec_text(one, "/code", ""), code) == 0) return true;
    return false;
}

/* POST /v1/jobs; returns the id. */
static inline int64_t make_job(const char *spec)
{
    struct call c;
    int64_t id;

    call_begin(&c, "POST", "/v1/jobs");
    call_json(&c, spec);
    call_run(&c, 202);
    id = at_int(&c, "/id");
    call_end(&c);
    return id;
}

/* A model or data set that is there without an inspection. */
static inline void add_input(bool is_model, const char *name, const char *content, const char *info)
{
    struct err e = { 0 };
    struct asset_new n = { .name = name, .format = "idx", .info = info };
    struct asset a = { 0 };
    struct call c;
    bool existed;
    char hash[HASH_TEXT];

    call_begin(&c, "GET", "/");
    call_upload(&c, content, strlen(content));
    memcpy(hash, c.x.upload.hash, sizeof hash);
    assert_int_equal(blob_adopt(fx.db, c.x.upload.path, hash, c.x.upload.size, &e), 0);
    call_end(&c);
    n.hash = hash;
    assert_int_equal(asset_add(fx.db, is_model ? ASSET_MODEL : ASSET_DATASET, &n, &a, &existed, &e), 0);
    asset_free(&a);
}

#define SPEC_SMALL "{\"kind\":\"quantize\",\"model\":\"zoo:lenet5\",\"dataset\":\"builtin:glyphs\"}"

#endif
