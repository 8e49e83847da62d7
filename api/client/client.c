/* client.c - requests with JSON answers, and the way every failure is told. */
#include "api/client/client.h"

#include "api/client/field.h"
#include "api/client/text.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int client_error(const struct err *e)
{
    fputs("quantctl: ", stderr);
    text_put(stderr, e->text, false);
    fputc('\n', stderr);
    return e->code == ERR_BUSY ? CLIENT_UNREACHABLE : CLIENT_FAILED;
}

int client_usage(const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fputs("quantctl: ", stderr);
    text_put(stderr, text, false);
    fputs("\n(quantctl --help says more)\n", stderr);
    return CLIENT_USAGE;
}

static void print_places(const json_t *errors)
{
    const json_t *each;
    size_t i;

    json_array_foreach(errors, i, each)
    {
        fputs("  ", stderr);
        text_put(stderr, field_text(each, "/pointer"), false);
        fputs(": ", stderr);
        text_put(stderr, field_text(each, "/detail"), false);
        fputc('\n', stderr);
    }
}

int client_problem(const struct http_answer *a)
{
    json_t *problem = a->body.data ? json_loadb(a->body.data, a->body.length, 0, NULL) : NULL;
    const char *title = field_text(problem, "/title"), *detail = field_text(problem, "/detail");

    fputs("quantctl: ", stderr);
    if (title)
        text_put(stderr, title, false);
    else
        fprintf(stderr, "the server answered %ld", a->status);
    if (detail && (!title || strcmp(title, detail) != 0)) {
        fputs(": ", stderr);
        text_put(stderr, detail, false);
    }
    fputc('\n', stderr);
    print_places(json_object_get(problem, "errors"));
    if (a->status == 401)
        fputs("  (put a token into the environment: QUANTD_TOKEN=qd_...)\n", stderr);
    json_decref(problem);
    return a->status >= 400 && a->status < 500 ? CLIENT_REFUSED : CLIENT_FAILED;
}

int client_call(struct client *c, const struct http_request *r, json_t **out)
{
    struct http_answer a;
    struct err e = { 0 };
    json_error_t where;
    json_t *value = NULL;
    int code = CLIENT_DONE;

    if (out)
        *out = NULL;
    if (http_call(c->http, r, &a, &e) < 0)
        code = client_error(&e);
    else if (a.status < 200 || a.status >= 300)
        code = client_problem(&a);
    else if (a.body.length &&
             !(value = json_loadb(a.body.data, a.body.length, JSON_REJECT_DUPLICATES, &where))) {
        err_set(&e, ERR_CORRUPT, "the answer is not JSON: is %s a quantd?", http_url(c->http));
        code = client_error(&e);
    }
    http_answer_free(&a);
    if (out)
        *out = value;
    else
        json_decref(value);
    return code;
}

int client_get(struct client *c, const char *path, json_t **out)
{
    return client_call(c, &(struct http_request){ .path = path }, out);
}

int client_list(struct client *c, const char *path, int most, json_t **out)
{
    json_t *items = json_array(), *page = NULL;
    char next[1024];
    int code = CLIENT_DONE;

    snprintf(next, sizeof next, "%s", path);
    while (code == CLIENT_DONE && next[0] && json_array_size(items) < (size_t)most) {
        const char *following;
        json_t *each;
        size_t i;
        code = client_get(c, next, &page);
        json_array_foreach(json_object_get(page, "items"), i, each) if (json_array_size(items) < (size_t)most)
            json_array_append(items, each);
        following = field_text(page, "/next");
        snprintf(next, sizeof next, "%s", following ? following : "");
        json_decref(page);
    }
    *out = code == CLIENT_DONE ? json_pack("{s:o}", "items", items) : NULL;
    if (code != CLIENT_DONE)
        json_decref(items);
    return code;
}

void client_print_json(const struct client *c, const json_t *value, size_t flags)
{
    json_dumpf(value, stdout, flags | JSON_ENCODE_ANY | (c->terminal ? JSON_ENSURE_ASCII : 0));
    fputc('\n', stdout);
}

bool client_id(const char *text, int64_t *id)
{
    if (num_int64(text, 1, INT64_MAX, id))
        return true;
    client_usage("\"%s\" is not an id (a number from 1 on)", text);
    return false;
}
