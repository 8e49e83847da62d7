#include "server/sink.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sink {
    uv_work_t work;
    uv_loop_t *loop;
    void (*wake)(void *arg);
    void *arg;
    struct sink_limits limits;
    char path[512]; /* "" once given away */
    int fd;
    char *buffer[2]; /* owned */
    size_t filled;   /* bytes in buffer[filling] */
    int filling;
    int64_t size; /* taken so far */
    struct err error;
    bool busy;    /* the thread has buffer[!filling] */
    bool waiting; /* somebody wants wake() */
    bool ending, ended, orphan;
    /* the thread's */
    struct hash *hash; /* owned */
    size_t writing;    /* bytes in the buffer being written */
    bool last;         /* sync and finish the hash after it */
    char text[HASH_TEXT];
    struct err work_error;
};

static void destroy(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->path[0])
        unlink(s->path);
    hash_free(s->hash);
    free(s->buffer[0]);
    free(s->buffer[1]);
    free(s);
}

int sink_open(uv_loop_t *loop, const char *tmp_dir, const struct sink_limits *limits, void (*wake)(void *arg),
              void *arg, struct sink **sink, struct err *e)
{
    char wanted[480];
    struct sink *s = mem_alloc(sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for an upload");
    s->loop = loop;
    s->wake = wake;
    s->arg = arg;
    s->limits = *limits;
    s->fd = -1;
    s->work.data = s;
    s->hash = hash_new();
    s->buffer[0] = mem_alloc(SINK_BUFFER);
    s->buffer[1] = mem_alloc(SINK_BUFFER);
    int rc = 0;
    if (!s->hash || !s->buffer[0] || !s->buffer[1])
        rc = err_set(e, ERR_NOMEM, "no memory for an upload");
    else if ((size_t)snprintf(wanted, sizeof wanted, "%s/upload", tmp_dir) >= sizeof wanted)
        rc = err_set(e, ERR_INVALID, "the data directory's path is too long");
    else
        rc = file_temp(wanted, s->path, sizeof s->path, &s->fd, e);
    if (rc) {
        destroy(s);
        return rc;
    }
    *sink = s;
    return 0;
}

/* In the thread pool: nothing but the fields marked as the thread's, the full buffer and the descriptor. */
static void write_out(uv_work_t *work)
{
    struct sink *s = work->data;
    const char *data = s->buffer[!s->filling];
    if (file_disk_free(s->path) < s->limits.disk_floor + (int64_t)s->writing) {
        err_set(&s->work_error, ERR_FULL, "the disk is almost full; the upload was not stored");
        return;
    }
    if (file_write_all(s->fd, data, s->writing, &s->work_error))
        return;
    hash_add(s->hash, data, s->writing);
    if (!s->last)
        return;
    unsigned char digest[HASH_BYTES];
    hash_done(s->hash, digest);
    s->hash = NULL;
    hash_text(digest, s->text);
    if (fdatasync(s->fd))
        err_sys(&s->work_error, ERR_IO, "fdatasync");
}

static void written(uv_work_t *work, int status);

static void submit(struct sink *s, bool last)
{
    s->writing = s->filled;
    s->last = last;
    s->filling = !s->filling;
    s->filled = 0;
    s->busy = true;
    uv_queue_work(s->loop, &s->work, write_out, written);
}

static void written(uv_work_t *work, int status)
{
    struct sink *s = work->data;
    s->busy = false;
    if (s->orphan) {
        destroy(s);
        return;
    }
    if (status < 0 && !s->work_error.code)
        err_set(&s->work_error, ERR_IO, "the write was not done");
    if (s->work_error.code && !s->error.code)
        s->error = s->work_error;
    if (s->last)
        s->ended = true;
    else if (s->ending && !s->error.code)
        submit(s, true);
    else if (s->filled == SINK_BUFFER && !s->error.code)
        submit(s, false);
    if (s->ending && s->error.code)
        s->ended = true;
    if (s->waiting && (!s->ending || s->ended)) {
        s->waiting = false;
        s->wake(s->arg);
    }
}

size_t sink_add(struct sink *s, const void *data, size_t length)
{
    size_t taken = 0;
    if (!s->error.code && s->size + (int64_t)length > s->limits.upload_max)
        err_set(&s->error, ERR_TOO_LARGE, "the upload is larger than the limit of %lld bytes",
                (long long)s->limits.upload_max);
    while (taken < length && !s->error.code) {
        size_t room = SINK_BUFFER - s->filled;
        size_t part = length - taken < room ? length - taken : room;
        if (part == 0) { /* both buffers are full */
            s->waiting = true;
            s->size += (int64_t)taken;
            return taken;
        }
        memcpy(s->buffer[s->filling] + s->filled, (const char *)data + taken, part);
        s->filled += part;
        taken += part;
        if (s->filled == SINK_BUFFER && !s->busy)
            submit(s, false);
    }
    s->size += (int64_t)taken;
    return length;
}

bool sink_end(struct sink *s)
{
    if (s->ended)
        return true;
    s->ending = true;
    if (!s->busy && s->error.code) {
        s->ended = true;
        return true;
    }
    if (!s->busy)
        submit(s, true);
    s->waiting = true;
    return false;
}

int sink_error(const struct sink *s, struct err *e)
{
    if (s->error.code && e)
        *e = s->error;
    return s->error.code;
}

int sink_result(struct sink *s, struct upload *u, struct err *e)
{
    if (s->error.code)
        return sink_error(s, e);
    snprintf(u->path, sizeof u->path, "%s", s->path);
    memcpy(u->hash, s->text, sizeof u->hash);
    u->size = s->size;
    s->path[0] = 0;
    return 0;
}

void sink_free(struct sink *s)
{
    if (!s)
        return;
    if (s->busy)
        s->orphan = true;
    else
        destroy(s);
}
