#include "worker/data/imageset.h"

#include "base/mem.h"
#include "worker/data/archive.h"
#include "worker/data/picture.h"

#include <stdlib.h>
#include <string.h>

struct load {
    struct imageset *set;
    struct budget budget;
    struct store pixel[SPLITS];
    int64_t capacity[SPLITS];
    int seen;
    char first[MEMBER_SHOWN]; /* the first member that is no image */
    const char *first_kind;
};

static int load_want(void *cookie, const struct source *s, struct err *e)
{
    struct load *l = cookie;

    (void)e;
    l->seen++;
    if (s->bare || picture_probe(s->member, s->head, s->head_length) != PICTURE_NO)
        return 1;
    if (l->first_kind == NULL) {
        memcpy(l->first, s->shown, sizeof l->first);
        l->first_kind = member_kind(s->head, s->head_length);
    }
    return 0;
}

static int item_add(struct load *l, int split, const char *name, const struct image *image, struct err *e)
{
    struct imageset_split *s = &l->set->split[split];

    if (s->count == l->capacity[split]) {
        const int64_t capacity = s->count + s->count / 2 + 64;
        struct imageset_item *grown = mem_grow(s->item, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        s->item = grown;
        l->capacity[split] = capacity;
    }
    char *copy = mem_strdup(name);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    struct imageset_item *item = &s->item[s->count++];
    *item = (struct imageset_item){ .name = copy, .image = *image, .at = l->pixel[split].length };
    item->image.pixel = NULL;
    return store_append(&l->pixel[split], image->pixel, image_bytes(image), e);
}

static int load_take(void *cookie, struct source *in, struct err *e)
{
    struct load *l = cookie;
    const char *below;
    const int folder = member_split_folder(in->member, &below), split = folder < 0 ? SPLIT_TEST : folder;
    struct image image;
    int r = picture_read(in, l->budget.room.limit - l->budget.total, &image, e);

    if (r == 0)
        r = item_add(l, split, strncmp(below, "./", 2) == 0 ? below + 2 : below, &image, e);
    image_free(&image);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct imageset_item *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int finish_split(struct load *l, int k, struct err *e)
{
    struct imageset_split *s = &l->set->split[k];
    int r = store_take(&l->pixel[k], &s->pixel, &s->mapped, e);

    if (r < 0 || s->count == 0)
        return r;
    for (int64_t i = 0; i < s->count; i++)
        s->item[i].image.pixel = s->pixel != NULL ? s->pixel + s->item[i].at : NULL;
    qsort(s->item, (size_t)s->count, sizeof *s->item, by_name);
    return 0;
}

static int load_nothing(const struct load *l, struct err *e)
{
    if (l->seen == 0)
        return err_set(e, ERR_INVALID, "the archive has no files");
    return err_set(e, ERR_INVALID, "there is no PNG or BMP image: '%s' looks like %s", l->first,
                   l->first_kind);
}

int imageset_read(const char *path, const struct room *room, struct imageset **out, struct err *e)
{
    struct load l = { .set = mem_alloc(sizeof *l.set), .budget.room = *room };
    const struct archive_visitor visitor = { .cookie = &l, .want = load_want, .take = load_take };

    *out = NULL;
    if (l.set == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int k = 0; k < SPLITS; k++)
        store_init(&l.pixel[k], &l.budget);
    int r = archive_walk(path, room->limit, &visitor, e);
    if (r == 0 && l.set->split[SPLIT_TRAIN].count + l.set->split[SPLIT_TEST].count == 0)
        r = load_nothing(&l, e);
    for (int k = 0; k < SPLITS; k++) {
        if (r == 0)
            r = finish_split(&l, k, e);
        store_free(&l.pixel[k]);
    }
    if (r < 0)
        imageset_free(l.set);
    else
        *out = l.set;
    return r;
}

int imageset_load(const char *path, size_t limit, struct imageset **set, struct err *e)
{
    const struct room room = { .limit = limit };

    return imageset_read(path, &room, set, e);
}

void imageset_free(struct imageset *set)
{
    for (int k = 0; set != NULL && k < SPLITS; k++) {
        struct imageset_split *s = &set->split[k];
        for (int64_t i = 0; i < s->count; i++)
            free(s->item[i].name);
        free(s->item);
        store_release(s->pixel, s->mapped);
    }
    free(set);
}
