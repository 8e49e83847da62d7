/* exchange.c - the forms that an answer can take. */
#include "api/exchange.h"

#include "api/spec.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROBLEM_BASE "https://quantd.invalid/problems/"

/* Forget what an earlier, abandoned answer may have left. */
static void answer_begin(struct exchange *x, int status, const char *content_type)
{
    if (x->file >= 0)
        close(x->file);
    x->file = -1;
    x->is_stream = false;
    x->status = status;
    snprintf(x->content_type, sizeof x->content_type, "%s", content_type);
    buf_clear(&x->out);
    x->out.failed = false;
}

/* The last resort: nothing here allocates more than a few bytes. */
static void answer_failed(struct exchange *x)
{
    answer_begin(x, 503, "text/plain; charset=utf-8");
    x->etag[0] = 0;
    buf_text(&x->out, "out of memory\n");
}

static int dump_chunk(const char *data, size_t length, void *out)
{
    return buf_append(out, data, length) < 0 ? -1 : 0;
}

void exchange_json(struct exchange *x, int status, json_t *body)
{
    /* 15 digits: what people wrote comes back as they wrote it, 0.9 and not 0.90000000000000002. */
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);

    answer_begin(x, status, "application/json");
    if (!body || json_dump_callback(body, dump_chunk, &x->out, flags) != 0 ||
        buf_append(&x->out, "\n", 1) < 0)
        answer_failed(x);
    json_decref(body);
}

void exchange_text(struct exchange *x, int status, const char *content_type, const char *text)
{
    answer_begin(x, status, content_type);
    if (buf_text(&x->out, text) < 0)
        answer_failed(x);
}

void exchange_empty(struct exchange *x, int status)
{
    answer_begin(x, status, "");
}

void exchange_header(struct exchange *x, const char *name, const char *format, ...)
{
    va_list ap;

    assert(x->adds < (int)(sizeof x->add / sizeof *x->add));
    snprintf(x->add[x->adds].name, sizeof x->add->name, "%s", name);
    va_start(ap, format);
    vsnprintf(x->add[x->adds].value, sizeof x->add->value, format, ap);
    va_end(ap);
    x->adds++;
}

/* Written by hand rather than through jansson: texts may quote bytes that are not UTF-8, and must arrive
 * anyhow. */
static void problem_begin(struct exchange *x, int code, const char *detail)
{
    answer_begin(x, err_status(code), "application/problem+json");
    x->etag[0] = 0;
    if (x->status == 503)
        exchange_header(x, "Retry-After", "5");
    buf_printf(&x->out,
               "{\"type\":\"" PROBLEM_BASE "%s\",\"title\":\"%s\",\"status\":%d,\"detail\":", err_type(code),
               err_title(code), x->status);
    buf_json_string(&x->out, detail);
    buf_text(&x->out, ",\"instance\":");
    buf_json_string(&x->out, x->path);
    buf_text(&x->out, ",\"errors\":[");
}

static void problem_place(struct exchange *x, const char *before, const char *pointer, const char *code,
                          const char *detail)
{
    buf_printf(&x->out, "%s{\"pointer\":", before);
    buf_json_string(&x->out, pointer);
    buf_text(&x->out, ",\"code\":");
    buf_json_string(&x->out, code);
    buf_text(&x->out, ",\"detail\":");
    buf_json_string(&x->out, detail);
    buf_text(&x->out, "}");
}

static void problem_end(struct exchange *x)
{
    buf_text(&x->out, "],\"request_id\":");
    buf_json_string(&x->out, x->request_id);
    buf_text(&x->out, "}\n");
    if (x->out.failed)
        answer_failed(x);
}

void exchange_problem(struct exchange *x, const struct err *e)
{
    int code = e->code ? e->code : ERR_INTERNAL;

    problem_begin(x, code, e->text[0] ? e->text : err_title(code));
    if (e->place[0])
        problem_place(x, "", e->place, err_type(code), e->text);
    problem_end(x);
}

void exchange_problems(struct exchange *x, int code, const struct spec_problems *p)
{
    char detail[480];

    if (p->count == 1)
        snprintf(detail, sizeof detail, "%s: %s",
                 p->problem[0].pointer[0] ? p->problem[0].pointer : "the document", p->problem[0].detail);
    else
        snprintf(detail, sizeof detail, "%d%s places are wrong, see errors", p->count,
                 p->count == SPEC_PROBLEMS ? " or more" : "");
    problem_begin(x, code, detail);
    for (int i = 0; i < p->count; i++)
        problem_place(x, i ? "," : "", p->problem[i].pointer, p->problem[i].code, p->problem[i].detail);
    problem_end(x);
}

void exchange_park(struct exchange *x, void (*abandoned)(void *arg), void *arg)
{
    x->parked = true;
    x->abandoned = abandoned;
    x->arg = arg;
}

void exchange_ready(struct exchange *x)
{
    x->parked = false;
    x->abandoned = NULL;
    x->arg = NULL;
    x->ready(x);
}
