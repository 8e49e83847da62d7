/* qdz.c - the container: magic, skeleton, parameters, check sum. Layout: README.md. */
#include "worker/coder/qdz.h"

#include "base/hash.h"
#include "base/mem.h"
#include "worker/coder/param.h"
#include "worker/coder/skeleton.h"
#include "worker/coder/text.h"
#include "worker/coder/wire.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[4] = { 'Q', 'D', 'Z', 0x1a };

enum { VERSION = 1, KIND_SKELETON = 0, TAIL = 4, SMALLEST = 6 + 2 + TAIL };

/* A file may not stand for more parameters than this, nor for more than so many a byte of its length: what a
 * reader allocates is bounded by what it was given. The writer pads with zeros when that is too few. */
#define PARAMETERS_MOST   ((uint64_t)1 << 30)
#define PARAMETERS_A_BYTE 4096u

static uint64_t parameters_allowed(size_t length)
{
    return length < PARAMETERS_MOST / PARAMETERS_A_BYTE ? length * (uint64_t)PARAMETERS_A_BYTE
                                                        : PARAMETERS_MOST;
}

/* Is v the weight of a node? Biases and steps are no layers. */
static bool is_weight(const struct graph *g, int v)
{
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        if (n->op->weight >= 0 && n->op->weight < n->inputs && n->input[n->op->weight] == v)
            return true;
    }
    return false;
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

static int write_skeleton(const struct graph *g, struct buf *out, struct err *e)
{
    struct buf plain, coded;
    buf_init(&plain, SIZE_MAX);
    buf_init(&coded, SIZE_MAX);
    int rc = skeleton_write(g, &plain, e);
    if (!rc && plain.failed)
        rc = err_set(e, ERR_NOMEM, "out of memory for the network");
    if (!rc)
        rc = text_encode((const uint8_t *)plain.data, plain.length, &coded, e);
    if (!rc) {
        wire_put_number(out, plain.length);
        wire_put_number(out, coded.length);
        buf_append(out, coded.data, coded.length);
    }
    buf_free(&plain);
    buf_free(&coded);
    return rc;
}

static int write_params(const struct graph *g, const struct coder *c, struct buf *out,
                        struct qdz_layer *layer, int *count, struct err *e)
{
    for (int v = 0; v < g->values; v++) {
        if (g->value[v].kind != VALUE_PARAM)
            continue;
        struct qdz_layer one = { 0 };
        int rc = param_write(g, v, c, out, &one, e);
        if (rc)
            return rc;
        if (!g->value[v].codes || !is_weight(g, v))
            continue;
        snprintf(one.name, sizeof one.name, "%s", g->value[v].name);
        layer[(*count)++] = one;
    }
    return 0;
}

static void write_tail(struct buf *out, size_t start, uint64_t parameters)
{
    while (!out->failed &&
           out->length - start + TAIL < (parameters + PARAMETERS_A_BYTE - 1) / PARAMETERS_A_BYTE)
        wire_put_byte(out, 0);
    if (out->failed)
        return;
    uint32_t crc = hash_crc32(0, out->data + start, out->length - start);
    for (int shift = 0; shift < 32; shift += 8)
        wire_put_byte(out, (uint8_t)(crc >> shift));
}

int qdz_encode(const struct graph *g, const struct coder *c, struct buf *out, struct qdz_layer **layers,
               int *count, struct err *e)
{
    uint64_t parameters = (uint64_t)graph_parameters(g);
    if (parameters > PARAMETERS_MOST)
        return err_set(e, ERR_TOO_LARGE, "a .qdz file holds up to 2^30 parameters, not %llu",
                       (unsigned long long)parameters);
    struct qdz_layer *layer = mem_array((size_t)g->values + 1, sizeof *layer);
    if (!layer)
        return err_set(e, ERR_NOMEM, "out of memory for the list of layers");
    size_t start = out->length;
    int found = 0;
    buf_append(out, magic, sizeof magic);
    wire_put_byte(out, VERSION);
    wire_put_byte(out, KIND_SKELETON);
    int rc = write_skeleton(g, out, e);
    if (!rc)
        rc = write_params(g, c, out, layer, &found, e);
    if (!rc) {
        write_tail(out, start, parameters);
        if (out->failed)
            rc = err_set(e, ERR_NOMEM, "the file is too large for the memory given");
    }
    if (rc || !layers) {
        free(layer);
        layer = NULL;
    }
    if (layers)
        *layers = layer;
    if (count)
        *count = rc ? 0 : found;
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static int check_file(const uint8_t *data, size_t length, struct err *e)
{
    if (length < SMALLEST || memcmp(data, magic, sizeof magic))
        return err_set(e, ERR_CORRUPT, "this is not a .qdz file");
    const uint8_t *tail = data + length - TAIL;
    uint32_t stored =
        (uint32_t)tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 | (uint32_t)tail[3] << 24;
    if (hash_crc32(0, data, length - TAIL) != stored)
        return err_set(e, ERR_CORRUPT, "the file is damaged: its check sum does not fit");
    if (data[4] != VERSION)
        return err_set(e, ERR_UNSUPPORTED, "the file has version %u, this program reads %d", data[4],
                       VERSION);
    if (data[5] != KIND_SKELETON)
        return err_set(e, ERR_UNSUPPORTED, "the file describes its network in a way (%u) that is not known",
                       data[5]);
    return 0;
}

static int read_skeleton(struct wire *w, struct graph **g, struct err *e)
{
    size_t plain = (size_t)wire_number(w, SIZE_MAX / 2), coded = (size_t)wire_number(w, wire_left(w));
    const uint8_t *data = wire_bytes(w, coded);
    if (!data || plain > text_most(coded))
        return err_set(e, ERR_CORRUPT, "the description of the network is damaged");
    uint8_t *text = mem_alloc(plain);
    if (!text)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    int rc = text_decode(data, coded, text, plain, e);
    if (!rc)
        rc = skeleton_read(text, plain, parameters_allowed(w->length + TAIL), g, e);
    free(text);
    return rc;
}

static int read_params(struct wire *w, struct graph *g, struct err *e)
{
    for (int v = 0; v < g->values; v++) {
        int rc = g->value[v].kind == VALUE_PARAM ? param_read(g, v, w, e) : 0;
        if (rc)
            return rc;
    }
    while (wire_left(w))
        if (wire_byte(w))
            return err_set(e, ERR_CORRUPT, "there is something behind the last parameter");
    return 0;
}

int qdz_decode(const void *data, size_t length, struct graph **g, struct err *e)
{
    *g = NULL;
    int rc = check_file(data, length, e);
    if (rc)
        return rc;
    struct graph *made = NULL;
    struct wire w = { .data = data, .length = length - TAIL, .position = 6 };
    rc = read_skeleton(&w, &made, e);
    if (!rc)
        rc = read_params(&w, made, e);
    if (!rc)
        rc = graph_finish(made, e);
    if (rc) {
        graph_free(made);
        return rc;
    }
    *g = made;
    return 0;
}
