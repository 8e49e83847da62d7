#include "server/request.h"

#include "api/document.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/num.h"
#include "server/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DROP_MAX ((int64_t)64 << 20) /* a body can't be answered half-way, only read to its end or cut */

static void refuse(struct request *r, const struct err *e)
{
    exchange_problem(&r->x, e);
    r->refused = true;
}

static void read_length(struct request *r)
{
    const char *length = r->x.header(&r->x, "Content-Length"), *expect = r->x.header(&r->x, "Expect");
    r->expects = expect && strcasecmp(expect, "100-continue") == 0;
    if (r->x.header(&r->x, "Transfer-Encoding"))
        r->length = -1;
    else if (!length || !num_int64(length, 0, INT64_MAX, &r->length))
        r->length = 0; /* a malformed one was refused before it came here */
}

static int begin_json(struct request *r, struct err *e)
{
    const char *type = r->x.header(&r->x, "Content-Type");
    if (r->length != 0 && type && !document_is_json(type))
        return err_set(e, ERR_MEDIA, "this route takes application/json, not %.80s", type);
    if (r->length > (int64_t)EXCHANGE_JSON_MAX)
        return err_set(e, ERR_TOO_LARGE, "a JSON body may have at most %zu bytes", EXCHANGE_JSON_MAX);
    buf_init(&r->body, EXCHANGE_JSON_MAX);
    return 0;
}

static int begin_upload(struct request *r, struct err *e)
{
    const struct api *api = r->context->api;
    struct sink_limits limits = { api->upload_max, api->disk_floor };
    if (r->length > api->upload_max)
        return err_set(e, ERR_TOO_LARGE,
                       "the upload of %" PRId64 " bytes is larger than the limit of %" PRId64, r->length,
                       api->upload_max);
    int64_t space = file_disk_free(r->context->tmp_dir);
    if (space >= 0 && space - (r->length > 0 ? r->length : 0) < api->disk_floor)
        return err_set(e, ERR_FULL, "the disk has no room for this upload");
    return sink_open(r->context->loop, r->context->tmp_dir, &limits, r->context->wake, r, &r->sink, e);
}

static int begin_body(struct request *r, struct err *e)
{
    switch (r->x.route->body) {
    case BODY_JSON:
        return begin_json(r, e);
    case BODY_UPLOAD:
        return begin_upload(r, e);
    case BODY_NONE:
        break;
    }
    if (r->length > REQUEST_DRAIN_MAX)
        return err_set(e, ERR_TOO_LARGE, "this route takes no body");
    return 0;
}

static int find_route(struct request *r, const char *path, struct err *e)
{
    char allow[80] = "";
    int rc = route_find(r->x.method, path, &r->x.route, &r->x, allow, sizeof allow);
    if (rc == ERR_METHOD) {
        exchange_header(&r->x, "Allow", "%s", allow);
        return err_set(e, rc, "%s is not possible here, only %s", r->x.method, allow);
    }
    return rc ? err_set(e, rc, "there is nothing at %.300s", r->x.path) : 0;
}

void request_begin(struct request *r, const struct request_context *context, const char *path)
{
    unsigned char id[8] = { 0 };
    struct err e = { 0 };
    r->context = context;
    r->stage = REQUEST_BODY;
    r->started_ns = clock_mono_ns();
    hash_random(id, sizeof id);
    num_to_hex(id, sizeof id, r->x.request_id);
    r->x.file = -1;
    buf_init(&r->x.out, 0);
    read_length(r);
    int rc;
    if (strlen(path) >= sizeof r->x.path)
        rc = err_set(&e, ERR_NOT_FOUND, "the path is too long");
    else {
        memcpy(r->x.path, path, strlen(path) + 1);
        rc = find_route(r, path, &e);
    }
    if (!rc)
        rc = guard_check(context->api->db, &r->x, r->x.route->open, context->loopback, &e);
    if (rc == ERR_AUTH)
        exchange_header(&r->x, "WWW-Authenticate", "Bearer realm=\"quantd\"");
    if (!rc)
        rc = begin_body(r, &e);
    if (rc)
        refuse(r, &e);
}

bool request_answer_now(const struct request *r)
{
    return r->refused && r->length != 0 && (r->expects || r->length > REQUEST_DRAIN_MAX);
}

static int64_t drop(struct request *r, size_t length)
{
    r->dropped += (int64_t)length;
    return r->dropped > DROP_MAX ? -1 : (int64_t)length;
}

int64_t request_body(struct request *r, const char *data, size_t length)
{
    struct err e = { 0 };
    if (r->refused)
        return drop(r, length);
    if (r->sink) {
        size_t taken = sink_add(r->sink, data, length);
        if (sink_error(r->sink, &e))
            refuse(r, &e);
        return (int64_t)taken;
    }
    if (r->x.route->body != BODY_JSON)
        return drop(r, length);
    int rc = buf_append(&r->body, data, length);
    if (rc) {
        err_set(&e, rc,
                rc == ERR_TOO_LARGE ? "a JSON body may have at most %zu bytes" : "no memory for %zu bytes",
                EXCHANGE_JSON_MAX);
        refuse(r, &e);
    }
    return (int64_t)length;
}

/* True when the body is all there, or a refusal. */
static bool flush(struct request *r)
{
    struct err e = { 0 };
    if (!r->sink || r->refused)
        return true;
    if (!sink_end(r->sink))
        return false;
    if (sink_result(r->sink, &r->x.upload, &e))
        refuse(r, &e);
    else
        r->context->api->upload_bytes += r->x.upload.size;
    sink_free(r->sink);
    r->sink = NULL;
    return true;
}

static void handle(struct request *r)
{
    if (r->x.route->body == BODY_JSON) {
        r->x.body = r->body.data ? r->body.data : "";
        r->x.body_length = r->body.length;
    }
    r->stage = REQUEST_HANDLER;
    r->x.route->handler(r->context->api, &r->x);
}

static void check_answered(struct request *r)
{
    struct err e = { 0 };
    if (r->x.status != 0)
        return;
    err_set(&e, ERR_INTERNAL, "the handler gave no answer");
    exchange_problem(&r->x, &e);
}

bool request_end(struct request *r)
{
    if (r->stage == REQUEST_BODY || r->stage == REQUEST_FLUSH) {
        r->stage = REQUEST_FLUSH;
        if (!flush(r))
            return false;
        if (!r->refused)
            handle(r);
    }
    if (r->x.parked)
        return false;
    check_answered(r);
    r->stage = REQUEST_ANSWERED;
    return true;
}

void request_deinit(struct request *r)
{
    if (r->x.parked && r->x.abandoned)
        r->x.abandoned(r->x.arg);
    sink_free(r->sink);
    if (r->x.upload.path[0])
        unlink(r->x.upload.path);
    if (r->x.file >= 0)
        close(r->x.file);
    buf_free(&r->body);
    buf_free(&r->x.out);
}
