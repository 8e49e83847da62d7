/* symbol.c - the names of a file: a hash table that only grows, with room for all of them from the start. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int symbols_init(struct symbols *s, int capacity, struct err *e)
{
    unsigned buckets = 16;
    while (buckets < 2 * (unsigned)capacity)
        buckets *= 2;
    *s = (struct symbols){ .capacity = capacity, .mask = buckets - 1 };
    s->symbol = mem_array((size_t)capacity, sizeof *s->symbol);
    s->bucket = mem_array(buckets, sizeof *s->bucket);
    return s->symbol && s->bucket ? 0 : err_set(e, ERR_NOMEM, "Out of memory for %d names", capacity);
}

void symbol_codes_free(struct value_codes *c)
{
    if (!c)
        return;
    free(c->scale);
    free(c->code);
    free(c);
}

void symbols_deinit(struct symbols *s)
{
    for (int i = 0; i < s->count; ++i) {
        tensor_free(s->symbol[i].tensor);
        symbol_codes_free(s->symbol[i].codes);
    }
    free(s->symbol);
    free(s->bucket);
}

/* FNV-1a. Chosen names can make it slow, not wrong: the number of names is bounded. */
static unsigned hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; ++name)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* The bucket of that name, or the empty one where it would go. */
static int *slot(const struct symbols *s, const char *name)
{
    unsigned b = hash(name) & s->mask;
    while (s->bucket[b] && strcmp(s->symbol[s->bucket[b] - 1].name, name) != 0)
        b = (b + 1) & s->mask;
    return &s->bucket[b];
}

struct symbol *symbol_find(const struct symbols *s, const char *name)
{
    const int index = *slot(s, name);
    return index ? &s->symbol[index - 1] : NULL;
}

struct symbol *symbol_add(struct symbols *s, const char *name)
{
    int *bucket = slot(s, name);
    if (*bucket || s->count == s->capacity)
        return NULL;
    struct symbol *made = &s->symbol[s->count++];
    *made = (struct symbol){ .name = name, .producer = -1, .value = -1, .param = -1, .constant = -1 };
    *bucket = s->count;
    return made;
}

int symbol_tensor(struct symbol *s, const struct tensor **t, struct err *e)
{
    int bad = 0;
    if (!s->tensor && s->proto) {
        bad = import_tensor(s->proto, &s->tensor, e);
        if (bad)
            err_at(e, "initializer %s", s->name);
    }
    *t = s->tensor;
    return bad;
}

void symbol_release(struct symbol *s)
{
    if (--s->readers > 0)
        return;
    tensor_free(s->tensor);
    s->tensor = NULL;
    s->proto = NULL;
}
