/* idx.c - MNIST's format: one file of images and one of labels for each split, big-endian headers.
 *
 *     images: u32 magic 2051, u32 count, u32 height, u32 width, then count*height*width bytes
 *     labels: u32 magic 2049, u32 count, then count bytes
 *
 * The magic tells images from labels, the name tells train from test. */
#include "base/mem.h"
#include "worker/data/list.h"
#include "worker/data/member.h"

#include <stdlib.h>

enum { IMAGES_MAGIC = 2051, LABELS_MAGIC = 2049, IMAGES_HEADER = 16, LABELS_HEADER = 8, SIDE_MAX = 4096 };

/* What is kept until all members are seen. */
struct idx {
    struct idx_split {
        int64_t images, labels; /* counts; 0: no such file yet */
        uint32_t height, width;
        char image_member[MEMBER_SHOWN], label_member[MEMBER_SHOWN];
    } split[SPLITS];
};

static const char *const split_text[SPLITS] = { "training", "test" };

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int idx_probe(const char *member, const uint8_t *head, size_t length)
{
    const char *base = member_base(member);

    if (length >= 4 && (read_u32(head) == IMAGES_MAGIC || read_u32(head) == LABELS_MAGIC))
        return 100;
    /* Named like one: worth an error that says what is wrong with it. */
    return member_has(base, "idx3") || member_has(base, "idx1") ? 50 : 0;
}

static int take_images(struct split *s, struct idx_split *x, const uint8_t *data, size_t length,
                       struct err *e)
{
    if (length < IMAGES_HEADER) {
        err_set(e, ERR_CORRUPT, "the file ends inside the header, which is %d bytes long", IMAGES_HEADER);
        return err_at(e, "%s offset %zu", x->image_member, length);
    }
    uint32_t count = read_u32(data + 4), height = read_u32(data + 8), width = read_u32(data + 12);
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX) {
        err_set(e, ERR_CORRUPT, "the header claims images of %ux%u pixels; 1 to %d a side are possible",
                height, width, SIDE_MAX);
        return err_at(e, "%s offset 8", x->image_member);
    }
    uint64_t bytes = (uint64_t)count * height * width; /* < 2^56 */
    if (count < 1 || bytes != length - IMAGES_HEADER) {
        err_set(e, ERR_CORRUPT, "the header claims %u images of %ux%u pixels, %llu bytes, but %zu follow",
                count, height, width, (unsigned long long)bytes, length - IMAGES_HEADER);
        return err_at(e, "%s offset 4", x->image_member);
    }
    s->pixel = mem_alloc(bytes);
    if (s->pixel == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %llu bytes of images", (unsigned long long)bytes);
    memcpy(s->pixel, data + IMAGES_HEADER, bytes);
    x->images = count;
    x->height = height;
    x->width = width;
    return 0;
}

static int take_labels(struct split *s, struct idx_split *x, const uint8_t *data, size_t length,
                       struct err *e)
{
    if (length < LABELS_HEADER) {
        err_set(e, ERR_CORRUPT, "the file ends inside the header, which is %d bytes long", LABELS_HEADER);
        return err_at(e, "%s offset %zu", x->label_member, length);
    }
    uint32_t count = read_u32(data + 4);
    if (count < 1 || count != length - LABELS_HEADER) {
        err_set(e, ERR_CORRUPT, "the header claims %u labels, but %zu bytes follow", count,
                length - LABELS_HEADER);
        return err_at(e, "%s offset 4", x->label_member);
    }
    s->label = mem_array(count, sizeof *s->label);
    if (s->label == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %u labels", count);
    for (uint32_t i = 0; i < count; i++)
        s->label[i] = data[LABELS_HEADER + i];
    x->labels = count;
    return 0;
}

static int fail_magic(const char *member, const uint8_t *data, size_t length, struct err *e)
{
    char shown[MEMBER_SHOWN];

    member_show(member, shown);
    if (length < 4)
        err_set(e, ERR_CORRUPT, "'%s' is too short for an IDX file", shown);
    else if (data[0] == 0 && data[1] == 0 && data[2] >= 0x08 && data[2] <= 0x0e && data[3] >= 1)
        err_set(e, ERR_UNSUPPORTED,
                "'%s' is IDX with magic %u: only %d (images of bytes) and %d (labels) are read", shown,
                read_u32(data), IMAGES_MAGIC, LABELS_MAGIC);
    else
        err_set(e, ERR_CORRUPT,
                "'%s' is not an IDX file: its magic is 0x%08x, not %d or %d; it looks like %s", shown,
                read_u32(data), IMAGES_MAGIC, LABELS_MAGIC, member_kind(data, length));
    return err_at(e, "%s offset 0", shown);
}

static int idx_member(struct dataset *d, void **state, const char *member, const uint8_t *data, size_t length,
                      struct err *e)
{
    struct idx *idx = *state != NULL ? *state : mem_alloc(sizeof *idx);
    int split = member_split(member);
    uint32_t magic = length >= 4 ? read_u32(data) : 0;

