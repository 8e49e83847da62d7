/* qdz.c - the container: first bytes, the network, its parameters, check sum. Layout: README.md. */
#include "worker/coder/qdz.h"

#include "base/hash.h"
#include "base/mem.h"
#include "worker/coder/param.h"
#include "worker/coder/reference.h"
#include "worker/coder/skeleton.h"
#include "worker/coder/text.h"
#include "worker/coder/wire.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first byte: version 4, and the coder of the parameters. The second: 0, or a reference. */
enum {
    FIRST = 0xe0,
    CODERS = 8,
    CABAC = 4,
    HEAD = 2,
    SHORT_TAIL = 2,
    LONG_TAIL = 4,
    SMALLEST = HEAD + SHORT_TAIL
};

/* From this length on the check sum is a CRC-32; below, a CRC-16. */
#define LONG_FILE ((size_t)65536)

/* A file may not stand for more parameters than this, nor for more than so many a byte of its length: what a
 * reader allocates is bounded by what it was given. The writer pads with zeros when that is too few. */
#define PARAMETERS_MOST   ((uint64_t)1 << 30)
#define PARAMETERS_A_BYTE 4096u

static uint64_t parameters_allowed(size_t length)
{
    return length < PARAMETERS_MOST / PARAMETERS_A_BYTE ? length * (uint64_t)PARAMETERS_A_BYTE
                                                        : PARAMETERS_MOST;
}

static size_t tail_of(size_t length)
{
    return length < LONG_FILE ? SHORT_TAIL : LONG_TAIL;
}

static uint32_t check_sum(const void *data, size_t length, size_t tail)
{
    return tail == SHORT_TAIL ? wire_crc16(data, length) : hash_crc32(0, data, length);
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

static int write_skeleton(const struct graph *g, struct buf *out, struct qdz_sizes *sizes, struct err *e)
{
    const size_t before = out->length;
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
    sizes->skeleton = (int64_t)(out->length - before);
    buf_free(&plain);
    buf_free(&coded);
    return rc;
}

struct layers {
    struct qdz_layer *layer; /* owned until they are given away */
    int count;
};

static void note(struct layers *l, const struct graph *g, int v, struct qdz_layer *one)
{
    if (!g->value[v].codes || !is_weight(g, v))
        return;
    snprintf(one->name, sizeof one->name, "%s", g->value[v].name);
    l->layer[l->count++] = *one;
}

/* Parameters one by one, each with a head of its own: for the coders that are no arithmetic ones. */
static int write_params(const struct graph *g, const struct coder *c, struct buf *out, struct layers *l,
                        struct err *e)
{
    int rc = 0;

    for (int v = 0; !rc && v < g->values; v++) {
        struct qdz_layer one = { 0 };
        if (g->value[v].kind != VALUE_PARAM)
            continue;
        rc = param_write(g, v, c, out, &one, e);
        if (!rc)
            note(l, g, v, &one);
    }
    return rc;
}

/* The step of the quantizer behind value v, -1: none. */
static int step_of(const struct graph *g, int v)
{
    for (int i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].op->name, "QuantdFakeQuant") == 0 && g->node[i].input[0] == v)
            return g->node[i].input[1];
    return -1;
}

/* Parameters in the order of values; for a reference that of the zoo's graph, then the steps of its values.
 */
static int stream_all(struct stream *s, struct graph *g, const struct reference *r, struct layers *l,
                      struct err *e)
{
    const int values = r->value ? r->values : g->values;
    int rc = 0;

    for (int i = 0; !rc && i < values; i++) {
        struct qdz_layer one = { 0 };
        const int v = r->value ? r->value[i] : i;
        if (v < 0 || g->value[v].kind != VALUE_PARAM)
            continue;
        rc = stream_param(s, g, v, &one, e);
        if (!rc && l)
            note(l, g, v, &one);
    }
    for (int i = 0; !rc && r->value && i < values; i++) {
        const int step = r->value[i] < 0 ? -1 : step_of(g, r->value[i]);
        if (step >= 0)
            rc = stream_param(s, g, step, &(struct qdz_layer){ 0 }, e);
    }
    return rc;
}

static int write_stream(const struct graph *g, const struct reference *r, struct buf *out, struct layers *l,
                        struct err *e)
{
    struct stream s;
    int rc = stream_init(&s, NULL, 0, e);

    if (!rc && r->g)
        rc = reference_write(&s, r, g, e);
    if (!rc)
        rc = stream_all(&s, (struct graph *)g, r, l, e); /* to encode it only reads */
    if (!rc)
        rc = range_encoder_finish(&s.m.encoder, e);
    if (!rc)
        buf_append(out, s.m.encoder.data, s.m.encoder.length);
    stream_deinit(&s);
    return rc;
}

static void write_tail(struct buf *out, size_t start, uint64_t parameters)
{
    while (!out->failed && parameters_allowed(out->length - start + SHORT_TAIL) < parameters)
        wire_put_byte(out, 0);
    if (out->failed)
        return;
    const size_t length = out->length - start,
                 tail = length + SHORT_TAIL < LONG_FILE ? SHORT_TAIL : LONG_TAIL;
    const uint32_t crc = check_sum(out->data + start, length, tail);
    for (size_t i = 0; i < tail; i++)
        wire_put_byte(out, (uint8_t)(crc >> 8 * i));
}

