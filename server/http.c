#include "server/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/drain.h"
#include "server/http_answer.h"
#include "server/request.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX  512
#define IDLE_SECONDS     120
#define STREAM_BLOCK     16384
#define CONNECTION_BYTES 32768

struct http {
    struct request_context context;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
    struct sse *sse;
    struct drains drains;
    struct live *first;
    bool again; /* somebody wants another turn of the pump */
    bool full;  /* no more connections are taken */
    bool closing;
};

/* A request while the library knows it. */
struct live {
    struct request r; /* first: wake() gets it */
    struct http *http;
    struct MHD_Connection *connection;
    struct live *next, **back;
    char *path;                /* owned: percent-encoded, without query */
    struct sse_stream *stream; /* owned */
    bool begun, suspended, draining;
};

/* --- the pump ------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* From inside the pump, too: then it turns once more before it sets its timer. */
static void pump_soon(struct http *h)
{
    h->again = true;
    uv_timer_start(&h->timer, on_timer, 0, 0);
}

/* The library works only while we run it: when its epoll descriptor is readable, and when its timeout says so
 * (its sockets are edge-triggered, so work may be left without a new event). Never called from inside itself.
 */
static void pump(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    bool was_full = h->full;
    h->again = false;
    MHD_run(h->daemon);
    h->full = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections >=
              CONNECTIONS_MAX;
    h->again |= was_full && !h->full; /* only in its next turn the library listens again */
    if (h->again || MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        uv_timer_start(&h->timer, on_timer, h->again ? 0 : ms, 0);
    else
        uv_timer_stop(&h->timer);
}

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    pump(poll->data);
}

static void live_suspend(struct live *l)
{
    if (l->suspended)
        return;
    l->suspended = true;
    MHD_suspend_connection(l->connection);
}

/* Resuming alone wakes nobody. */
static void live_resume(struct live *l)
{
    if (!l->suspended)
        return;
    l->suspended = false;
    MHD_resume_connection(l->connection);
    pump_soon(l->http);
}

static void on_wake(void *live)
{
    live_resume(live);
}

static void on_ready(struct exchange *x)
{
    live_resume(x->http);
}

/* --- what an exchange may ask --------------------------------------------------------------------- */

static const char *get_query(const struct exchange *x, const char *key)
{
    const struct live *l = x->http;
    const char *value = NULL;
    size_t length = 0;
    if (MHD_lookup_connection_value_n(l->connection, MHD_GET_ARGUMENT_KIND, key, strlen(key), &value,
                                      &length) != MHD_YES)
        return NULL;
    return value ? value : "";
}

struct each {
    int (*f)(void *arg, const char *key, const char *value);
    void *arg;
    int result;
};

static enum MHD_Result each_one(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_length,
                                const char *value, size_t length)
{
    struct each *each = cls;
    bool whole = strlen(key) == key_length && (!value || strlen(value) == length);
    (void)kind;
    each->result = each->f(each->arg, key, !whole ? NULL : value ? value : "");
    return each->result ? MHD_NO : MHD_YES;
}

static int each_query(const struct exchange *x, int (*f)(void *arg, const char *key, const char *value),
                      void *arg)
{
    const struct live *l = x->http;
    struct each each = { f, arg, 0 };
    MHD_get_connection_values_n(l->connection, MHD_GET_ARGUMENT_KIND, each_one, &each);
    return each.result;
}

static const char *get_header(const struct exchange *x, const char *name)
{
    const struct live *l = x->http;
    return MHD_lookup_connection_value(l->connection, MHD_HEADER_KIND, name);
}

/* --- answers -------------------------------------------------------------------------------------- */

