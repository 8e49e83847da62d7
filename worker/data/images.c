/* images.c - folders of PNG and BMP: the folder that an image lies in is its class.
 *
 *     [any/]train/CLASS/[any/]NAME.png   [any/]test/CLASS/...   or, without train and test,
 * [any/]CLASS/NAME.png
 *
 * Classes are the names sorted by their bytes, those of both splits together. All images have one size. When
 * some are gray and some are in colour, the gray ones become red = green = blue. */
#include "base/mem.h"
#include "worker/data/draft.h"
#include "worker/data/list.h"
#include "worker/data/picture.h"

#include <stdlib.h>
#include <string.h>

struct class
{
    char *name;     /* owned */
    int32_t number; /* of its first image, in order of appearance: what the labels say until the end */
};

struct images {
    struct class *class;             /* owned */
    int32_t classes, capacity, last; /* last: the class of the image before */
    int channels, height, width;     /* 0: no image yet */
    char first[MEMBER_SHOWN];        /* the image that decided the size */
    uint8_t *planes;                 /* owned: one image as [C][H][W] */
};

static int images_probe(const char *member, const uint8_t *head, size_t length)
{
    switch (picture_probe(member, head, length)) {
    case PICTURE_YES: /* at the top it may be a picture that somebody put beside the data */
        return member_base(member) != member ? 60 : DATASET_SURE + 5;
    case PICTURE_OTHER:
        return DATASET_SURE - 5;
    default:
        return 0;
    }
}

/* --- classes --- */

/* The folder that names the class, as a piece of the member's name; false when there is none. */
static bool folder_of(const char *member, int *split, const char **folder, size_t *length)
{
    const char *below;

    *split = member_split_folder(member, &below);
    const char *base = member_base(below);
    if (base == below)
        return false;
    *folder = below;
    *length = strcspn(below, "/\\");
    if (*split >= 0)
        return true;
    *split = SPLIT_TEST;
    for (const char *p = below; p < base; p += strspn(p, "/\\")) { /* the last folder */
        *folder = p;
        *length = strcspn(p, "/\\");
        p += *length;
    }
    return *length != 1 || **folder != '.'; /* "./a.png" is in no folder */
}

static bool same_name(const struct class *c, const char *name, size_t length)
{
    return strncmp(c->name, name, length) == 0 && c->name[length] == '\0';
}

