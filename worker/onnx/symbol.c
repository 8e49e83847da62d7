/* symbol.c - the names of a file: a hash table that only grows, with room for all of them from the start. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_LENGTH = 1000 };

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

void symbols_deinit(struct symbols *s)
{
    for (int i = 0; i < s->count; ++i) {
        tensor_free(s->symbol[i].tensor);
        value_codes_free(s->symbol[i].codes);
        free(s->symbol[i].stairs);
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

/* Well-formed sequences by their first byte: table 3-7 of the Unicode standard. */
static const struct sequence {
    unsigned char first_low, first_high, second_low, second_high;
    int length;
} sequences[] = {
    { 0x20, 0x7e, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
    { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* Length of the character at s, 0 when it is none. The text's zero ends every comparison in time. */
static int character(const unsigned char *s)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; ++i) {
        const struct sequence *q = &sequences[i];
        if (*s < q->first_low || *s > q->first_high)
            continue;
        if (q->length > 1 && (s[1] < q->second_low || s[1] > q->second_high))
            return 0;
        for (int k = 2; k < q->length; ++k)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return q->length;
    }
    return 0;
}

bool symbol_name_ok(const char *name)
{
    const unsigned char *s = (const unsigned char *)name;
    if (!s || strlen(name) > NAME_LENGTH)
        return false;
    while (*s) {
        const int length = character(s);
        if (!length)
            return false;
        s += length;
    }
    return true;
}
