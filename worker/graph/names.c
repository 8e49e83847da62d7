#include "worker/graph/names.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h ^ h >> 32;
}

/* The slot that holds the name, or the free one where it belongs. */
static struct names_slot *probe(const struct names *t, const char *name)
{
    size_t i = hash(name) & (t->capacity - 1);
    while (t->slot[i].name && strcmp(t->slot[i].name, name))
        i = (i + 1) & (t->capacity - 1);
    return &t->slot[i];
}

int names_find(const struct names *t, const char *name)
{
    if (!t->capacity || !name)
        return -1;
    const struct names_slot *s = probe(t, name);
    return s->name ? s->index : -1;
}

static int grow(struct names *t)
{
    struct names bigger = { .capacity = t->capacity ? 2 * t->capacity : 64 };
    bigger.slot = mem_array(bigger.capacity, sizeof *bigger.slot);
    if (!bigger.slot)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slot[i].name)
            *probe(&bigger, t->slot[i].name) = t->slot[i];
    bigger.count = t->count;
    free(t->slot);
    *t = bigger;
    return 0;
}

int names_put(struct names *t, const char *name, int index)
{
    if (2 * t->count >= t->capacity && grow(t) < 0)
        return ERR_NOMEM;
    *probe(t, name) = (struct names_slot){ name, index };
    t->count++;
    return 0;
}

void names_clear(struct names *t)
{
    if (t->slot)
        memset(t->slot, 0, t->capacity * sizeof *t->slot);
    t->count = 0;
}

void names_free(struct names *t)
{
    free(t->slot);
    *t = (struct names){ 0 };
}
