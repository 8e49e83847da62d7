/* npy.c - NumPy arrays, in an .npz (a zip) or any other archive: images in one, labels in another.
 *
 * Which is which the words of the name tell: x, image(s), data against y, label(s), target(s); train or test
 * as everywhere; val, valid and extra are passed over, and so is every other name. Images are uint8
 * [N][H][W], [N][C][H][W] or [N][H][W][C] with C 1 or 3; labels are integers [N] or [N][1]. Floats are taken
 * where they are bytes in disguise: all values k/255, or all values k, to within their own rounding. */
#include "base/mem.h"
#include "worker/data/list.h"
#include "worker/data/npy_header.h"
#include "worker/data/pairs.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { IMAGE_BYTES_MAX = 64 << 20 };

enum role { OTHER, IMAGES, LABELS };

/* --- names --- */

static bool word_is(const char *word, size_t length, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strlen(*list) == length && strncasecmp(word, *list, length) == 0)
            return true;
    return false;
}

static enum role role_of(const char *member)
{
    static const char *const images[] = { "x", "image", "images", "img", "imgs", "data", NULL };
    static const char *const labels[] = { "y", "label", "labels", "target", "targets", NULL };
    static const char *const others[] = { "val", "valid", "validation", "extra", NULL };
    enum role role = OTHER;

    for (const char *p = member_base(member); *p != '\0';) {
        size_t length = 0;
        while (isalpha((unsigned char)p[length]))
            length++;
        if (word_is(p, length, others))
            return OTHER;
        if (role == OTHER)
            role = word_is(p, length, images) ? IMAGES : word_is(p, length, labels) ? LABELS : OTHER;
        p += length + (p[length] != '\0');
    }
    return role;
}

static int npy_format_probe(const char *member, const uint8_t *head, size_t length)
{
    const bool named = member_has(member_base(member), ".npy");

    if (role_of(member) == OTHER)
        return 0;
    return npy_probe(head, length) ? 90 : named ? 50 : 0;
}

/* --- images --- */

struct layout {
    int64_t count;
    int channels, height, width;
    bool interleaved;      /* [H][W][C] */
    size_t pixels, sample; /* values and bytes of an image */
};

static bool channels_ok(int64_t n)
{
    return n == 1 || n == 3;
}

static int find_layout(const struct npy_header *h, const struct source *in, struct layout *l, struct err *e)
{
    const int64_t *s = h->shape;
    const bool first = h->dims == 4 && channels_ok(s[1]), last = h->dims == 4 && channels_ok(s[3]);
    int64_t size[3] = { 1, s[1], s[2] }; /* channels, height, width */

    if (h->dims == 4 && first != last) {
        l->interleaved = last;
        memcpy(size, last ? (int64_t[]){ s[3], s[1], s[2] } : (int64_t[]){ s[1], s[2], s[3] }, sizeof size);
    } else if (h->dims != 3) {
        err_set(e, ERR_UNSUPPORTED,
                "'%s' has shape %s; images are (N, H, W), (N, C, H, W) or (N, H, W, C), and "
                "one of the two C axes alone may be 1 or 3",
                in->shown, h->shape_text);
        return source_at(in, 0, e);
    }
    for (int i = 1; i < 3; i++)
        if (size[i] < 1 || size[i] > DRAFT_SIDE_MAX) {
            err_set(e, ERR_INVALID, "'%s' has shape %s; images of 1 to %d pixels a side are possible",
                    in->shown, h->shape_text, DRAFT_SIDE_MAX);
            return source_at(in, 0, e);
        }
    l->count = s[0];
    l->channels = (int)size[0];
    l->height = (int)size[1];
    l->width = (int)size[2];
    l->pixels = (size_t)(size[0] * size[1] * size[2]);
    l->sample = l->pixels * (size_t)h->size;
    if (l->count >= 1 && l->sample <= IMAGE_BYTES_MAX)
        return 0;
    err_set(e, ERR_INVALID, "'%s' has shape %s: %s", in->shown, h->shape_text,
            l->count < 1 ? "there is nothing in it" : "an image takes more than 64 MiB");
    return source_at(in, 0, e);
}

static int check_images(const struct npy_header *h, const struct source *in, struct err *e)
{
    if (h->big)
        err_set(e, ERR_UNSUPPORTED, "'%s' is big-endian (%s): save it with .astype('uint8')", in->shown,
                h->type);
    else if (h->fortran)
        err_set(e, ERR_UNSUPPORTED, "'%s' is in Fortran order: save numpy.ascontiguousarray of it",
                in->shown);
    else if ((h->kind == 'u' && h->size == 1) || (h->kind == 'f' && (h->size == 4 || h->size == 8)))
        return 0;
    else
        err_set(e, ERR_UNSUPPORTED,
                "'%s' has elements of type %s; images are uint8: save it with "
                ".astype('uint8')",
                in->shown, h->type);
    return source_at(in, 0, e);
}

