/* idx.c - MNIST's format: one file of images and one of labels for each split, big-endian headers.
 *
 *     images: u32 magic 2051, u32 count, u32 height, u32 width, then count*height*width bytes
 *     labels: u32 magic 2049, u32 count, then count bytes
 *
 * The magic tells images from labels, the name tells train from test. */
#include "base/mem.h"
#include "worker/data/list.h"
#include "worker/data/pairs.h"

enum { IMAGES_MAGIC = 2051, LABELS_MAGIC = 2049, IMAGES_HEADER = 16, LABELS_HEADER = 8 };

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

static int take_images(struct draft *d, int split, struct pair *x, struct source *in, struct err *e)
{
    uint8_t header[IMAGES_HEADER];
    uint64_t copied;
    size_t more;
    int r = source_need(in, header, sizeof header, "the header", e);

    if (r < 0)
        return r;
    uint32_t count = read_u32(header + 4), height = read_u32(header + 8), width = read_u32(header + 12);
    if (height < 1 || width < 1 || height > DRAFT_SIDE_MAX || width > DRAFT_SIDE_MAX) {
        err_set(e, ERR_CORRUPT, "the header claims images of %ux%u pixels; 1 to %d a side are possible",
                height, width, DRAFT_SIDE_MAX);
        return source_at(in, 8, e);
    }
    const uint64_t bytes = (uint64_t)count * height * width; /* < 2^56 */
    r = draft_copy(d, split, in, bytes, &copied, e);
    if (r == 0)
        r = source_skip(in, &more, e);
    if (r < 0)
        return r;
    if (count < 1 || copied + more != bytes) {
        err_set(e, ERR_CORRUPT, "the header claims %u images of %ux%u pixels, %llu bytes, but %llu follow",
                count, height, width, (unsigned long long)bytes, (unsigned long long)(copied + more));
        return source_at(in, 4, e);
    }
    x->images = count;
    x->channels = 1;
    x->height = (int)height;
    x->width = (int)width;
    x->shape_offset = 8;
    return 0;
}

static int take_labels(struct draft *d, int split, struct pair *x, struct source *in, struct err *e)
{
    uint8_t chunk[4096];
    uint64_t taken = 0;
    size_t got = 1;
    int r = source_need(in, chunk, LABELS_HEADER, "the header", e);

    const uint32_t count = r == 0 ? read_u32(chunk + 4) : 0;
    while (r == 0 && got > 0) {
        r = source_read(in, chunk, sizeof chunk, &got, e);
        for (size_t i = 0; r == 0 && i < got && taken + i < count; i++)
            r = draft_label(d, split, chunk[i], e);
        taken += r == 0 ? got : 0;
    }
    if (r < 0)
        return r;
    if (count < 1 || taken != count) {
        err_set(e, ERR_CORRUPT, "the header claims %u labels, but %llu bytes follow", count,
                (unsigned long long)taken);
        return source_at(in, 4, e);
    }
    x->labels = count;
    x->count_offset = 4;
    x->label_offset = LABELS_HEADER;
    x->label_size = 1;
    return 0;
}

static int fail_magic(const struct source *in, struct err *e)
{
    const uint8_t *head = in->head;

    if (in->head_length < 4)
        err_set(e, ERR_CORRUPT, "'%s' is too short for an IDX file", in->shown);
    else if (head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e && head[3] >= 1)
        err_set(e, ERR_UNSUPPORTED,
                "'%s' is IDX with magic %u: only %d (images of bytes) and %d (labels) are read", in->shown,
                read_u32(head), IMAGES_MAGIC, LABELS_MAGIC);
    else
        err_set(e, ERR_CORRUPT,
                "'%s' is not an IDX file: its magic is 0x%08x, not %d or %d; it looks like %s", in->shown,
                read_u32(head), IMAGES_MAGIC, LABELS_MAGIC, member_kind(head, in->head_length));
    return source_at(in, 0, e);
}

static int idx_member(struct draft *d, struct source *in, struct err *e)
{
    const uint32_t magic = in->head_length >= 4 ? read_u32(in->head) : 0;
    const bool images = magic == IMAGES_MAGIC;
    int split = member_split(in->member);

    if (d->state == NULL && (d->state = mem_alloc(sizeof(struct pairs))) == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (magic != IMAGES_MAGIC && magic != LABELS_MAGIC)
        return fail_magic(in, e);
    if (split < 0) /* says nothing: a set to evaluate on */
        split = SPLIT_TEST;
    struct pairs *p = d->state;
    int r = pairs_claim(p, split, images, in, e);
    if (r < 0)
        return r;
    return images ? take_images(d, split, &p->split[split], in, e)
                  : take_labels(d, split, &p->split[split], in, e);
}

static int idx_finish(struct draft *d, struct err *e)
{
    struct pairs none = { 0 }, *p = d->state != NULL ? d->state : &none;

    p->labels_like = "...-labels-idx1-ubyte";
    p->images_like = "...-images-idx3-ubyte";
    return pairs_finish(p, d, e);
}

const struct dataset_format dataset_format_idx = {
    .name = "idx",
    .title = "IDX (MNIST): images and labels, big-endian",
    .probe = idx_probe,
    .member = idx_member,
    .finish = idx_finish,
};
