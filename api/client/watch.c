/* watch.c - following a job to its end over its event stream, through broken connections. */
#include "api/client/client.h"
#include "api/client/field.h"
#include "api/client/progress.h"
#include "api/client/result.h"
#include "api/client/sse.h"
#include "api/client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIES      8 /* connections in a row that brought nothing */
#define LONGEST_MS 10000

/* What watching ends with; every other state goes on. */
static const struct {
    const char *state;
    int code;
} ends[] = {
    { "succeeded", CLIENT_DONE },
    { "failed", CLIENT_FAILED },
    { "cancelled", CLIENT_CANCELLED },
    { "parked", CLIENT_PARKED },
};

struct watch {
    struct client *client;
    int64_t id;
    struct sse sse;
    struct progress progress;
    char state[32]; /* last one told */
    bool reached;   /* the server has answered at least once */
    bool heard;     /* this connection has brought an event */
    bool ended;     /* ... and one that told an end: the job itself says how it went */
};

static int end_code(const char *state)
{
    for (size_t i = 0; state && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(ends[i].state, state) == 0)
            return ends[i].code;
    return -1;
}

static void on_state(struct watch *w, const json_t *data)
{
    const char *state = field_text(data, "/state"), *reason = field_text(data, "/reason");
    char text[600];

    if (!state || strcmp(state, w->state) == 0)
        return;
    snprintf(w->state, sizeof w->state, "%s", state);
    if (end_code(state) >= 0)
        return;
    snprintf(text, sizeof text, "job %" PRId64 " %s%s%s", w->id, state, reason && *reason ? ": " : "",
             reason ? reason : "");
    progress_note(&w->progress, text);
}

static void on_phase(struct watch *w, const json_t *data)
{
    const char *phase = field_text(data, "/phase");

    if (phase && strcmp(phase, w->progress.phase) != 0)
        progress_phase(&w->progress, phase);
}

static void on_progress(struct watch *w, const json_t *data)
{
    double eta = field_number(data, "/eta_s");

    progress_step(&w->progress, field_int(data, "/step"), field_int(data, "/steps"), isnan(eta) ? -1 : eta);
}

static void on_metric(struct watch *w, const json_t *data)
{
    const char *series = field_text(data, "/series");

    if (series)
        progress_metric(&w->progress, series, field_number(data, "/value"));
}

static void on_warning(struct watch *w, const json_t *data)
{
    const char *said = field_text(data, "/text");
    char text[600];

    snprintf(text, sizeof text, "warning: %s", said ? said : "");
    progress_note(&w->progress, text);
}

static const struct {
    const char *type;
    void (*handle)(struct watch *w, const json_t *data);
} handlers[] = {
    { "state", on_state },   { "phase", on_phase },     { "progress", on_progress },
    { "metric", on_metric }, { "warning", on_warning },
};

/* 1 when the job's end has been told. It may be an old one, before a retry: the job is asked afterwards. */
static int on_event(void *arg, const struct sse_event *ev)
{
    struct watch *w = arg;
    json_t *data = json_loads(ev->data, 0, NULL);

    w->heard = true;
    w->ended = strcmp(ev->type, "state") == 0 && end_code(field_text(data, "/state")) >= 0;
    if (data && w->client->json)
        client_print_json(w->client, data, JSON_COMPACT);
    for (size_t i = 0; data && !w->client->json && i < sizeof handlers / sizeof *handlers; i++)
        if (strcmp(handlers[i].type, ev->type) == 0)
            handlers[i].handle(w, data);
    fflush(stdout);
    json_decref(data);
    return w->ended;
}

static int on_bytes(void *arg, const void *data, size_t length)
{
    struct watch *w = arg;

    return sse_feed(&w->sse, data, length);
}

