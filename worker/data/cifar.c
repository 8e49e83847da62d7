/* cifar.c - CIFAR-10's "binary version": records of one label byte and 3 * 32 * 32 pixel bytes (red, green
 * and blue plane, row-major), any number of files a split, in the order of the archive. */
#include "base/mem.h"
#include "worker/data/list.h"
#include "worker/data/member.h"

#include <stdlib.h>

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

static int check_records(const char *shown, const uint8_t *data, size_t length, struct err *e)
{
    size_t whole = length / RECORD;

    if (length % RECORD != 0) {
        if (length % RECORD_100 == 0)
            err_set(e, ERR_UNSUPPORTED, "'%s' has the record size of CIFAR-100, which is not read", shown);
        else
            err_set(e, ERR_CORRUPT,
                    "'%s' is not CIFAR-10: %zu records of %d bytes and %zu bytes more; it looks like %s",
                    shown, whole, RECORD, length % RECORD, member_kind(data, length));
        return err_at(e, "%s offset %zu", shown, whole * RECORD);
    }
    for (size_t i = 0; i < whole; i++)
        if (data[i * RECORD] >= CLASSES) {
            err_set(e, ERR_INVALID, "label %d is out of range 0..%d; the file looks like %s",
                    data[i * RECORD], CLASSES - 1, member_kind(data, length));
            return err_at(e, "%s offset %zu", shown, i * RECORD);
        }
    if (whole == 0) {
        err_set(e, ERR_INVALID, "'%s' is empty", shown);
        return err_at(e, "%s offset 0", shown);
    }
    return 0;
}

static int grow(struct split *s, size_t more, struct err *e)
{
    size_t count = (size_t)s->count + more;
    uint8_t *pixel = mem_grow(s->pixel, count, PIXELS);

    if (pixel != NULL)
        s->pixel = pixel;
    int32_t *label = mem_grow(s->label, count, sizeof *label);
    if (label != NULL)
        s->label = label;
    return pixel != NULL && label != NULL ? 0 : err_set(e, ERR_NOMEM, "no memory for %zu images", count);
}

static int cifar_member(struct dataset *d, void **state, const char *member, const uint8_t *data,
                        size_t length, struct err *e)
{
    bool train = member_split(member) == SPLIT_TRAIN || member_has(member_base(member), "data_batch");
    struct split *s = &d->split[train ? SPLIT_TRAIN : SPLIT_TEST];
    char shown[MEMBER_SHOWN];

    (void)state;
    member_show(member, shown);
    int r = check_records(shown, data, length, e);
    if (r == 0)
        r = grow(s, length / RECORD, e);
    if (r < 0)
        return r;
    for (const uint8_t *p = data; p < data + length; p += RECORD, s->count++) {
        s->label[s->count] = p[0];
        memcpy(s->pixel + (size_t)s->count * PIXELS, p + 1, PIXELS);
    }
    return 0;
}

static int cifar_finish(struct dataset *d, void **state, struct err *e)
{
    (void)state;
    if (d == NULL)
        return 0;
    if (d->split[SPLIT_TRAIN].count + d->split[SPLIT_TEST].count == 0)
        return err_set(e, ERR_INVALID, "no CIFAR-10 records in the file");
    d->channels = 3;
    d->height = d->width = SIDE;
    d->classes = CLASSES;
    return 0;
}

const struct dataset_format dataset_format_cifar = {
    .name = "cifar",
    .title = "CIFAR-10, binary version: data_batch_*.bin, test_batch.bin",
    .probe = cifar_probe,
    .member = cifar_member,
    .finish = cifar_finish,
};
