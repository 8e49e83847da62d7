/* service.c - what handlers may ask of the server, each a line or two to the part that does it. */
#include "server/server.h"

#include "base/file.h"

#include <inttypes.h>
#include <unistd.h>

static void on_kick(void *arg)
{
    struct server *s = arg;
    scheduler_kick(s->scheduler);
}

static void on_stop_job(void *arg, int64_t job)
{
    struct server *s = arg;
    supervisor_stop(s->supervisor, job);
}

static void *on_inspect(void *arg, const char *kind, const char *path, const char *format,
                        void (*done)(void *cookie, const char *json, const struct err *e), void *cookie)
{
    struct server *s = arg;
    return inspector_start(s->inspector, kind, path, format, done, cookie);
}

static void on_inspect_forget(void *arg, void *handle)
{
    (void)arg;
    inspector_forget(handle);
}

static void on_events_changed(void *arg)
{
    struct server *s = arg;
    if (s->http)
        sse_changed(http_sse(s->http));
}

static int check_disk(const struct server *s, struct err *e)
{
    int64_t space = file_disk_free(s->config.data);
    if (space < 0)
        return err_set(e, ERR_IO, "the data directory can't be read");
    if (space < s->config.disk_floor)
        return err_set(e, ERR_FULL, "only %" PRId64 " bytes are free on disk, the floor is %" PRId64, space,
                       s->config.disk_floor);
    return 0;
}

/* The worker described itself at start, or there would be no server; it may have been removed since. */
static int on_ready(void *arg, struct err *e)
{
    struct server *s = arg;
    if (access(s->config.worker, X_OK))
        return err_sys(e, ERR_IO, "the worker program %.200s", s->config.worker);
    int rc = check_disk(s, e);
    if (rc)
        return rc;
    rc = db_begin(s->db, e);
    return rc ? rc : db_commit(s->db, e);
}

static int64_t on_slots(void *arg)
{
    const struct server *s = arg;
    return s->config.slots;
}

static int on_streams(void *arg)
{
    const struct server *s = arg;
    return sse_count(http_sse(s->http));
}

void service_init(struct server *s)
{
    s->service = (struct service){
        .arg = s,
        .kick = on_kick,
        .stop_job = on_stop_job,
        .inspect = on_inspect,
        .inspect_forget = on_inspect_forget,
        .events_changed = on_events_changed,
        .ready = on_ready,
        .slots = on_slots,
        .streams = on_streams,
    };
}