/* One connection until it breaks or the job ends. CLIENT_DONE, or the code of a refusal. */
static int follow(struct watch *w)
{
    struct http_request r = { .sink = on_bytes, .arg = w, .stream = true };
    struct http_answer a;
    struct err e = { 0 };
    char path[64], header[64];
    int code = CLIENT_DONE;

    snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/events", w->id);
    snprintf(header, sizeof header, "Last-Event-ID: %" PRId64, w->sse.last_id);
    r.path = path;
    r.header[0] = "Accept: text/event-stream";
    r.header[1] = w->sse.last_id >= 0 ? header : NULL;
    sse_reset(&w->sse);
    if (http_call(w->client->http, &r, &a, &e) == 0 && a.status >= 400 && a.status < 500 && a.status != 429)
        code = client_problem(&a);
    http_answer_free(&a);
    return code;
}

static void pause_ms(int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

    nanosleep(&t, NULL);
}

/* The job as it is now. CLIENT_UNREACHABLE without a word when it is worth trying again: once the server has
 * answered, silence may be a restart. */
static int ask(struct watch *w, json_t **job)
{
    struct http_answer a;
    struct err e = { 0 };
    char path[64];
    int code;

    *job = NULL;
    snprintf(path, sizeof path, "/v1/jobs/%" PRId64, w->id);
    if (http_call(w->client->http, &(struct http_request){ .path = path }, &a, &e) < 0)
        code = w->reached ? CLIENT_UNREACHABLE : client_error(&e);
    else if (a.status == 200 && (*job = json_loadb(a.body.data ? a.body.data : "", a.body.length, 0, NULL)))
        code = CLIENT_DONE;
    else
        code = a.status < 400 || (a.status >= 500 && w->reached) ? CLIENT_UNREACHABLE : client_problem(&a);
    http_answer_free(&a);
    return code;
}

static int conclude(struct watch *w, const json_t *job)
{
    const char *state = field_text(job, "/state"), *reason = field_text(job, "/reason");
    double wall = field_number(job, "/result/wall_s");
    char text[TEXT_SHORT];

    progress_end(&w->progress);
    if (w->client->json) {
        client_print_json(w->client, job, JSON_COMPACT);
        return end_code(state);
    }
    printf("job %" PRId64 " ", w->id);
    text_put(stdout, state, false);
    if (!isnan(wall))
        printf(" in %s", text_duration(wall, text));
    if (reason && *reason) {
        fputs(": ", stdout);
        text_put(stdout, reason, false);
    }
    putchar('\n');
    result_print(job);
    return end_code(state);
}

/* Wait before the next connection, longer each time; false when it was tried often enough. */
static bool rest(const struct watch *w, int *tries)
{
    int64_t ms = (int64_t)w->sse.retry_ms << *tries;

    if (++*tries > TRIES)
        return false;
    pause_ms((int)(ms < LONGEST_MS ? ms : LONGEST_MS));
    return true;
}

static int watch_loop(struct watch *w)
{
    json_t *job = NULL;
    int tries = 0, code;

    do {
        code = ask(w, &job);
        if (code == CLIENT_DONE && end_code(field_text(job, "/state")) >= 0) {
            code = conclude(w, job);
            json_decref(job);
            return code;
        }
        json_decref(job);
        if (code != CLIENT_DONE && (code != CLIENT_UNREACHABLE || !w->reached))
            return code;
        w->reached = true;
        w->heard = w->ended = false;
        code = code == CLIENT_DONE ? follow(w) : code;
        tries = w->heard ? 0 : tries;
        if (code != CLIENT_DONE && code != CLIENT_UNREACHABLE)
            return code;
    } while (w->ended || rest(w, &tries));
    progress_end(&w->progress);
    fprintf(stderr, "quantctl: %s does not answer; job %" PRId64 " goes on without being watched\n",
            http_url(w->client->http), w->id);
    return CLIENT_UNREACHABLE;
}

int watch_job(struct client *c, int64_t id)
{
    struct watch w = { .client = c, .id = id };
    int code;

    sse_init(&w.sse, on_event, &w);
    progress_init(&w.progress, c->terminal && !c->json);
    code = watch_loop(&w);
    sse_free(&w.sse);
    return code;
}
