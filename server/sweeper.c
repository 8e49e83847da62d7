#include "server/sweeper.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/jobdir.h"
#include "storage/blob.h"

#include <stdlib.h>

#define HOUR_MS  3600000
#define GRACE_MS ((int64_t)24 * HOUR_MS) /* a blob is uploaded first and named by a model or a job later */

struct sweeper {
    uv_timer_t timer;
    struct db *db;
};

static void tell(const char *what, int removed, const struct err *e)
{
    if (removed < 0)
        log_error("sweep of %s: %s", what, e->text);
    else if (removed > 0)
        log_info("sweep of %s removed=%d", what, removed);
}

static void sweep(uv_timer_t *timer)
{
    struct sweeper *s = timer->data;
    struct err e = { 0 };
    tell("blobs", blob_sweep(s->db, GRACE_MS, &e), &e);
    tell("jobs", jobdir_sweep(s->db, &e), &e);
}

struct sweeper *sweeper_new(uv_loop_t *loop, struct db *db)
{
    struct sweeper *s = mem_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->db = db;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, sweep, 0, HOUR_MS);
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void sweeper_close(struct sweeper *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->timer, on_closed);
}
