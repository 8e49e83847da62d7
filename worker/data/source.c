#include "worker/data/source.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 };

/* cookie: the next byte of the memory. */
static int pull_memory(struct source *s, uint8_t *to, size_t size, size_t *got, struct err *e)
{
    const uint8_t *next = s->cookie;

    (void)e;
    *got = size < s->left ? size : s->left;
    memcpy(to, next, *got);
    s->cookie = (void *)(next + *got);
    s->left -= *got;
    return 0;
}

void source_name(struct source *s, const char *member)
{
    s->member = member;
    member_show(member, s->shown);
}

void source_memory(struct source *s, const char *member, const uint8_t *data, size_t length)
{
    static const uint8_t nothing[1];

    *s = (struct source){ .pull = pull_memory, .cookie = (void *)(data ? data : nothing), .left = length };
    source_name(s, member);
    source_fill_head(s, NULL); /* can't fail here */
}

int source_fill_head(struct source *s, struct err *e)
{
    s->head_length = s->offset = 0;
    for (size_t got = 1; got > 0 && s->head_length < SOURCE_HEAD; s->head_length += got) {
        int r = s->pull(s, s->head + s->head_length, SOURCE_HEAD - s->head_length, &got, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_some(struct source *s, uint8_t *to, size_t size, size_t *got, struct err *e)
{
    int r = 0;

    if (s->offset < s->head_length) {
        *got = s->head_length - s->offset;
        *got = *got < size ? *got : size;
        memcpy(to, s->head + s->offset, *got);
    } else {
        r = s->pull(s, to, size, got, e);
    }
    if (r == 0)
        s->offset += *got;
    return r;
}

int source_read(struct source *s, void *to, size_t size, size_t *got, struct err *e)
{
    size_t n = 1;

    for (*got = 0; *got < size && n > 0; *got += n) {
        int r = read_some(s, (uint8_t *)to + *got, size - *got, &n, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int source_need(struct source *s, void *to, size_t size, const char *what, struct err *e)
{
    size_t got;
    int r = source_read(s, to, size, &got, e);

    if (r < 0 || got == size)
        return r;
    err_set(e, ERR_CORRUPT, "the file ends inside %s, which is %zu bytes long", what, size);
    return source_at(s, s->offset, e);
}

int source_skip(struct source *s, size_t *count, struct err *e)
{
    const size_t start = s->offset;
    uint8_t chunk[4096];
    size_t got = 1;
    int r = 0;

    while (r == 0 && got > 0)
        r = read_some(s, chunk, sizeof chunk, &got, e);
    if (count != NULL)
        *count = s->offset - start;
    return r;
}

int source_rest(struct source *s, uint8_t **data, size_t *length, struct err *e)
{
    size_t capacity = 0, got = 1;
    int r = 0;

    *data = NULL;
    *length = 0;
    while (r == 0 && got > 0) {
        if (capacity - *length < CHUNK) {
            capacity += capacity / 2 + CHUNK;
            uint8_t *grown = mem_grow(*data, capacity, 1);
            if (grown == NULL) {
                r = err_set(e, ERR_NOMEM, "no memory for %zu bytes", capacity);
                break;
            }
            *data = grown;
        }
        r = read_some(s, *data + *length, CHUNK, &got, e);
        *length += r == 0 ? got : 0;
    }
    if (r < 0) {
        free(*data);
        *data = NULL;
    }
    return r;
}

int source_at(const struct source *s, size_t offset, struct err *e)
{
    return err_at(e, "%s offset %zu", s->shown, offset);
}
