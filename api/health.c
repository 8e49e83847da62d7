/* health.c - the service itself: alive, ready, figures, version, capabilities, its own description. */
#include "api/handle.h"
#include "api/query.h"
#include "base/clock.h"
#include "base/file.h"
#include "storage/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* Resident set in bytes, 0 when the kernel doesn't say. */
static int64_t resident_bytes(void)
{
    long long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static void gauge(struct buf *b, const char *name, const char *help, double value)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

static int jobs_by_state(struct api *api, struct buf *b, struct err *e)
{
    int64_t count;
    int rc;

    buf_text(b, "# HELP quantd_jobs Jobs by state.\n# TYPE quantd_jobs gauge\n");
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        if ((rc = job_count(api->db, (enum job_state)s, &count, e)) < 0)
            return rc;
        buf_printf(b, "quantd_jobs{state=\"%s\"} %" PRId64 "\n", job_state_text((enum job_state)s), count);
    }
    return 0;
}

static void requests_by_status(const struct api *api, struct buf *b)
{
    buf_text(
        b,
        "# HELP quantd_requests_total Answers sent, by HTTP status.\n# TYPE quantd_requests_total counter\n");
    for (size_t i = 0; i < sizeof api->requests / sizeof *api->requests; i++)
        if (api->requests[i])
            buf_printf(b, "quantd_requests_total{code=\"%zu\"} %" PRId64 "\n", i, api->requests[i]);
}

void handle_prometheus(struct api *api, struct exchange *x)
{
    const struct service *s = api->service;
    struct err e = { 0 };
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b,
               "# HELP quantd_build_info Version of the server.\n# TYPE quantd_build_info gauge\n"
               "quantd_build_info{version=\"%s\"} 1\n",
               QUANTD_VERSION);
    if (jobs_by_state(api, &b, &e) < 0) {
        exchange_problem(x, &e);
        buf_free(&b);
        return;
    }
    requests_by_status(api, &b);
    gauge(&b, "quantd_slots", "CPUs given to jobs.", (double)s->slots(s->arg));
    gauge(&b, "quantd_streams", "Open event streams.", s->streams(s->arg));
    gauge(&b, "quantd_uptime_seconds", "Seconds since the start.",
          (double)(clock_wall_ms() - api->started_ms) / 1000);
    gauge(&b, "quantd_disk_free_bytes", "Room left where the data is.",
          (double)file_disk_free(db_dir(api->db)));
    gauge(&b, "quantd_disk_floor_bytes", "Uploads are refused below this.", (double)api->disk_floor);
    gauge(&b, "process_resident_memory_bytes", "Resident set of the server.", (double)resident_bytes());
    exchange_header(x, "Cache-Control", "no-store");
    exchange_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data ? b.data : "");
    buf_free(&b);
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