static int class_add(struct images *s, const char *name, size_t length, struct err *e)
{
    if (s->classes > DRAFT_LABEL_MAX)
        return err_set(e, ERR_TOO_LARGE, "more than %d class folders", DRAFT_LABEL_MAX + 1);
    if (s->classes == s->capacity) {
        const int32_t capacity = s->capacity + s->capacity / 2 + 16;
        struct class *grown = mem_grow(s->class, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        s->class = grown;
        s->capacity = capacity;
    }
    char *copy = mem_alloc(length + 1);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(copy, name, length);
    s->class[s->classes] = (struct class){ copy, s->classes };
    s->last = s->classes++;
    return 0;
}

/* Images of a class mostly follow each other. */
static int class_find(struct images *s, const char *name, size_t length, struct err *e)
{
    if (s->classes > 0 && same_name(&s->class[s->last], name, length))
        return 0;
    for (int32_t i = 0; i < s->classes; i++)
        if (same_name(&s->class[i], name, length)) {
            s->last = i;
            return 0;
        }
    return class_add(s, name, length, e);
}

/* --- pixels --- */

static int size_first(struct images *s, const struct image *image, const struct source *in, struct err *e)
{
    if (image->width > DRAFT_SIDE_MAX || image->height > DRAFT_SIDE_MAX) {
        err_set(e, ERR_INVALID, "'%s' has %dx%d pixels; 1 to %d a side are possible", in->shown, image->width,
                image->height, DRAFT_SIDE_MAX);
        return source_at(in, 0, e);
    }
    s->channels = image->channels;
    s->width = image->width;
    s->height = image->height;
    memcpy(s->first, in->shown, sizeof s->first);
    s->planes = mem_array((size_t)s->width * s->height, 3);
    return s->planes != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int size_check(struct draft *d, struct images *s, const struct image *image, const struct source *in,
                      struct err *e)
{
    int r = 0;

    if (s->channels == 0)
        return size_first(s, image, in, e);
    if (image->width != s->width || image->height != s->height) {
        err_set(e, ERR_INVALID, "'%s' has %dx%d pixels, '%s' has %dx%d: to classify, all must have one size",
                s->first, s->width, s->height, in->shown, image->width, image->height);
        return source_at(in, 0, e);
    }
    if (image->channels <= s->channels)
        return 0;
    for (int k = 0; k < SPLITS && r == 0; k++)
        r = draft_recolour(d, k, (size_t)s->width * s->height, e);
    s->channels = image->channels;
    return r;
}

static void to_planes(const struct image *image, int channels, uint8_t *planes)
{
    const size_t plane = (size_t)image->width * image->height;

    for (int c = 0; c < channels; c++) {
        const uint8_t *from = image->pixel + (image->channels == 1 ? 0 : c);
        for (size_t i = 0; i < plane; i++)
            *planes++ = from[i * image->channels];
    }
}

static int images_member(struct draft *d, struct source *in, struct err *e)
{
    struct images *s = d->state;
    const char *folder = "";
    struct image image;
    size_t length = 0;
    int split;

    if (s == NULL && (s = d->state = mem_alloc(sizeof *s)) == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (!folder_of(in->member, &split, &folder, &length)) {
        err_set(e, ERR_INVALID, "'%s' is in no folder that would name its class", in->shown);
        return source_at(in, 0, e);
    }
    int r = picture_read(in, d->budget.room.limit - d->budget.total, &image, e);
    if (r == 0)
        r = size_check(d, s, &image, in, e);
    if (r == 0)
        r = class_find(s, folder, length, e);
    if (r == 0)
        r = draft_label(d, split, s->class[s->last].number, e);
    if (r == 0) {
        to_planes(&image, s->channels, s->planes);
        r = draft_pixels(d, split, s->planes, (size_t)s->channels * s->width * s->height, e);
    }
    image_free(&image);
    return r;
}

/* --- the end --- */

static int by_name(const void *a, const void *b)
{
    const struct class *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* Numbers in order of appearance become positions in the sorted list. */
static int relabel(struct draft *d, const struct images *s, struct err *e)
{
    int32_t *place = mem_array((size_t)s->classes, sizeof *place);

    if (place == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int32_t i = 0; i < s->classes; i++)
        place[s->class[i].number] = i;
    for (int k = 0; k < SPLITS; k++)
        for (size_t i = 0; i < d->label[k].count; i++)
            d->label[k].value[i] = place[d->label[k].value[i]];
    free(place);
    return 0;
}

static int images_finish(struct draft *d, struct err *e)
{
    struct images *s = d->state;

    if (s == NULL || s->classes == 0)
        return err_set(e, ERR_INVALID, "no images in the archive");
    qsort(s->class, (size_t)s->classes, sizeof *s->class, by_name);
    int r = relabel(d, s, e);
    d->dataset->class_name = r == 0 ? mem_array((size_t)s->classes, sizeof *d->dataset->class_name) : NULL;
    if (d->dataset->class_name == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    d->dataset->channels = s->channels;
    d->dataset->height = s->height;
    d->dataset->width = s->width;
    d->dataset->classes = s->classes;
    for (int32_t i = 0; i < s->classes; i++) {
        d->dataset->class_name[i] = s->class[i].name;
        s->class[i].name = NULL;
    }
    return 0;
}

static void images_drop(void *state)
{
    struct images *s = state;

    if (s == NULL)
        return;
    for (int32_t i = 0; i < s->classes; i++)
        free(s->class[i].name);
    free(s->class);
    free(s->planes);
    free(s);
}

const struct dataset_format dataset_format_images = {
    .name = "images",
    .title = "Folders of PNG or BMP images, one folder a class",
    .probe = images_probe,
    .member = images_member,
    .finish = images_finish,
    .drop = images_drop,
};
