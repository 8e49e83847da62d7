/* cifar.c - CIFAR-10's "binary version": records of one label byte and 3 * 32 * 32 pixel bytes (red, green
 * and blue plane, row-major), any number of files a split, in the order of the archive. */
#include "worker/data/draft.h"
#include "worker/data/list.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, RECORD = 1 + PIXELS, CLASSES = 10, RECORD_100 = 2 + PIXELS };

static int cifar_probe(const char *member, const uint8_t *head, size_t length)
{
    const char *base = member_base(member);

    if (!member_has(base, ".bin"))
        return 0;
    if (member_has(base, "_batch"))
        return 90;
    return length > 0 && head[0] < CLASSES ? 20 : 0;
}

/* What is wrong with a file of so many bytes; bad: the first record whose label is none, -1: all are. */
static int fail_records(const struct source *in, size_t length, int64_t bad, int label, struct err *e)
{
    const size_t whole = length / RECORD;
    const char *kind = member_kind(in->head, in->head_length);

    if (length % RECORD != 0) {
        if (length % RECORD_100 == 0)
            err_set(e, ERR_UNSUPPORTED, "'%s' has the record size of CIFAR-100, which is not read",
                    in->shown);
        else
            err_set(e, ERR_CORRUPT,
                    "'%s' is not CIFAR-10: %zu records of %d bytes and %zu bytes more; it looks like %s",
                    in->shown, whole, RECORD, length % RECORD, kind);
        return source_at(in, whole * RECORD, e);
    }
    if (bad >= 0) {
        err_set(e, ERR_INVALID, "label %d is out of range 0..%d; the file looks like %s", label, CLASSES - 1,
                kind);
        return source_at(in, (size_t)bad * RECORD, e);
    }
    err_set(e, ERR_INVALID, "'%s' is empty", in->shown);
    return source_at(in, 0, e);
}

static int cifar_member(struct draft *d, struct source *in, struct err *e)
{
    const bool train =
        member_split(in->member) == SPLIT_TRAIN || member_has(member_base(in->member), "data_batch");
    const int split = train ? SPLIT_TRAIN : SPLIT_TEST;
    uint8_t record[RECORD];
    size_t got = RECORD;
    int r = 0;

    for (int64_t i = 0; got == RECORD; i++) {
        r = source_read(in, record, RECORD, &got, e);
        if (r < 0)
            return r;
        if (got == RECORD && record[0] >= CLASSES) {
            r = source_skip(in, NULL, e);
            return r < 0 ? r : fail_records(in, in->offset, i, record[0], e);
        }
        if (got == RECORD)
            r = draft_label(d, split, record[0], e);
        if (got == RECORD && r == 0)
            r = draft_pixels(d, split, record + 1, PIXELS, e);
        if (r < 0)
            return r;
    }
    return got == 0 && in->offset > 0 ? 0 : fail_records(in, in->offset, -1, 0, e);
}

static int cifar_finish(struct draft *d, struct err *e)
{
    if (d->label[SPLIT_TRAIN].count + d->label[SPLIT_TEST].count == 0)
        return err_set(e, ERR_INVALID, "no CIFAR-10 records in the file");
    d->dataset->channels = 3;
    d->dataset->height = d->dataset->width = SIDE;
    d->dataset->classes = CLASSES;
    return 0;
}

const struct dataset_format dataset_format_cifar = {
    .name = "cifar",
    .title = "CIFAR-10, binary version: data_batch_*.bin, test_batch.bin",
    .probe = cifar_probe,
    .member = cifar_member,
    .finish = cifar_finish,
};
