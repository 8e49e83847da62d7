/* prometheus.c - the service's figures in the text format 0.0.4 of Prometheus: for each family one HELP, one
 * TYPE, then its samples. Counters end with _total, units stand in the names, everything is in base units. */
#include "api/handle.h"
#include "base/clock.h"
#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *b, const char *name, const char *help, double value)
{
    family(b, name, "gauge", help);
    buf_printf(b, "%s %.15g\n", name, value);
}

static void counter(struct buf *b, const char *name, const char *help, int64_t value)
{
    family(b, name, "counter", help);
    buf_printf(b, "%s %" PRId64 "\n", name, value);
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

/* All states, also those without a job: a series that comes and goes makes poor curves. */
static int jobs(struct api *api, struct buf *b, struct err *e)
{
    int64_t count;
    int rc = attempt_count_open(api->db, &count, e);

    if (rc < 0)
        return rc;
    gauge(b, "quantd_attempts_running", "Attempts under way.", (double)count);
    family(b, "quantd_jobs", "gauge", "Jobs by state.");
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        if ((rc = job_count(api->db, (enum job_state)s, &count, e)) < 0)
            return rc;
        buf_printf(b, "quantd_jobs{state=\"%s\"} %" PRId64 "\n", job_state_text((enum job_state)s), count);
    }
    return 0;
}

static void requests(const struct api *api, struct buf *b)
{
    family(b, "quantd_requests_total", "counter", "Answers sent, by HTTP status.");
    for (size_t i = 0; i < sizeof api->requests / sizeof *api->requests; i++)
        if (api->requests[i])
            buf_printf(b, "quantd_requests_total{code=\"%zu\"} %" PRId64 "\n", i, api->requests[i]);
    counter(b, "quantd_upload_bytes_total", "Bytes of the uploads that came in whole.", api->upload_bytes);
}

static void machine(const struct api *api, struct buf *b)
{
    int64_t space = file_disk_free(db_dir(api->db));

    if (space >= 0)
        gauge(b, "quantd_disk_free_bytes", "Room left where the data is.", (double)space);
    gauge(b, "quantd_disk_floor_bytes", "Uploads are refused below this.", (double)api->disk_floor);
    gauge(b, "quantd_uptime_seconds", "Seconds since the start.",
          (double)(clock_wall_ms() - api->started_ms) / 1000);
    gauge(b, "process_start_time_seconds", "Start of the server since the Unix epoch.",
          (double)api->started_ms / 1000);
    gauge(b, "process_resident_memory_bytes", "Resident set of the server.", (double)resident_bytes());
}

void handle_prometheus(struct api *api, struct exchange *x)
{
    const struct service *s = api->service;
    struct err e = { 0 };
    struct buf b;

    buf_init(&b, 0);
    family(&b, "quantd_build_info", "gauge", "Version of the server.");
    buf_text(&b, "quantd_build_info{version=\"" QUANTD_VERSION "\"} 1\n");
    gauge(&b, "quantd_slots", "CPUs given to jobs.", (double)s->slots(s->arg));
    gauge(&b, "quantd_streams", "Open event streams.", s->streams(s->arg));
    requests(api, &b);
    machine(api, &b);
    if (jobs(api, &b, &e) == 0 && b.failed)
        err_set(&e, ERR_NOMEM, "out of memory");
    if (e.code)
        exchange_problem(x, &e);
    else
        exchange_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data);
    exchange_header(x, "Cache-Control", "no-store");
    buf_free(&b);
}
