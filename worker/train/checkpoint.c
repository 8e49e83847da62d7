#include "worker/train/checkpoint.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>

struct header {
    char magic[4];
    uint32_t version;
    unsigned char spec[HASH_BYTES];
    uint64_t parameters, weights;
    uint64_t pruned;
    uint32_t moments, real_bytes;
};

#define CHECKPOINT_VERSION 6

/* The parts in file order; saving and loading walk the same list. */
struct parts {
    struct quant_part *part; /* owned */
    int count;
    size_t bytes; /* of all of them */
};

static int list_parts(const struct trainer *t, struct parts *list, struct err *e)
{
    const size_t block = t->graph->param_count * sizeof(real);
    const int masks = t->prune ? t->prune->weights : 0;
    struct quant_part *part = mem_array((size_t)masks + 8 + QUANT_PARTS + RATE_PARTS, sizeof *part);
    int n = 0;

    *list = (struct parts){ .part = part };
    if (!part)
        return err_set(e, ERR_NOMEM, "out of memory");
    part[n++] = (struct quant_part){ (void *)&t->at, sizeof t->at };
    part[n++] = (struct quant_part){ t->graph->param, block };
    for (int i = 0; i < t->settings.optimizer->moments; i++)
        part[n++] = (struct quant_part){ t->moment[i], block };
    if (t->quant)
        n += quant_parts(t->quant, part + n);
    if (t->rate)
        n += rate_parts(t->rate, part + n);
    if (t->prune) {
        part[n++] = (struct quant_part){ t->prune->state, sizeof t->prune->state };
        part[n++] = (struct quant_part){ &t->prune->energy, sizeof t->prune->energy };
        part[n++] = (struct quant_part){ &t->prune->marked, sizeof t->prune->marked };
    }
    for (int i = 0; i < masks; i++)
        part[n++] = (struct quant_part){ t->prune->weight[i].doomed, t->prune->weight[i].count };
    list->count = n;
    for (int i = 0; i < n; i++)
        list->bytes += part[i].bytes;
    return 0;
}

static struct header make_header(const unsigned char spec[HASH_BYTES], const struct trainer *t)
{
    struct header h = { .version = CHECKPOINT_VERSION };

    memcpy(h.magic, "QDCP", 4);
    memcpy(h.spec, spec, HASH_BYTES);
    h.parameters = t->graph->param_count;
    h.weights = t->quant ? (uint64_t)t->quant->weights : 0;
    h.pruned = t->prune ? (uint64_t)t->prune->total : 0;
    h.moments = (uint32_t)t->settings.optimizer->moments;
    h.real_bytes = sizeof(real);
    return h;
}

int checkpoint_save(const char *path, const unsigned char spec[HASH_BYTES], const struct trainer *t,
                    struct err *e)
{
    const struct header h = make_header(spec, t);
    struct parts parts;
    char *image = NULL;
    int status = list_parts(t, &parts, e);

    if (status)
        return status;
    const size_t bytes = sizeof h + parts.bytes;
    image = malloc(bytes + 4);
    if (!image) {
        status = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    memcpy(image, &h, sizeof h);
    size_t at = sizeof h;
    for (int i = 0; i < parts.count; at += parts.part[i++].bytes)
        memcpy(image + at, parts.part[i].data, parts.part[i].bytes);
    uint32_t crc = hash_crc32(0, image, bytes);
    memcpy(image + bytes, &crc, 4);
    status = file_publish(path, image, bytes + 4, 0600, e);
out:
    free(parts.part);
    free(image);
    return status;
}

static void read_parts(const struct parts *parts, const char *image)
{
    for (int i = 0; i < parts->count; image += parts->part[i++].bytes)
        memcpy(parts->part[i].data, image, parts->part[i].bytes);
}

int checkpoint_load(const char *path, const unsigned char spec[HASH_BYTES], struct trainer *t, struct err *e)
{
    const struct header h = make_header(spec, t);
    struct parts parts = { 0 };
    char *image = NULL;
    size_t length = 0;
    uint32_t crc = 0;
    int status;

    if (!file_exists(path))
        return ERR_NOT_FOUND;
    if ((status = list_parts(t, &parts, e)) ||
        (status = file_load(path, (size_t)1 << 36, &image, &length, e)))
        goto out;
    const size_t bytes = sizeof h + parts.bytes;
    if (length == bytes + 4)
        memcpy(&crc, image + bytes, 4);
    if (length != bytes + 4 || memcmp(image, &h, sizeof h) != 0 || crc != hash_crc32(0, image, bytes)) {
        status = err_set(e, ERR_CORRUPT, "the checkpoint is damaged or belongs to another job");
        goto out;
    }
    read_parts(&parts, image + sizeof h);
    if (t->quant) {
        /* q follows from the weights; but the sums are of before the pull: put back what the undisturbed run
         * would have */
        quant_apply(t->quant, t->graph, t->pool);
        read_parts(&parts, image + sizeof h);
        quant_restored(t->quant);
    }
out:
    free(parts.part);
    free(image);
    return status;
}
