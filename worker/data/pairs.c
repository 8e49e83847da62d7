#include "worker/data/pairs.h"

#include <string.h>

const char *const split_text[SPLITS] = { "training", "test" };

int pairs_claim(struct pairs *p, int split, bool images, const struct source *in, struct err *e)
{
    struct pair *x = &p->split[split];
    char *member = images ? x->image_member : x->label_member;

    if (*member == '\0') {
        memcpy(member, in->shown, MEMBER_SHOWN);
        return 0;
    }
    err_set(e, ERR_INVALID, "there are two files of %s %s, '%s' and one more", split_text[split],
            images ? "images" : "labels", member);
    return source_at(in, 0, e);
}

static int check_pair(const struct pairs *p, int k, struct err *e)
{
    const struct pair *x = &p->split[k];

    if (x->images > 0 && x->labels == 0) {
        err_set(e, ERR_INVALID, "the %s labels are missing: a file like %s", split_text[k], p->labels_like);
        return err_at(e, "%s", x->image_member);
    }
    if (x->labels > 0 && x->images == 0) {
        err_set(e, ERR_INVALID, "the %s images are missing: a file like %s", split_text[k], p->images_like);
        return err_at(e, "%s", x->label_member);
    }
    if (x->images == x->labels)
        return 0;
    err_set(e, ERR_CORRUPT, "%lld %s images, but %lld labels", (long long)x->images, split_text[k],
            (long long)x->labels);
    return err_at(e, "%s offset %zu", x->label_member, x->count_offset);
}

static int check_shapes(const struct pairs *p, struct err *e)
{
    const struct pair *train = &p->split[SPLIT_TRAIN], *test = &p->split[SPLIT_TEST];

    if (train->images == 0 && test->images == 0)
        return err_set(e, ERR_INVALID, "no images and labels in the file");
    if (train->images == 0 || test->images == 0)
        return 0;
    if (train->channels == test->channels && train->height == test->height && train->width == test->width)
        return 0;
    if (train->channels != test->channels)
        err_set(e, ERR_INVALID, "training images have %d channels, test images %d", train->channels,
                test->channels);
    else
        err_set(e, ERR_INVALID, "training images have %dx%d pixels, test images %dx%d", train->height,
                train->width, test->height, test->width);
    return err_at(e, "%s offset %zu", test->image_member, test->shape_offset);
}

int pairs_finish(const struct pairs *p, struct draft *d, struct err *e)
{
    const struct pair *any = &p->split[p->split[SPLIT_TRAIN].images > 0 ? SPLIT_TRAIN : SPLIT_TEST];
    struct draft_place bad;
    int r = 0;

    for (int k = 0; k < SPLITS && r == 0; k++)
        r = check_pair(p, k, e);
    if (r == 0)
        r = check_shapes(p, e);
    if (r < 0)
        return r;
    d->dataset->channels = any->channels;
    d->dataset->height = any->height;
    d->dataset->width = any->width;
    r = draft_classes(d, &bad, e);
    if (r == ERR_INVALID) {
        const struct pair *x = &p->split[bad.split];
        err_at(e, "%s offset %zu", x->label_member, x->label_offset + bad.index * x->label_size);
    }
    return r;
}