    *state = idx;
    if (idx == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (magic != IMAGES_MAGIC && magic != LABELS_MAGIC)
        return fail_magic(member, data, length, e);
    if (split < 0) /* says nothing: a set to evaluate on */
        split = SPLIT_TEST;

    struct idx_split *x = &idx->split[split];
    bool images = magic == IMAGES_MAGIC;
    char *shown = images ? x->image_member : x->label_member;
    if ((images ? x->images : x->labels) > 0) {
        err_set(e, ERR_INVALID, "there are two files of %s %s, '%s' and one more", split_text[split],
                images ? "images" : "labels", shown);
        member_show(member, shown);
        return err_at(e, "%s offset 0", shown);
    }
    member_show(member, shown);
    return images ? take_images(&d->split[split], x, data, length, e)
                  : take_labels(&d->split[split], x, data, length, e);
}

static int check_split(struct split *s, const struct idx_split *x, const char *text, struct err *e)
{
    if (x->images > 0 && x->labels == 0) {
        err_set(e, ERR_INVALID, "the %s labels are missing: a file like ...-labels-idx1-ubyte", text);
        return err_at(e, "%s", x->image_member);
    }
    if (x->labels > 0 && x->images == 0) {
        err_set(e, ERR_INVALID, "the %s images are missing: a file like ...-images-idx3-ubyte", text);
        return err_at(e, "%s", x->label_member);
    }
    if (x->images != x->labels) {
        err_set(e, ERR_CORRUPT, "%lld %s images, but %lld labels", (long long)x->images, text,
                (long long)x->labels);
        return err_at(e, "%s offset 4", x->label_member);
    }
    s->count = x->images;
    return 0;
}

/* Up to ten classes any labels will do: a small set need not have them all. More are believed only when
 * nearly all of them occur, so that a damaged byte is found and does not become class 200. */
static int count_classes(struct dataset *d, const struct idx *idx, struct err *e)
{
    bool seen[256] = { false };
    int distinct = 0, largest = 0;

    for (int k = 0; k < SPLITS; k++)
        for (int64_t i = 0; i < d->split[k].count; i++)
            seen[d->split[k].label[i]] = true;
    for (int v = 0; v < 256; v++)
        if (seen[v]) {
            distinct++;
            largest = v;
        }
    d->classes = largest + 1;
    if (largest < 10 || largest <= distinct)
        return 0;
    for (int k = 0; k < SPLITS; k++)
        for (int64_t i = 0; i < d->split[k].count; i++)
            if (d->split[k].label[i] == largest) {
                err_set(e, ERR_INVALID, "label %d is out of range: only %d different labels occur", largest,
                        distinct);
                return err_at(e, "%s offset %lld", idx->split[k].label_member, (long long)i + LABELS_HEADER);
            }
    return err_set(e, ERR_INTERNAL, "a label was seen and is gone");
}

static int check_shapes(struct dataset *d, const struct idx *idx, struct err *e)
{
    const struct idx_split *train = &idx->split[SPLIT_TRAIN], *test = &idx->split[SPLIT_TEST];
    const struct idx_split *x = train->images > 0 ? train : test;

    if (x->images == 0)
        return err_set(e, ERR_INVALID, "no IDX images and labels in the file");
    if (train->images > 0 && test->images > 0 &&
        (train->height != test->height || train->width != test->width)) {
        err_set(e, ERR_INVALID, "training images have %ux%u pixels, test images %ux%u", train->height,
                train->width, test->height, test->width);
        return err_at(e, "%s offset 8", test->image_member);
    }
    d->channels = 1;
    d->height = (int)x->height;
    d->width = (int)x->width;
    return 0;
}

static int idx_finish(struct dataset *d, void **state, struct err *e)
{
    static const struct idx none;
    const struct idx *idx = *state != NULL ? *state : &none;
    int r = 0;

    for (int k = 0; d != NULL && k < SPLITS && r == 0; k++)
        r = check_split(&d->split[k], &idx->split[k], split_text[k], e);
    if (d != NULL && r == 0)
        r = check_shapes(d, idx, e);
    if (d != NULL && r == 0)
        r = count_classes(d, idx, e);
    free(*state);
    *state = NULL;
    return r;
}

const struct dataset_format dataset_format_idx = {
    .name = "idx",
    .title = "IDX (MNIST): images and labels, big-endian",
    .probe = idx_probe,
    .member = idx_member,
    .finish = idx_finish,
};