static double value_at(const uint8_t *raw, size_t i, int size)
{
    float f;
    double d;

    if (size == 8) {
        memcpy(&d, raw + 8 * i, sizeof d);
        return d;
    }
    memcpy(&f, raw + 4 * i, sizeof f);
    return (double)f;
}

/* Floats to bytes. *scale: 255 or 1 once an image has decided (a value other than 0 and 1), 0 before, when
 * bytes are written as for 255. Returns the index of the first value that is no byte, n when all are. */
static size_t convert(const uint8_t *raw, size_t n, int size, int *scale, uint8_t *to)
{
    for (size_t i = 0; i < n && *scale == 0; i++) {
        const double v = value_at(raw, i, size);
        if (v != 0 && v != 1)
            *scale = v > 1 ? 1 : 255;
    }
    const double factor = *scale == 1 ? 1 : 255;
    for (size_t i = 0; i < n; i++) {
        const double v = value_at(raw, i, size) * factor, byte = rint(v);
        if (!(byte >= 0 && byte <= 255 && fabs(v - byte) < 1e-4)) /* also NaN */
            return i;
        to[i] = (uint8_t)byte;
    }
    return n;
}

static void separate(const uint8_t *from, const struct layout *l, uint8_t *to)
{
    const size_t plane = (size_t)l->height * l->width;

    for (size_t i = 0; i < plane; i++)
        for (int c = 0; c < l->channels; c++)
            to[c * plane + i] = *from++;
}

/* Two buffers of an image each: as read, as bytes; planes go back into the first. */
struct work {
    uint8_t *raw, *bytes;
    int scale;
    bool undecided; /* images of 0 and 1 alone have been taken, as if the scale were 255 */
};

static int take_floats(const struct source *in, const struct npy_header *h, const struct layout *l,
                       struct work *w, struct err *e)
{
    const size_t bad = convert(w->raw, l->pixels, h->size, &w->scale, w->bytes);
    const size_t offset = in->offset - l->sample + bad * (size_t)h->size;

    if (bad < l->pixels) {
        err_set(e, ERR_UNSUPPORTED,
                "'%s' has the value %g, which is no byte%s: images are uint8, or floats that are k/255 or k",
                in->shown, value_at(w->raw, bad, h->size), w->scale == 255 ? " divided by 255" : "");
        return source_at(in, offset, e);
    }
    if (w->scale == 1 && w->undecided) {
        err_set(e, ERR_UNSUPPORTED,
                "'%s' begins with images of only 0 and 1 and goes on with values up to 255: save it as uint8",
                in->shown);
        return source_at(in, offset - l->sample, e);
    }
    w->undecided = w->undecided || w->scale == 0;
    return 0;
}

static int take_sample(struct draft *d, int split, const struct source *in, const struct npy_header *h,
                       const struct layout *l, struct work *w, struct err *e)
{
    uint8_t *bytes = w->raw, *other = w->bytes;

    if (h->kind == 'f') {
        int r = take_floats(in, h, l, w, e);
        if (r < 0)
            return r;
        bytes = w->bytes;
        other = w->raw;
    }
    if (l->interleaved && l->channels > 1) {
        separate(bytes, l, other);
        bytes = other;
    }
    return draft_pixels(d, split, bytes, l->pixels, e);
}

static int take_samples(struct draft *d, int split, struct source *in, const struct npy_header *h,
                        const struct layout *l, struct err *e)
{
    struct work w = { .raw = mem_alloc(l->sample), .bytes = mem_alloc(l->pixels) };
    const size_t start = in->offset;
    size_t got = l->sample;
    int r = w.raw != NULL && w.bytes != NULL ? 0 : err_set(e, ERR_NOMEM, "no memory for an image");

    for (int64_t i = 0; r == 0 && i < l->count && got == l->sample; i++) {
        r = source_read(in, w.raw, l->sample, &got, e);
        if (r == 0 && got == l->sample)
            r = take_sample(d, split, in, h, l, &w, e);
    }
    if (r == 0)
        r = source_skip(in, NULL, e);
    free(w.raw);
    free(w.bytes);
    const size_t follow = in->offset - start;
    if (r < 0 || (follow % l->sample == 0 && follow / l->sample == (size_t)l->count))
        return r;
    err_set(e, ERR_CORRUPT, "the header of '%s' claims shape %s, type %s, but %zu bytes follow", in->shown,
            h->shape_text, h->type, follow);
    return source_at(in, start, e);
}

static int take_images(struct draft *d, int split, struct pair *x, struct source *in, struct err *e)
{
    struct npy_header h;
    struct layout l = { 0 };
    int r = npy_header_read(in, &h, e);

    if (r == 0)
        r = check_images(&h, in, e);
    if (r == 0)
        r = find_layout(&h, in, &l, e);
    if (r == 0)
        r = take_samples(d, split, in, &h, &l, e);
    x->images = l.count;
    x->channels = l.channels;
    x->height = l.height;
    x->width = l.width;
    return r;
}

