#include "worker/data/store.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is written at once may become one large page of the page cache, and a touch maps all of such a page:
 * larger pieces would break the promise of store_rest (Linux 6.18, ext4: 300 KiB a touch with pieces of 1
 * MiB, 60 KiB with these). */
enum { CHUNK = 1 << 16, WRITE_CHUNK = STORE_AROUND };

void store_init(struct store *s, struct budget *b)
{
    *s = (struct store){ .budget = b, .fd = -1 };
}

static void forget_memory(struct store *s)
{
    if (!s->spilled)
        s->budget->in_memory -= s->held;
    free(s->data);
    s->data = NULL;
    s->held = s->capacity = 0;
}

void store_free(struct store *s)
{
    if (s->budget == NULL)
        return;
    forget_memory(s);
    if (s->fd >= 0)
        close(s->fd);
    store_init(s, s->budget);
}

static int flush(struct store *s, struct err *e)
{
    int r = 0;

    for (size_t at = 0, part; at < s->held && r == 0; at += part) {
        part = s->held - at < WRITE_CHUNK ? s->held - at : WRITE_CHUNK;
        r = file_write_all(s->fd, s->data + at, part, e);
    }
    if (r < 0)
        return err_wrap(e, "no room for the pixels in the job's directory");
    s->held = 0;
    return 0;
}

/* From memory to a file: what is there is written, the memory becomes the write buffer. */
static int spill(struct store *s, struct err *e)
{
    char path[4096], temp[4096];

    snprintf(path, sizeof path, "%s/pixels", s->budget->room.spill_dir);
    int r = file_temp(path, temp, sizeof temp, &s->fd, e);
    if (r < 0) {
        s->fd = -1;
        return r;
    }
    unlink(temp);
    r = flush(s, e);
    if (r < 0)
        return r;
    s->budget->in_memory -= s->length;
    s->spilled = true;
    free(s->data);
    s->data = mem_alloc(WRITE_CHUNK);
    s->capacity = s->data != NULL ? WRITE_CHUNK : 0;
    return s->data != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int append_memory(struct store *s, const uint8_t *bytes, size_t n, struct err *e)
{
    if (s->capacity - s->held < n) {
        size_t capacity = s->held + n + s->capacity / 2 + CHUNK;
        uint8_t *grown = mem_grow(s->data, capacity, 1);
        if (grown == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu bytes of pixels", capacity);
        s->data = grown;
        s->capacity = capacity;
    }
    memcpy(s->data + s->held, bytes, n);
    s->held += n;
    s->budget->in_memory += n;
    return 0;
}

static int append_file(struct store *s, const uint8_t *bytes, size_t n, struct err *e)
{
    while (n > 0) {
        size_t part = s->capacity - s->held < n ? s->capacity - s->held : n;
        memcpy(s->data + s->held, bytes, part);
        s->held += part;
        bytes += part;
        n -= part;
        if (s->held == s->capacity) {
            int r = flush(s, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int store_append(struct store *s, const void *bytes, size_t n, struct err *e)
{
    struct budget *b = s->budget;
    int r = 0;

    if (n == 0)
        return 0;
    if (n > b->room.limit - b->total)
        return err_set(e, ERR_TOO_LARGE, "the pixels are larger than the limit of %zu bytes", b->room.limit);
    if (b->room.sizes_only) {
        s->length += n;
        b->total += n;
        return 0;
    }
    if (!s->spilled && b->room.spill_dir != NULL && b->in_memory + n > b->room.memory)
        r = spill(s, e);
    if (r == 0)
        r = s->spilled ? append_file(s, bytes, n, e) : append_memory(s, bytes, n, e);
    if (r < 0)
        return r;
    s->length += n;
    b->total += n;
    return 0;
}

static int take_file(struct store *s, uint8_t **data, size_t *mapped, struct err *e)
{
    int r = flush(s, e);

    if (r < 0)
        return r;
    void *p = mmap(NULL, s->length, PROT_READ, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED)
        return err_sys(e, ERR_NOMEM, "can't map %zu bytes of pixels", s->length);
    *data = p;
    *mapped = s->length;
    return 0;
}

int store_take(struct store *s, uint8_t **data, size_t *mapped, struct err *e)
{
    int r = 0;

    *data = NULL;
    *mapped = 0;
    if (s->spilled) {
        r = take_file(s, data, mapped, e);
    } else if (s->held > 0) {
        uint8_t *exact = mem_grow(s->data, s->held, 1);
        *data = exact != NULL ? exact : s->data;
        s->data = NULL;
    }
    if (r == 0)
        store_free(s);
    return r;
}

void store_rest(const uint8_t *data, size_t mapped)
{
    if (mapped > 0)
        madvise((void *)data, mapped, MADV_DONTNEED);
}

void store_release(uint8_t *data, size_t mapped)
{
    if (mapped > 0)
        munmap(data, mapped);
    else
        free(data);
}

void store_ahead(const uint8_t *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data & ~(page - 1);

    /* a hint: what can't be fetched ahead is fetched when it is read */
    madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_WILLNEED);
}