static int coder_number(const struct coder *c)
{
    static const char *const numbered[] = { "raw", "huffman", "bzip2", "cabac" };

    for (int i = 0; i < 4; i++)
        if (strcmp(c->name, numbered[i]) == 0)
            return i + 1;
    return 0;
}

int qdz_encode(const struct graph *g, const struct coder *c, struct buf *out, struct qdz_layer **layers,
               int *count, struct qdz_sizes *sizes, struct err *e)
{
    const uint64_t parameters = (uint64_t)graph_parameters(g);
    const bool one_stream = coder_number(c) == CABAC;
    struct qdz_sizes made = { 0 };
    struct reference r = { 0 };

    if (parameters > PARAMETERS_MOST)
        return err_set(e, ERR_TOO_LARGE, "a .qdz file holds up to 2^30 parameters, not %llu",
                       (unsigned long long)parameters);
    struct layers l = { .layer = mem_array((size_t)g->values + 1, sizeof *l.layer) };
    if (!l.layer)
        return err_set(e, ERR_NOMEM, "out of memory for the list of layers");
    const size_t start = out->length;
    made.named = one_stream && g->finished && reference_find(g, &r);
    wire_put_byte(out, (uint8_t)(FIRST + coder_number(c)));
    wire_put_byte(out, made.named ? reference_byte(&r) : 0);
    int rc = made.named ? 0 : write_skeleton(g, out, &made, e);
    if (!rc)
        rc = one_stream ? write_stream(g, &r, out, &l, e) : write_params(g, c, out, &l, e);
    if (!rc) {
        write_tail(out, start, parameters);
        if (out->failed)
            rc = err_set(e, ERR_NOMEM, "the file is too large for the memory given");
    }
    reference_deinit(&r);
    if (sizes)
        *sizes = made;
    if (count)
        *count = rc ? 0 : l.count;
    if (rc || !layers) {
        free(l.layer);
        l.layer = NULL;
    }
    if (layers)
        *layers = l.layer;
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static int check_file(const uint8_t *data, size_t length, struct err *e)
{
    const size_t tail = tail_of(length);
    uint32_t stored = 0;

    if (length < SMALLEST || data[0] < FIRST || data[0] >= FIRST + CODERS)
        return err_set(e, ERR_CORRUPT, "this is not a .qdz file of this version");
    for (size_t i = 0; i < tail; i++)
        stored |= (uint32_t)data[length - tail + i] << 8 * i;
    if (stored != check_sum(data, length - tail, tail))
        return err_set(e, ERR_CORRUPT, "the file is damaged: its check sum does not fit");
    if (data[0] == FIRST || data[0] > FIRST + CABAC)
        return err_set(e, ERR_UNSUPPORTED, "the coder %d of the file is not known", data[0] - FIRST);
    if (data[1] && data[0] != FIRST + CABAC)
        return err_set(e, ERR_UNSUPPORTED, "the file describes its network in a way (%u) that is not known",
                       data[1]);
    return 0;
}

static int read_skeleton(struct wire *w, uint64_t most, struct graph **g, struct err *e)
{
    const size_t plain = (size_t)wire_number(w, SIZE_MAX / 2), coded = (size_t)wire_number(w, wire_left(w));
    const uint8_t *data = wire_bytes(w, coded);

    if (!data || plain > text_most(coded))
        return err_set(e, ERR_CORRUPT, "the description of the network is damaged");
    uint8_t *text = mem_alloc(plain);
    if (!text)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    int rc = text_decode(data, coded, text, plain, e);
    if (!rc)
        rc = skeleton_read(text, plain, most, g, e);
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

/* The message ends with the last byte that is not zero; what follows is padding. */
static int read_stream(struct wire *w, uint8_t second, uint64_t most, struct graph **g, struct err *e)
{
    struct reference r = { 0 };
    struct stream s;

    while (wire_left(w) && !w->data[w->length - 1])
        w->length--;
    int rc = stream_init(&s, w->data + w->position, wire_left(w), e);
    if (!rc && second) {
        rc = reference_of(second, &r, e);
        if (!rc)
            rc = reference_read(&s, &r, most, e);
        *g = r.g;
    }
    if (!rc)
        rc = stream_all(&s, *g, &r, NULL, e);
    if (!rc && !range_decoder_finished(&s.m.decoder))
        rc = err_set(e, ERR_CORRUPT, "the message of the parameters is damaged");
    free(r.value);
    stream_deinit(&s);
    return rc;
}

int qdz_decode(const void *data, size_t length, struct graph **g, struct err *e)
{
    const uint8_t *bytes = data;
    const uint64_t most = parameters_allowed(length);
    struct graph *made = NULL;

    *g = NULL;
    int rc = check_file(bytes, length, e);
    if (rc)
        return rc;
    struct wire w = { .data = bytes, .length = length - tail_of(length), .position = HEAD };
    if (!bytes[1])
        rc = read_skeleton(&w, most, &made, e);
    if (!rc)
        rc = bytes[0] == FIRST + CABAC ? read_stream(&w, bytes[1], most, &made, e) : read_params(&w, made, e);
    if (!rc)
        rc = graph_finish(made, e);
    if (rc) {
        graph_free(made);
        return rc;
    }
    *g = made;
    return 0;
}
