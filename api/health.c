/* health.c - the service itself: alive, ready, version, capabilities, its own description. */
#include "api/handle.h"
#include "api/query.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

#define OPENAPI_MAX ((size_t)4 << 20)

void handle_health(struct api *api, struct exchange *x)
{
    (void)api;
    exchange_header(x, "Cache-Control", "no-store");
    exchange_text(x, 200, "text/plain; charset=utf-8", "ok\n");
}

void handle_ready(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    int rc = api->service->ready(api->service->arg, &e);

    exchange_header(x, "Cache-Control", "no-store");
    if (rc == 0) {
        exchange_json(x, 200, json_pack("{s:b}", "ready", 1));
        return;
    }
    exchange_header(x, "Retry-After", "5");
    exchange_json(x, 503, json_pack("{s:b,s:s*}", "ready", 0, "reason", e.text));
}

/* A strong ETag of what has just been answered. */
static void etag_of_body(struct exchange *x)
{
    unsigned char digest[HASH_BYTES];
    char text[HASH_TEXT];

    if (x->status != 200)
        return;
    hash_bytes(x->out.data, x->out.length, digest);
    hash_text(digest, text);
    snprintf(x->etag, sizeof x->etag, "\"%.32s\"", text + strlen("sha256:"));
    exchange_header(x, "Cache-Control", "no-cache");
}

void handle_openapi(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    char *text = NULL;
    size_t length;

    if (!api->openapi_path)
        err_set(&e, ERR_NOT_FOUND, "the server was started without its description");
    else if (file_load(api->openapi_path, OPENAPI_MAX, &text, &length, &e) == 0)
        exchange_text(x, 200, "application/json", text);
    if (e.code)
        exchange_problem(x, &e);
    else
        etag_of_body(x);
    free(text);
}

void handle_version(struct api *api, struct exchange *x)
{
    (void)api;
    if (query_ok(x))
        exchange_json(x, 200, json_pack("{s:s,s:s}", "version", QUANTD_VERSION, "api", "v1"));
}

void handle_capabilities(struct api *api, struct exchange *x)
{
    if (!query_ok(x))
        return;
    exchange_json(x, 200, json_incref(api->capabilities));
    etag_of_body(x);
}
