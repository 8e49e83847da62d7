/* arena.c - a list of chunks, each twice as large as the one before (within bounds).
 *
 *   head ─► [header|used....|free   ] ─► [header|used..........|rest] ─► ...
 *
 * A request that is large beside the chunk size gets a chunk of its own behind the head, so that the head's
 * free room is not thrown away: at most a quarter of the memory is ever wasted. */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN       ((size_t)64)
#define CHUNK_FIRST ((size_t)4096)
#define CHUNK_LAST  ((size_t)1 << 20)

struct chunk {
    struct chunk *next;
    size_t used, capacity; /* bytes behind the header, which fills the first ALIGN bytes */
};

struct arena {
    struct chunk *head;
    size_t limit, used, next_capacity;
};

struct arena *arena_new(size_t limit)
{
    struct arena *a = mem_alloc(sizeof *a);
    if (!a)
        return NULL;
    a->limit = limit;
    a->next_capacity = CHUNK_FIRST - ALIGN;
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

static struct chunk *chunk_new(size_t capacity)
{
    size_t bytes;
    struct chunk *c = size_add(capacity, ALIGN, &bytes) ? mem_aligned(ALIGN, bytes) : NULL;
    if (c)
        c->capacity = capacity;
    return c;
}

static void *chunk_take(struct chunk *c, size_t bytes)
{
    void *p = (char *)c + ALIGN + c->used;
    c->used += bytes;
    return p;
}

static struct chunk *add_head(struct arena *a)
{
    struct chunk *c = chunk_new(a->next_capacity);
    if (!c)
        return NULL;
    c->next = a->head;
    a->head = c;
    if (a->next_capacity < CHUNK_LAST)
        a->next_capacity = 2 * a->next_capacity + ALIGN;
    return c;
}

static struct chunk *add_own(struct arena *a, size_t bytes)
{
    struct chunk *c = chunk_new(bytes);
    if (!c)
        return NULL;
    struct chunk **place = a->head ? &a->head->next : &a->head;
    c->next = *place;
    *place = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t rounded;
    if (!size_add(bytes ? bytes : 1, ALIGN - 1, &rounded))
        return NULL;
    rounded &= ~(ALIGN - 1);
    if (rounded > a->limit - a->used)
        return NULL;
    struct chunk *c = a->head;
    if (!c || rounded > c->capacity - c->used)
        c = rounded > a->next_capacity / 4 ? add_own(a, rounded) : add_head(a);
    if (!c)
        return NULL;
    a->used += rounded;
    return chunk_take(c, rounded);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    return size_mul(count, size, &bytes) ? arena_alloc(a, bytes) : NULL;
}

char *arena_strdup(struct arena *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(a, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : arena_alloc(a, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
