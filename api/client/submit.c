/* submit.c - a specification from a file, from options, or from both; then the job. */
#include "api/client/client.h"
#include "api/client/field.h"
#include "api/client/text.h"
#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEC_MAX ((size_t)1 << 20)

static int load_text(const char *path, struct buf *text, struct err *e)
{
    size_t length;
    char *data, piece[8192];
    ssize_t n;
    int rc;

    if (strcmp(path, "-") != 0) {
        if ((rc = file_load(path, SPEC_MAX, &data, &length, e)) < 0)
            return rc;
        rc = buf_append(text, data, length);
        free(data);
        return rc;
    }
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_IO, "standard input");
        if (buf_append(text, piece, (size_t)n) < 0)
            return err_set(e, ERR_TOO_LARGE, "standard input has more than %zu bytes", SPEC_MAX);
    }
    return 0;
}

/* New reference, or NULL with e filled. */
static json_t *load_spec(const char *path, struct err *e)
{
    json_error_t where;
    struct buf text;
    json_t *spec = NULL;

    buf_init(&text, SPEC_MAX);
    if (load_text(path, &text, e) == 0) {
        spec = json_loadb(text.data ? text.data : "", text.length, JSON_REJECT_DUPLICATES, &where);
        if (!spec)
            err_set(e, ERR_SYNTAX, "%s, line %d, column %d: %s", path, where.line, where.column, where.text);
    }
    buf_free(&text);
    if (spec && !json_is_object(spec)) {
        json_decref(spec);
        spec = NULL;
        err_set(e, ERR_SYNTAX, "%s is not a JSON object", path);
    }
    return spec;
}

/* "/train/epochs=5": the value is JSON when it reads as JSON, else a string. */
static int set_one(json_t *spec, const char *assignment, struct err *e)
{
    const char *equals = strchr(assignment, '=');
    char pointer[256];
    json_t *value;

    if (!equals || (size_t)(equals - assignment) >= sizeof pointer)
        return err_set(e, ERR_INVALID, "--set takes POINTER=VALUE, such as /train/epochs=5, not \"%s\"",
                       assignment);
    snprintf(pointer, sizeof pointer, "%.*s", (int)(equals - assignment), assignment);
    value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (!value && !(value = json_string(equals + 1)))
        return err_set(e, ERR_INVALID, "the value of %s is not UTF-8", pointer);
    return field_set(spec, pointer, value, e);
}

static int apply_options(json_t *spec, const struct args *a, struct err *e)
{
    static const char *const plain[] = { "kind", "model", "dataset", "name" };
    int rc;

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (option_has(a, plain[i]) &&
            json_object_set_new(spec, plain[i], json_string(option_get(a, plain[i]))) < 0)
            return err_set(e, ERR_INVALID, "--%s is not UTF-8", plain[i]);
    for (int i = 0; i < a->options; i++)
        if (strcmp(a->option[i].name, "set") == 0 && (rc = set_one(spec, a->option[i].value, e)) < 0)
            return rc;
    return 0;
}

static int post(struct client *c, const json_t *spec, const struct args *a, json_t **answer)
{
    char *text = json_dumps(spec, JSON_COMPACT), header[300];
    const char *key = option_get(a, "idempotency-key");
    struct http_request r = { .method = "POST", .json = text };
    int code;

    r.path = option_has(a, "dry-run") ? "/v1/jobs?dry_run=1" : "/v1/jobs";
    if (key) {
        snprintf(header, sizeof header, "Idempotency-Key: %s", key);
        r.header[0] = header;
    }
    code = text ? client_call(c, &r, answer) : CLIENT_FAILED;
    free(text);
    return code;
}

static void print_dry_run(struct client *c, const json_t *answer)
{
    int64_t bytes = field_int(answer, "/estimate/memory_bytes");
    char text[TEXT_SHORT];

    client_print_json(c, c->json ? answer : field_at(answer, "/spec"), JSON_INDENT(2));
    if (!c->json && bytes)
        fprintf(stderr, "accepted; about %s of memory\n", text_bytes(bytes, text));
    if (!c->json && field_int(answer, "/jobs"))
        fprintf(stderr, "the first of %" PRId64 " jobs\n", field_int(answer, "/jobs"));
}

static int finish(struct client *c, const json_t *job, const struct args *a)
{
    int64_t id = field_int(job, "/id");
    bool watch = option_has(a, "watch"), sweep = field_at(job, "/axes") != NULL;

    if (c->json)
        client_print_json(c, job, watch ? JSON_COMPACT : JSON_INDENT(2));
    else if (sweep)
        printf("sweep %" PRId64 " with %" PRId64 " jobs\n", id, field_int(job, "/jobs"));
    else if (!watch) {
        printf("job %" PRId64 " ", id);
        text_put(stdout, field_text(job, "/state"), false);
        putchar('\n');
    }
    fflush(stdout);
    if (!watch)
        return CLIENT_DONE;
    return sweep ? watch_sweep(c, job) : watch_job(c, id);
}

static bool key_ok(const char *key)
{
    size_t length = strlen(key);

    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return length > 0 && length <= 255;
}

int job_submit(struct client *c, const struct args *a)
{
    json_t *spec, *answer = NULL;
    struct err e = { 0 };
    int code;

    if (option_has(a, "idempotency-key") && !key_ok(option_get(a, "idempotency-key")))
        return client_usage("--idempotency-key takes 1 to 255 printable characters without blanks");
    spec = a->words ? load_spec(a->word[0], &e) : json_object();
    if (!spec || apply_options(spec, a, &e) < 0) {
        json_decref(spec);
        client_error(&e);
        return e.code == ERR_IO || e.code == ERR_NOT_FOUND ? CLIENT_FAILED : CLIENT_USAGE;
    }
    code = post(c, spec, a, &answer);
    if (code == CLIENT_DONE && option_has(a, "dry-run"))
        print_dry_run(c, answer);
    else if (code == CLIENT_DONE)
        code = finish(c, answer, a);
    json_decref(answer);
    json_decref(spec);
    return code;
}
