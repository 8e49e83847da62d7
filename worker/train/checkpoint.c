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

#define CHECKPOINT_VERSION 2

/* The parts in file order; saving and loading walk the same list. */
struct part {
    void *data;
    size_t bytes;
};

struct parts {
    struct part *part; /* owned */
    int count;
};

struct weight_part {
    double scale;
    struct grid_sums sums;
};

static int list_parts(const struct trainer *t, struct weight_part *weight, double *error, struct parts *list)
{
    const size_t block = t->graph->param_count * sizeof(real);
    const int masks = t->prune ? t->prune->weights : 0;
    struct part *part = mem_array((size_t)masks + 12, sizeof *part);
    int n = 0;

    list->part = part;
    if (!part)
        return ERR_NOMEM;
    part[n++] = (struct part){ (void *)&t->at, sizeof t->at };
    part[n++] = (struct part){ t->graph->param, block };
    for (int i = 0; i < t->settings.optimizer->moments; i++)
        part[n++] = (struct part){ t->moment[i], block };
    if (t->quant) {
        part[n++] = (struct part){ weight, (size_t)t->quant->weights * sizeof *weight };
        part[n++] = (struct part){ error, sizeof *error };
    }
    if (t->prune) {
        part[n++] = (struct part){ t->prune->state, sizeof t->prune->state };
        part[n++] = (struct part){ &t->prune->energy, sizeof t->prune->energy };
        part[n++] = (struct part){ &t->prune->marked, sizeof t->prune->marked };
    }
    for (int i = 0; i < masks; i++)
        part[n++] = (struct part){ t->prune->weight[i].doomed, t->prune->weight[i].count };
    list->count = n;
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
    struct header h = make_header(spec, t);
    int weights = t->quant ? t->quant->weights : 0;
    struct weight_part *weight = mem_array((size_t)weights + 1, sizeof *weight);
    double error = t->quant ? t->quant->error : 0;
    struct parts parts = { 0 };
    char *image = NULL;
    int status = ERR_NOMEM;

    if (!weight)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < weights; i++)
        weight[i] = (struct weight_part){ (double)t->quant->weight[i].scale, t->quant->weight[i].sums };
    size_t bytes = sizeof h, at = sizeof h;
    if (list_parts(t, weight, &error, &parts) == 0) {
        for (int i = 0; i < parts.count; i++)
            bytes += parts.part[i].bytes;
        image = malloc(bytes + 4);
    }
    if (!image) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    memcpy(image, &h, sizeof h);
    for (int i = 0; i < parts.count; at += parts.part[i++].bytes)
        memcpy(image + at, parts.part[i].data, parts.part[i].bytes);
    uint32_t crc = hash_crc32(0, image, bytes);
    memcpy(image + bytes, &crc, 4);
    status = file_publish(path, image, bytes + 4, 0600, e);
out:
    free(parts.part);
    free(weight);
    free(image);
    return status;
}

int checkpoint_load(const char *path, const unsigned char spec[HASH_BYTES], struct trainer *t, struct err *e)
{
    struct header h = make_header(spec, t);
    int weights = t->quant ? t->quant->weights : 0;
    struct weight_part *weight = mem_array((size_t)weights + 1, sizeof *weight);
    double error = 0;
    struct parts parts = { 0 };
    char *image = NULL;
    size_t length = 0, bytes = sizeof h, at = sizeof h;
    int status;

    if (!weight)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (!file_exists(path)) {
        status = ERR_NOT_FOUND;
        goto out;
    }
    if ((status = file_load(path, (size_t)1 << 36, &image, &length, e)))
        goto out;
    if ((status = list_parts(t, weight, &error, &parts))) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    for (int i = 0; i < parts.count; i++)
        bytes += parts.part[i].bytes;
    uint32_t crc = 0;
    if (length == bytes + 4)
        memcpy(&crc, image + bytes, 4);
    if (length != bytes + 4 || memcmp(image, &h, sizeof h) != 0 || crc != hash_crc32(0, image, bytes)) {
        status = err_set(e, ERR_CORRUPT, "the checkpoint is damaged or belongs to another job");
        goto out;
    }
    for (int i = 0; i < parts.count; at += parts.part[i++].bytes)
        memcpy(parts.part[i].data, image + at, parts.part[i].bytes);
    for (int i = 0; i < weights; i++) {
        t->quant->weight[i].scale = (real)weight[i].scale;
        t->quant->weight[i].sums = weight[i].sums;
    }
    if (t->quant) {
        quant_apply(t->quant, t->graph, t->pool);
        /* quant_apply has summed anew, after the pull: put back what the undisturbed run would have */
        for (int i = 0; i < weights; i++)
            t->quant->weight[i].sums = weight[i].sums;
        t->quant->error = error;
    }
out:
    free(parts.part);
    free(weight);
    free(image);
    return status;
}