/* A suspended connection notices nothing, and a first write to a client that is gone still succeeds. */
static bool peer_is_gone(const struct live *l)
{
    char byte;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(l->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t size)
{
    struct live *l = cls;
    (void)position;
    if (l->http->closing || peer_is_gone(l))
        return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t n = sse_read(l->stream, out, size);
    if (n == 0)
        live_suspend(l); /* returning 0 without it would spin */
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static struct MHD_Response *memory_response(struct exchange *x)
{
    size_t length = x->out.length;
    char *data = length ? buf_take(&x->out) : NULL;
    if (!data)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response = MHD_create_response_from_buffer(length, data, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(data);
    return response;
}

static struct MHD_Response *file_response(struct exchange *x, const struct answer *a)
{
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64((uint64_t)a->length, x->file, (uint64_t)a->offset);
    if (response)
        x->file = -1; /* the response closes it */
    return response;
}

static struct MHD_Response *stream_response(struct live *l)
{
    if (strcmp(l->r.x.method, "HEAD") == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, l, NULL);
}

static void add_header(void *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

static void open_stream(struct live *l)
{
    struct err e = { 0 };
    struct exchange *x = &l->r.x;
    if (!x->is_stream || strcmp(x->method, "HEAD") == 0)
        return;
    if (sse_open(l->http->sse, &x->stream, l, &l->stream, &e))
        exchange_problem(x, &e);
}

static enum MHD_Result send_answer(struct live *l)
{
    struct exchange *x = &l->r.x;
    struct answer a;
    struct MHD_Response *response;
    http_answer_plan(x, &a);
    open_stream(l);
    if (x->is_stream)
        response = stream_response(l);
    else if (a.body == ANSWER_FILE)
        response = file_response(x, &a);
    else
        response = memory_response(x);
    if (!response)
        return MHD_NO;
    unsigned status = (unsigned)(a.body == ANSWER_STREAM ? x->status : a.status);
    http_answer_headers(x, &a, add_header, response);
    if (l->draining)
        add_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(l->connection, status, response);
    MHD_destroy_response(response);
    if (status < 600)
        l->http->context.api->requests[status]++;
    log_debug("request id=%s method=%s path=%s status=%u ms=%.1f user=%s", x->request_id, x->method, x->path,
              status, (double)(clock_mono_ns() - l->r.started_ns) / 1e6, x->user);
    return result;
}

/* --- requests ------------------------------------------------------------------------------------- */

/* The first that is heard of a request: its raw target. Later the library decodes it, and "%2F" looks like
 * "/". */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http *h = cls;
    struct live *l = mem_alloc(sizeof *l);
    size_t length = strcspn(target, "?");
    if (!l || !(l->path = mem_alloc(length + 1))) {
        free(l);
        return NULL;
    }
    memcpy(l->path, target, length);
    l->http = h;
    l->connection = connection;
    l->r.x.http = l;
    l->r.x.query = get_query;
    l->r.x.query_each = each_query;
    l->r.x.header = get_header;
    l->r.x.ready = on_ready;
    l->r.x.file = -1;
    l->next = h->first;
    l->back = &h->first;
    if (l->next)
        l->next->back = &l->next;
    h->first = l;
    return l;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    struct http *h = cls;
    struct live *l = *con_cls;
    (void)why;
    if (!l)
        return;
    if (l->draining && !h->closing) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        int fd = info ? fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0) : -1;
        if (fd >= 0)
            drain_start(&h->drains, fd);
    }
    *l->back = l->next;
    if (l->next)
        l->next->back = l->back;
    sse_stream_free(l->stream);
    request_deinit(&l->r);
    free(l->path);
    free(l);
    *con_cls = NULL;
}

static enum MHD_Result begin(struct live *l, const char *method)
{
    l->begun = true;
    snprintf(l->r.x.method, sizeof l->r.x.method, "%s", method);
    request_begin(&l->r, &l->http->context, l->path);
    if (!request_answer_now(&l->r))
        return MHD_YES;
    l->draining = !l->r.expects;
    return send_answer(l);
}

static enum MHD_Result body(struct live *l, const char *data, size_t *size)
{
    int64_t taken = request_body(&l->r, data, *size);
    if (taken < 0)
        return MHD_NO;
    *size -= (size_t)taken;
    if (*size)
        live_suspend(l);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **con_cls)
{
    struct http *h = cls;
    struct live *l = *con_cls;
    (void)connection;
    (void)url;
    (void)version;
    if (!l || h->closing)
        return MHD_NO;
    if (!l->begun)
        return begin(l, method);
    if (*size)
        return body(l, data, size);
    if (request_end(&l->r))
        return send_answer(l);
    live_suspend(l);
    return MHD_YES;
}

/* --- life ----------------------------------------------------------------------------------------- */

static void on_log(void *cls, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *format, va_list ap)
{
    char text[256];
    (void)cls;
    vsnprintf(text, sizeof text, format, ap);
    text[strcspn(text, "\n")] = 0;
    log_debug("http: %s", text);
}

static void closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    if (--h->open_handles == 0)
        free(h);
}

static int start_daemon(struct http *h, int fd, struct err *e)
{
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                                 on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                                 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                                 MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    return h->daemon ? 0 : err_set(e, ERR_INTERNAL, "libmicrohttpd does not start");
}

int http_new(uv_loop_t *loop, struct api *api, const struct listener *listener, struct http **http,
             struct err *e)
{
    struct http *h = mem_alloc(sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, "no memory for the server");
    h->context.api = api;
    h->context.loop = loop;
    h->context.loopback = listener->loopback;
    h->context.wake = on_wake;
    h->drains.loop = loop;
    snprintf(h->context.tmp_dir, sizeof h->context.tmp_dir, "%s/tmp", db_dir(api->db));
    h->sse = sse_new(loop, api->db, on_wake);
    if (!h->sse || start_daemon(h, listener->fd, e)) {
        sse_close(h->sse);
        free(h);
        return e && e->code ? e->code : err_set(e, ERR_NOMEM, "no memory for the server");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(loop, &h->poll, info->epoll_fd);
    uv_timer_init(loop, &h->timer);
    h->open_handles = 2;
    h->poll.data = h->timer.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_poll);
    pump_soon(h);
    *http = h;
    return 0;
}

struct sse *http_sse(struct http *h)
{
    return h->sse;
}

void http_quiesce(struct http *h)
{
    int fd = MHD_quiesce_daemon(h->daemon);
    if (fd >= 0)
        close(fd);
    sse_end_all(h->sse);
    pump_soon(h);
}

int http_busy(const struct http *h)
{
    int n = 0;
    for (const struct live *l = h->first; l; l = l->next)
        n++;
    return n;
}

void http_close(struct http *h)
{
    h->closing = true;
    for (struct live *l = h->first; l; l = l->next)
        live_resume(l);
    MHD_run(h->daemon);
    drain_stop_all(&h->drains);
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, closed);
    uv_close((uv_handle_t *)&h->timer, closed);
    MHD_stop_daemon(h->daemon);
    sse_close(h->sse);
}
