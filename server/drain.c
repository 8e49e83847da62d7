#include "server/drain.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_MS    5000
#define DRAIN_BYTES ((size_t)64 << 20)
#define DRAIN_COUNT 64 /* at most, further ones are closed at once */

struct drain {
    struct drain *next;
    struct drains *owner;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd, open_handles;
    size_t read;
};

static void closed(uv_handle_t *handle)
{
    struct drain *g = handle->data;
    if (--g->open_handles)
        return;
    close(g->fd);
    free(g);
}

static void finish(struct drain *g)
{
    struct drain **p = &g->owner->first;
    while (*p != g)
        p = &(*p)->next;
    *p = g->next;
    uv_close((uv_handle_t *)&g->poll, closed);
    uv_close((uv_handle_t *)&g->timer, closed);
}

static void on_time(uv_timer_t *timer)
{
    finish(timer->data);
}

static void on_bytes(uv_poll_t *poll, int status, int events)
{
    struct drain *g = poll->data;
    char nowhere[16384];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(g->fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        g->read += (size_t)n;
    if (n <= 0 || g->read > DRAIN_BYTES)
        finish(g);
}

static int count(const struct drains *l)
{
    int n = 0;
    for (const struct drain *g = l->first; g; g = g->next)
        n++;
    return n;
}

void drain_start(struct drains *l, int fd)
{
    struct drain *g = count(l) < DRAIN_COUNT ? mem_alloc(sizeof *g) : NULL;
    if (!g || uv_poll_init(l->loop, &g->poll, fd)) {
        free(g);
        close(fd);
        return;
    }
    uv_timer_init(l->loop, &g->timer);
    g->owner = l;
    g->fd = fd;
    g->open_handles = 2;
    g->poll.data = g->timer.data = g;
    g->next = l->first;
    l->first = g;
    uv_timer_start(&g->timer, on_time, DRAIN_MS, 0);
    uv_poll_start(&g->poll, UV_READABLE, on_bytes);
}

void drain_stop_all(struct drains *l)
{
    while (l->first)
        finish(l->first);
}
