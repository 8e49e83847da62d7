#include "worker/graph/space.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int round_up(size_t size, size_t *rounded)
{
    if (!size_add(size, SPACE_ALIGN - 1, rounded))
        return ERR_TOO_LARGE;
    *rounded = *rounded / SPACE_ALIGN * SPACE_ALIGN;
    return 0;
}

static void gap_remove(struct space *s, int i)
{
    memmove(&s->gap[i], &s->gap[i + 1], (size_t)(s->gaps - i - 1) * sizeof *s->gap);
    s->gaps--;
}

static int gap_insert(struct space *s, int i, size_t offset, size_t size)
{
    if (s->gaps == s->capacity) {
        int more = s->capacity ? 2 * s->capacity : 16;
        struct space_gap *grown = mem_grow(s->gap, (size_t)more, sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        s->gap = grown;
        s->capacity = more;
    }
    memmove(&s->gap[i + 1], &s->gap[i], (size_t)(s->gaps - i) * sizeof *s->gap);
    s->gap[i] = (struct space_gap){ offset, size };
    s->gaps++;
    return 0;
}

/* At the end of the arena; a gap that touches the end is used up first. */
static int take_end(struct space *s, size_t size, size_t *offset)
{
    size_t at = s->peak;
    const struct space_gap *last = s->gaps ? &s->gap[s->gaps - 1] : NULL;
    bool touches = last && last->offset + last->size == s->peak;
    if (touches)
        at = last->offset;
    if (!size_add(at, size, &s->peak))
        return ERR_TOO_LARGE;
    if (touches)
        s->gaps--;
    *offset = at;
    return 0;
}

int space_take(struct space *s, size_t size, size_t *offset)
{
    int best = -1;
    if (round_up(size, &size) < 0)
        return ERR_TOO_LARGE;
    for (int i = 0; i < s->gaps; i++)
        if (s->gap[i].size >= size && (best < 0 || s->gap[i].size < s->gap[best].size))
            best = i;
    if (best < 0)
        return take_end(s, size, offset);
    *offset = s->gap[best].offset;
    s->gap[best].offset += size;
    s->gap[best].size -= size;
    if (!s->gap[best].size)
        gap_remove(s, best);
    return 0;
}

int space_give(struct space *s, size_t offset, size_t size)
{
    int i = 0;
    if (round_up(size, &size) < 0)
        return ERR_TOO_LARGE;
    if (!size)
        return 0;
    while (i < s->gaps && s->gap[i].offset < offset)
        i++;
    bool before = i > 0 && s->gap[i - 1].offset + s->gap[i - 1].size == offset;
    bool after = i < s->gaps && offset + size == s->gap[i].offset;
    if (before && after) {
        s->gap[i - 1].size += size + s->gap[i].size;
        gap_remove(s, i);
    } else if (before) {
        s->gap[i - 1].size += size;
    } else if (after) {
        s->gap[i].offset = offset;
        s->gap[i].size += size;
    } else {
        return gap_insert(s, i, offset, size);
    }
    return 0;
}

void space_free(struct space *s)
{
    free(s->gap);
    *s = (struct space){ 0 };
}
