#include "worker/data/draft.h"

#include "base/mem.h"

#include <stdlib.h>

enum { REST_EVERY = 1 << 20 }; /* bytes read of a mapping, when it is read as a whole */

int draft_init(struct draft *d, const struct room *room, struct err *e)
{
    *d = (struct draft){ .budget.room = *room };
    for (int k = 0; k < SPLITS; k++)
        store_init(&d->pixel[k], &d->budget);
    d->dataset = dataset_new();
    return d->dataset != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

void draft_free(struct draft *d)
{
    for (int k = 0; k < SPLITS; k++) {
        store_free(&d->pixel[k]);
        free(d->label[k].value);
        d->label[k] = (struct labels){ 0 };
    }
    dataset_free(d->dataset);
    d->dataset = NULL;
}

int draft_pixels(struct draft *d, int split, const uint8_t *pixels, size_t bytes, struct err *e)
{
    return store_append(&d->pixel[split], pixels, bytes, e);
}

int draft_copy(struct draft *d, int split, struct source *in, uint64_t bytes, uint64_t *copied, struct err *e)
{
    uint8_t chunk[1 << 15];
    size_t got = 1;
    int r = 0;

    for (*copied = 0; r == 0 && got > 0 && *copied < bytes; *copied += got) {
        const uint64_t left = bytes - *copied;
        r = source_read(in, chunk, left < sizeof chunk ? (size_t)left : sizeof chunk, &got, e);
        if (r == 0)
            r = draft_pixels(d, split, chunk, got, e);
    }
    return r;
}

int draft_label(struct draft *d, int split, int32_t label, struct err *e)
{
    struct labels *l = &d->label[split];

    if (l->count == l->capacity) {
        size_t capacity = l->capacity + l->capacity / 2 + 1024;
        int32_t *grown = mem_grow(l->value, capacity, sizeof *grown);
        if (grown == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu labels", capacity);
        l->value = grown;
        l->capacity = capacity;
    }
    l->value[l->count++] = label;
    return 0;
}

static struct draft_place label_find(const struct draft *d, int32_t label)
{
    for (int k = 0; k < SPLITS; k++)
        for (size_t i = 0; i < d->label[k].count; i++)
            if (d->label[k].value[i] == label)
                return (struct draft_place){ k, i };
    return (struct draft_place){ 0 };
}

int draft_classes(struct draft *d, struct draft_place *bad, struct err *e)
{
    bool *seen = mem_array(DRAFT_LABEL_MAX + 1, sizeof *seen);
    int distinct = 0, largest = 0;

    if (seen == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int k = 0; k < SPLITS; k++)
        for (size_t i = 0; i < d->label[k].count; i++)
            seen[d->label[k].value[i]] = true;
    for (int v = 0; v <= DRAFT_LABEL_MAX; v++)
        if (seen[v]) {
            distinct++;
            largest = v;
        }
    free(seen);
    d->dataset->classes = largest + 1;
    if (largest < 10 || largest <= distinct)
        return 0;
    *bad = label_find(d, largest);
    return err_set(e, ERR_INVALID, "label %d is out of range: only %d different labels occur", largest,
                   distinct);
}

int draft_recolour(struct draft *d, int split, size_t plane, struct err *e)
{
    struct store *s = &d->pixel[split];
    const size_t bytes = s->length;
    uint8_t *gray;
    size_t mapped;
    int r = store_take(s, &gray, &mapped, e);

    d->budget.total -= bytes;
    if (r == 0 && d->budget.room.sizes_only)
        return store_append(s, NULL, 3 * bytes, e);
    for (size_t i = 0, rested = 0; i < bytes; i += plane) {
        for (int c = 0; c < 3 && r == 0; c++)
            r = store_append(s, gray + i, plane, e);
        if (i - rested < REST_EVERY)
            continue;
        store_rest(gray, mapped);
        rested = i;
    }
    store_release(gray, mapped);
    return r;
}

static int finish_split(struct draft *d, int k, struct err *e)
{
    struct split *s = &d->dataset->split[k];
    struct labels *l = &d->label[k];
    const size_t sample = (size_t)d->dataset->channels * d->dataset->height * d->dataset->width;

    if (d->pixel[k].length != l->count * sample)
        return err_set(e, ERR_INVALID, "%zu bytes of pixels for %zu labels", d->pixel[k].length, l->count);
    int r = store_take(&d->pixel[k], &s->pixel, &s->mapped, e);
    if (r < 0)
        return r;
    s->count = (int64_t)l->count;
    s->label = l->value;
    *l = (struct labels){ 0 };
    return 0;
}

int draft_finish(struct draft *d, struct dataset **out, struct err *e)
{
    int r = 0;

    for (int k = 0; k < SPLITS && r == 0; k++)
        r = finish_split(d, k, e);
    if (r < 0)
        return r;
    *out = d->dataset;
    d->dataset = NULL;
    return 0;
}
