/* artifact.c - what a job has made: listed, and fetched whole or not at all. */
#include "api/client/client.h"
#include "api/client/field.h"
#include "api/client/table.h"
#include "api/client/text.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int list(struct client *c, const char *job, json_t **out)
{
    char path[64];
    int64_t id;

    if (!client_id(job, &id))
        return CLIENT_USAGE;
    snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/artifacts", id);
    return client_get(c, path, out);
}

int artifact_ls(struct client *c, const struct args *a)
{
    static const char *const heads[] = { "NAME", ">BYTES", "TYPE", "SHA-256", NULL };
    const json_t *item;
    json_t *all = NULL;
    struct table *t;
    size_t i;
    int code = list(c, a->word[0], &all);

    if (code != CLIENT_DONE || c->json) {
        if (code == CLIENT_DONE)
            client_print_json(c, all, JSON_INDENT(2));
        json_decref(all);
        return code;
    }
    t = table_new(heads);
    json_array_foreach(json_object_get(all, "items"), i, item)
    {
        table_text(t, field_text(item, "/name"));
        table_cell(t, "%" PRId64, field_int(item, "/bytes"));
        table_text(t, field_text(item, "/content_type"));
        table_text(t, field_text(item, "/sha256"));
    }
    table_print(t, stdout);
    table_free(t);
    json_decref(all);
    return CLIENT_DONE;
}

/* A file on its way: written and hashed piece by piece. */
struct download {
    int fd;
    struct hash *hash;
    struct err error;
};

static int on_bytes(void *arg, const void *data, size_t length)
{
    struct download *d = arg;

    hash_add(d->hash, data, length);
    return file_write_all(d->fd, data, length, &d->error);
}

static int check_hash(struct download *d, const char *wanted, const char *name, struct err *e)
{
    unsigned char digest[HASH_BYTES];
    char text[HASH_TEXT];

    hash_done(d->hash, digest);
    d->hash = NULL;
    hash_text(digest, text);
    if (strcmp(text, wanted) == 0)
        return 0;
    return err_set(e, ERR_CORRUPT, "%s came broken: it should hash to %s, not %s", name, wanted, text);
}

/* Fetch one artifact to `path`: under another name first, there only when its hash is right. */
static int fetch(struct client *c, const json_t *item, const char *path)
{
    const char *name = field_text(item, "/name"), *wanted = field_text(item, "/sha256");
    struct download d = { .fd = -1 };
    struct http_answer a = { 0 };
    struct err e = { 0 };
    char temp[4200] = "";
    mode_t mask = umask(0);
    int code = CLIENT_DONE;

    umask(mask);
    if (file_temp(path, temp, sizeof temp, &d.fd, &e) < 0)
        return client_error(&e);
    d.hash = hash_new();
    if (!d.hash)
        err_set(&e, ERR_NOMEM, "out of memory");
    else if (http_call(
                 c->http,
                 &(struct http_request){ .path = field_text(item, "/url"), .sink = on_bytes, .arg = &d }, &a,
                 &e) == 0)
        code = d.error.code ? client_error(&d.error) : a.status != 200 ? client_problem(&a) : CLIENT_DONE;
    if (!e.code && code == CLIENT_DONE && check_hash(&d, wanted, name, &e) == 0 &&
        fchmod(d.fd, 0666 & ~mask) == 0) {
        file_commit(d.fd, temp, path, &e);
        d.fd = -1;
    }
    if (e.code)
        code = client_error(&e);
    if (d.fd >= 0) {
        close(d.fd);
        unlink(temp);
    }
    hash_free(d.hash);
    http_answer_free(&a);
    return code;
}

/* The server's names become file names here: only harmless ones, and only complete entries. */
static bool usable(const json_t *item)
{
    const char *name = field_text(item, "/name");

    if (name && file_name_ok(name) && field_text(item, "/url") && field_text(item, "/sha256"))
        return true;
    fputs("quantctl: the server lists an artifact that can't be stored here: ", stderr);
    text_put(stderr, name, false);
    fputc('\n', stderr);
    return false;
}

static int fetch_one(struct client *c, const json_t *items, const char *name, const char *path)
{
    const json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        const char *this = field_text(item, "/name");
        if (!this || strcmp(this, name) != 0)
            continue;
        return usable(item) ? fetch(c, item, path ? path : name) : CLIENT_FAILED;
    }
    fputs("quantctl: the job has no artifact ", stderr);
    text_put(stderr, name, false);
    fputc('\n', stderr);
    return CLIENT_REFUSED;
}

static int fetch_all(struct client *c, const json_t *items, const char *dir)
{
    const json_t *item;
    struct err e = { 0 };
    int code = CLIENT_DONE;
    size_t i;

    if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
        err_sys(&e, ERR_IO, "%s", dir);
        return client_error(&e);
    }
    json_array_foreach(items, i, item)
    {
        char *path;
        if (!usable(item))
            return CLIENT_FAILED;
        path = mem_printf("%s/%s", dir, field_text(item, "/name"));
        code = path ? fetch(c, item, path) : CLIENT_FAILED;
        if (code == CLIENT_DONE && !c->json)
            printf("%s\n", path);
        free(path);
        if (code != CLIENT_DONE)
            break;
    }
    return code;
}

int artifact_get(struct client *c, const struct args *a)
{
    const char *output = option_get(a, "o");
    const json_t *items;
    json_t *all = NULL;
    char dir[64];
    int code = list(c, a->word[0], &all);

    if (code == CLIENT_DONE) {
        items = json_object_get(all, "items");
        snprintf(dir, sizeof dir, "job-%.32s", a->word[0]);
        if (a->words > 1)
            code = fetch_one(c, items, a->word[1], output);
        else
            code = fetch_all(c, items, output ? output : dir);
        if (code == CLIENT_DONE && c->json)
            client_print_json(c, all, JSON_INDENT(2));
    }
    json_decref(all);
    return code;
}
