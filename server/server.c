#include "server/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/capability.h"
#include "server/notify.h"
#include "server/place.h"
#include "server/recover.h"
#include "storage/token.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLOSING_STEP_MS 20
#define CLOSING_MAX_MS  3000 /* for requests that are being answered */

/* --- closing -------------------------------------------------------------------------------------- */

/* The order matters: requests first, they may hold inspections; the workers are let go of, not ended. */
static void close_all(struct server *s)
{
    if (s->http)
        http_close(s->http);
    s->http = NULL;
    inspector_free(s->inspector);
    scheduler_close(s->scheduler);
    supervisor_close(s->supervisor);
    sweeper_close(s->sweeper);
    uv_close((uv_handle_t *)&s->term, NULL);
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->patience, NULL);
}

static void on_patience(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (http_busy(s->http) && clock_mono_ms() - s->closing_ms < CLOSING_MAX_MS)
        return;
    uv_timer_stop(timer);
    close_all(s);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    if (s->closing_ms)
        return;
    log_info("stopping signal=%d; workers go on", number);
    notify_send("STOPPING=1");
    s->closing_ms = clock_mono_ms();
    http_quiesce(s->http);
    uv_timer_start(&s->patience, on_patience, CLOSING_STEP_MS, CLOSING_STEP_MS);
}

/* --- wiring --------------------------------------------------------------------------------------- */

static void on_changed(void *arg)
{
    struct server *s = arg;
    s->service.events_changed(s);
}

static void on_freed(void *arg)
{
    struct server *s = arg;
    scheduler_kick(s->scheduler);
}

static int used_cpus(void *arg)
{
    const struct server *s = arg;
    return supervisor_cpus(s->supervisor);
}

static void start_job(void *arg, int64_t job)
{
    struct server *s = arg;
    supervisor_start(s->supervisor, job);
}

static void init_handles(struct server *s)
{
    uv_signal_init(&s->loop, &s->term);
    uv_signal_init(&s->loop, &s->interrupt);
    uv_timer_init(&s->loop, &s->patience);
    s->term.data = s->interrupt.data = s->patience.data = s;
    uv_signal_start(&s->term, on_signal, SIGTERM);
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
}

static int make_parts(struct server *s, struct err *e)
{
    struct supervising supervising = { .loop = &s->loop,
                                       .db = s->db,
                                       .config = &s->config,
                                       .changed = on_changed,
                                       .freed = on_freed,
                                       .arg = s };
    struct scheduling scheduling = { .loop = &s->loop,
                                     .db = s->db,
                                     .slots = (int)s->config.slots,
                                     .used = used_cpus,
                                     .start = start_job,
                                     .changed = on_changed,
                                     .arg = s };
    s->inspector = inspector_new(&s->loop, s->config.worker);
    s->supervisor = supervisor_new(&supervising);
    s->scheduler = scheduler_new(&scheduling);
    s->sweeper = sweeper_new(&s->loop, s->db);
    if (!s->inspector || !s->supervisor || !s->scheduler || !s->sweeper)
        return err_set(e, ERR_NOMEM, "no memory for the server");
    int rc = recover_jobs(s->db, s->supervisor, e);
    return rc ? rc : http_new(&s->loop, &s->api, &s->listener, &s->http, e);
}

/* --- before the loop ------------------------------------------------------------------------------ */

static int open_door(struct server *s, bool *accounts, struct err *e)
{
    int64_t tokens;
    int rc = listen_open(s->config.listen, &s->listener, e);
    if (!rc)
        rc = token_count(s->db, &tokens, e);
    if (rc)
        return rc;
    *accounts = tokens > 0;
    if (s->listener.loopback || *accounts)
        return 0;
    return err_set(e, ERR_FORBIDDEN,
                   "%s can be reached from other machines, but there is no token in %s; make one with "
                   "`quantd --data DIR --add-token NAME`, or listen on 127.0.0.1",
                   s->listener.url, s->config.data);
}

static void init_api(struct server *s, char openapi[PLACE_TEXT])
{
    service_init(s);
    s->api.db = s->db;
    s->api.service = &s->service;
    s->api.upload_max = s->config.upload_max;
    s->api.disk_floor = s->config.disk_floor;
    s->api.webui_dir = s->config.webui[0] ? s->config.webui : NULL;
    s->api.openapi_path = place_openapi(openapi) ? openapi : NULL;
    s->api.started_ms = clock_wall_ms();
}

static void announce(const struct server *s)
{
    printf("listening on %s\n", s->listener.url);
    fflush(stdout);
    notify_send("READY=1");
    log_info("ready url=%s data=%s slots=%" PRId64 " worker=%s", s->listener.url, s->config.data,
             s->config.slots, s->config.worker);
}

/* Let the handles of a start that failed, or of the end, be closed. */
static void drain(struct server *s)
{
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&s->loop))
        log_warn("the loop has handles left");
}

/* Work on a damaged database would only do more damage. */
static int open_data(struct server *s, struct err *e)
{
    bool skipped = false;
    int rc = db_open(s->config.data, &s->db, e);
    if (!rc)
        rc = db_quick_check(s->db, &skipped, e);
    if (rc)
        log_error("data=%s: %s", s->config.data, e->text);
    if (skipped)
        log_info("the database is too large to be examined at every start; `quantd --check` does it");
    if (rc)
        db_close(s->db);
    return rc;
}

int server_run(struct server *s, const struct config *c, struct err *e)
{
    char openapi[PLACE_TEXT];
    bool accounts = false;
    s->config = *c;
    s->listener.fd = -1;
    int rc = place_data(&s->config, e);
    if (!rc)
        rc = open_data(s, e);
    if (rc)
        return rc;
    uv_loop_init(&s->loop);
    rc = open_door(s, &accounts, e);
    if (!rc)
        rc = place_complete(&s->config, e);
    struct capability_server about = { s->config.slots, s->config.upload_max, accounts };
    if (!rc)
        rc = capability_load(&s->loop, s->config.worker, &about, &s->api.capabilities, e);
    if (!rc) {
        init_api(s, openapi);
        init_handles(s);
        rc = make_parts(s, e);
        if (rc)
            close_all(s);
        else
            announce(s);
    }
    if (!rc)
        scheduler_kick(s->scheduler);
    if (rc && s->listener.fd >= 0)
        close(s->listener.fd);
    drain(s);
    json_decref(s->api.capabilities);
    db_close(s->db);
    return rc;
}