/* --- labels --- */

static int check_labels(const struct npy_header *h, const struct source *in, struct err *e)
{
    const bool column = h->dims == 2 && h->shape[1] == 1;

    if ((h->kind != 'i' && h->kind != 'u') || h->size > 8 || (h->size & (h->size - 1)) != 0)
        err_set(e, ERR_UNSUPPORTED, "'%s' has elements of type %s; labels are integers", in->shown, h->type);
    else if (h->big)
        err_set(e, ERR_UNSUPPORTED, "'%s' is big-endian (%s): save it with .astype('uint8')", in->shown,
                h->type);
    else if (h->dims != 1 && !column)
        err_set(e, ERR_UNSUPPORTED, "'%s' has shape %s; labels are (N,) or (N, 1)%s", in->shown,
                h->shape_text, h->dims == 2 ? ": of one-hot rows take the argmax" : "");
    else if (h->shape[0] < 1)
        err_set(e, ERR_INVALID, "'%s' has shape %s: there is nothing in it", in->shown, h->shape_text);
    else
        return 0;
    return source_at(in, 0, e);
}

/* Little-endian; negative numbers come out far above every label. */
static uint64_t label_at(const uint8_t *p, int size, bool is_signed)
{
    uint64_t v = 0;

    for (int i = size - 1; i >= 0; i--)
        v = v << 8 | p[i];
    if (is_signed && size < 8 && p[size - 1] >= 0x80)
        v |= UINT64_MAX << 8 * size;
    return v;
}

static int take_label(struct draft *d, int split, const struct source *in, const uint8_t *p,
                      const struct npy_header *h, size_t offset, struct err *e)
{
    const uint64_t v = label_at(p, h->size, h->kind == 'i');

    if (v <= DRAFT_LABEL_MAX)
        return draft_label(d, split, (int32_t)v, e);
    if (h->kind == 'i')
        err_set(e, ERR_INVALID, "label %lld is out of range 0..%d", (long long)v, DRAFT_LABEL_MAX);
    else
        err_set(e, ERR_INVALID, "label %llu is out of range 0..%d", (unsigned long long)v, DRAFT_LABEL_MAX);
    return source_at(in, offset, e);
}

static int take_labels(struct draft *d, int split, struct pair *x, struct source *in, struct err *e)
{
    struct npy_header h;
    uint8_t value[8];
    int r = npy_header_read(in, &h, e);

    if (r == 0)
        r = check_labels(&h, in, e);
    if (r < 0)
        return r;
    const size_t start = in->offset, size = (size_t)h.size;
    size_t got = size;
    int64_t taken = 0;
    for (; r == 0 && taken < h.shape[0]; taken += got == size) {
        r = source_read(in, value, size, &got, e);
        if (got < size)
            break;
        if (r == 0)
            r = take_label(d, split, in, value, &h, in->offset - size, e);
    }
    if (r == 0)
        r = source_skip(in, NULL, e);
    if (r < 0)
        return r;
    if (in->offset - start != (size_t)taken * size || taken != h.shape[0]) {
        err_set(e, ERR_CORRUPT, "the header of '%s' claims %lld labels of type %s, but %zu bytes follow",
                in->shown, (long long)h.shape[0], h.type, in->offset - start);
        return source_at(in, start, e);
    }
    x->labels = taken;
    x->label_offset = start;
    x->label_size = size;
    return 0;
}

/* --- the format --- */

static int npy_member(struct draft *d, struct source *in, struct err *e)
{
    const enum role role = role_of(in->member);
    const int named = member_split(in->member), split = named < 0 ? SPLIT_TEST : named;

    if (role == OTHER) { /* a bare file of this format, or nobody would have wanted it */
        err_set(e, ERR_INVALID,
                "'%s' is an array alone; images and labels come as x_test and y_test in an .npz", in->shown);
        return source_at(in, 0, e);
    }
    if (d->state == NULL && (d->state = mem_alloc(sizeof(struct pairs))) == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    struct pairs *p = d->state;
    int r = pairs_claim(p, split, role == IMAGES, in, e);
    if (r < 0)
        return r;
    return role == IMAGES ? take_images(d, split, &p->split[split], in, e)
                          : take_labels(d, split, &p->split[split], in, e);
}

static int npy_finish(struct draft *d, struct err *e)
{
    struct pairs none = { 0 }, *p = d->state != NULL ? d->state : &none;

    p->labels_like = "y_train.npy or labels.npy";
    p->images_like = "x_train.npy or images.npy";
    return pairs_finish(p, d, e);
}

const struct dataset_format dataset_format_npy = {
    .name = "npy",
    .title = "NumPy arrays (.npz or .npy): x_train, y_train, x_test, y_test",
    .probe = npy_format_probe,
    .member = npy_member,
    .finish = npy_finish,
};
