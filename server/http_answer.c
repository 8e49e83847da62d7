#include "server/http_answer.h"

#include "server/range.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *opaque(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

bool http_answer_matches(const char *list, const char *etag)
{
    const char *wanted = opaque(etag);
    size_t length = strlen(wanted);
    while (*(list += strspn(list, " \t,"))) {
        if (*list == '*')
            return true;
        list = opaque(list);
        if (strncmp(list, wanted, length) == 0 && strchr(" \t,", list[length]))
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

static bool reads(const struct exchange *x)
{
    return strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
}

static bool unchanged(const struct exchange *x)
{
    const char *list = x->header(x, "If-None-Match");
    return list && x->status == 200 && x->etag[0] && reads(x) && http_answer_matches(list, x->etag);
}

/* Without If-Range, or with the strong tag of what is there now, the Range header counts. */
static bool range_counts(const struct exchange *x)
{
    const char *tag = x->header(x, "If-Range");
    return !tag || (x->etag[0] == '"' && strcmp(tag, x->etag) == 0);
}

static void plan_file(struct exchange *x, struct answer *a)
{
    struct range r;
    struct err e = { 0 };
    enum range_kind kind = RANGE_WHOLE;
    a->body = ANSWER_FILE;
    a->offset = 0;
    a->length = x->file_bytes;
    a->accept_ranges = x->status == 200;
    if (x->status == 200 && strcmp(x->method, "GET") == 0 && range_counts(x))
        kind = range_parse(x->header(x, "Range"), x->file_bytes, &r);
    if (kind == RANGE_PART) {
        a->status = 206;
        a->offset = r.first;
        a->length = r.last - r.first + 1;
        snprintf(a->content_range, sizeof a->content_range, "bytes %" PRId64 "-%" PRId64 "/%" PRId64, r.first,
                 r.last, x->file_bytes);
    } else if (kind == RANGE_NONE) {
        snprintf(a->content_range, sizeof a->content_range, "bytes */%" PRId64, x->file_bytes);
        x->adds = 0; /* they were said of the content: its name, and that it may be kept for ever */
        err_set(&e, ERR_RANGE, "the content has %" PRId64 " bytes", x->file_bytes);
        exchange_problem(x, &e);
        a->status = x->status;
        a->body = ANSWER_MEMORY;
    }
}

static bool says(const struct exchange *x, const char *name)
{
    for (int i = 0; i < x->adds; i++)
        if (strcasecmp(x->add[i].name, name) == 0)
            return true;
    return false;
}

void http_answer_plan(struct exchange *x, struct answer *a)
{
    memset(a, 0, sizeof *a);
    a->status = x->status;
    if (unchanged(x)) {
        a->status = x->status = 304;
        x->is_stream = false;
        buf_clear(&x->out);
        if (x->file >= 0)
            close(x->file);
        x->file = -1;
    }
    if (x->is_stream)
        a->body = ANSWER_STREAM;
    else if (x->file >= 0)
        plan_file(x, a);
    if (!says(x, "Cache-Control"))
        a->cache_control = a->status >= 400 || a->body == ANSWER_STREAM ? "no-store" : "no-cache";
}

void http_answer_headers(const struct exchange *x, const struct answer *a,
                         void (*add)(void *to, const char *name, const char *value), void *to)
{
    const char *const fixed[][2] = {
        { "Content-Type", x->status == 304 ? "" : x->content_type },
        { "ETag", x->etag },
        { "Content-Range", a->content_range },
        { "Accept-Ranges", a->accept_ranges ? "bytes" : "" },
        { "Cache-Control", a->cache_control ? a->cache_control : "" },
        { "X-Request-Id", x->request_id },
        { "X-Content-Type-Options", "nosniff" },
    };
    for (int i = 0; i < x->adds; i++)
        add(to, x->add[i].name, x->add[i].value);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (fixed[i][1][0])
            add(to, fixed[i][0], fixed[i][1]);
}
