#include "worker/coder/param.h"

#include "base/mem.h"
#include "worker/coder/coder_impl.h"

#include <stdlib.h>
#include <string.h>

#define BITS_MOST 32

/* A file names a coder by its place here: append only. 0 stands for floats. */
static const struct coder *const numbered[] = { NULL, &coder_raw, &coder_huffman, &coder_bzip2,
                                                &coder_cabac };
#define NUMBERED (sizeof numbered / sizeof *numbered)

static int coder_number(const struct coder *c)
{
    for (size_t i = 1; i < NUMBERED; i++)
        if (numbered[i] == c)
            return (int)i;
    return 0;
}

/* Rows are what the first axis counts: output channels in all operators but transposed ones. */
static struct code_block block_of(const struct shape *shape, int32_t *code)
{
    int64_t count = shape_count(shape);
    int64_t rows = shape->rank > 1 ? shape->dim[0] : 1;
    return (struct code_block){ .rows = rows, .columns = rows ? count / rows : 0, .code = code };
}

static int64_t channels_of(const struct shape *shape, int axis)
{
    return axis < 0 ? 1 : shape->dim[axis];
}

static void find_range(struct code_block *b)
{
    int64_t count = b->rows * b->columns;
    b->low = b->high = count ? b->code[0] : 0;
    for (int64_t i = 1; i < count; i++) {
        if (b->code[i] < b->low)
            b->low = b->code[i];
        if (b->code[i] > b->high)
            b->high = b->code[i];
    }
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

static int write_floats(const struct graph *g, const struct value *v, struct buf *out)
{
    const real *x = g->param + v->offset;
    int64_t count = shape_count(&v->shape);
    wire_put_byte(out, 0);
    for (int64_t i = 0; i < count; i++) {
        float f = (float)x[i];
        wire_put_floats(out, &f, 1);
    }
    return 0;
}

/* The shorter of c's payload and the fixed-width one; *used says which. */
static int encode_payload(const struct code_block *b, const struct coder *c, struct buf *payload,
                          const struct coder **used, struct err *e)
{
    struct buf raw;
    buf_init(&raw, SIZE_MAX);
    int rc = c->encode(b, payload, e);
    if (!rc)
        rc = coder_raw.encode(b, &raw, e);
    *used = c;
    if (!rc && raw.length < payload->length) {
        struct buf longer = *payload;
        *payload = raw;
        raw = longer;
        *used = &coder_raw;
    }
    buf_free(&raw);
    return rc;
}

static int write_codes(const struct value *v, const struct coder *c, struct buf *out, struct qdz_layer *layer,
                       struct err *e)
{
    const struct value_codes *q = v->codes;
    if (q->bits < 1 || q->bits > BITS_MOST || !value_codes_ok(q, &v->shape))
        return err_set(e, ERR_INVALID, "the codes have %d bits and %lld scales along axis %d", q->bits,
                       (long long)q->channels, q->axis);
    struct code_block b = block_of(&v->shape, q->code);
    find_range(&b);
    struct buf payload;
    buf_init(&payload, SIZE_MAX);
    const struct coder *used;
    int rc = encode_payload(&b, c, &payload, &used, e);
    if (!rc) {
        wire_put_byte(out, (uint8_t)coder_number(used));
        wire_put_number(out, (uint64_t)q->bits);
        wire_put_number(out, (uint64_t)(q->axis + 1 + (q->planes ? v->shape.rank + 1 : 0)));
        wire_put_floats(out, q->scale, value_codes_scales(q));
        wire_put_signed(out, b.low);
        wire_put_number(out, code_block_span(&b));
        wire_put_number(out, payload.length);
        buf_append(out, payload.data, payload.length);
        layer->codes = b.rows * b.columns;
        layer->payload_bytes = (int64_t)payload.length;
        layer->entropy_bits = coder_entropy(&b);
    }
    buf_free(&payload);
    return rc;
}

int param_write(const struct graph *g, int v, const struct coder *c, struct buf *out, struct qdz_layer *layer,
                struct err *e)
{
    const struct value *value = &g->value[v];
    int rc = value->codes ? write_codes(value, c, out, layer, e) : write_floats(g, value, out);
    if (rc)
        err_at(e, "initializer %s", value->name);
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static int damaged(struct err *e)
{
    return err_set(e, ERR_CORRUPT, "the record of a parameter is damaged");
}

static int read_floats(struct graph *g, const struct value *v, struct wire *w, struct err *e)
{
    real *x = g->param + v->offset;
    int64_t count = shape_count(&v->shape);
    if ((uint64_t)count > wire_left(w) / 4)
        return damaged(e);
    for (int64_t i = 0; i < count; i++) {
        float f;
        wire_floats(w, &f, 1);
        x[i] = f;
    }
    return 0;
}

/* Everything up to the payload. */
static int read_head(struct value_codes *q, const struct value *v, struct wire *w, struct err *e)
{
    q->bits = (int)wire_number(w, BITS_MOST);
    q->axis = (int)wire_number(w, 2 * (uint64_t)v->shape.rank + 1) - 1;
    if (q->axis >= v->shape.rank) { /* a basis of as many numbers as bits */
        q->axis -= v->shape.rank + 1;
        q->planes = q->bits;
    }
    q->channels = channels_of(&v->shape, q->axis);
    if (w->bad || !q->bits || q->planes > VALUE_PLANES || value_codes_scales(q) > wire_left(w) / 4)
        return damaged(e);
    if (!value_codes_room(q, (size_t)shape_count(&v->shape)))
        return err_set(e, ERR_NOMEM, "out of memory for the weights");
    wire_floats(w, q->scale, value_codes_scales(q));
    return 0;
}

static int read_payload(struct code_block *b, const struct coder *c, struct wire *w, struct err *e)
{
    int64_t low = wire_signed(w), span = (int64_t)wire_number(w, UINT32_MAX);
    size_t length = (size_t)wire_number(w, wire_left(w));
    const uint8_t *data = wire_bytes(w, length);
    if (!data || low < INT32_MIN || low > INT32_MAX - span)
        return damaged(e);
    b->low = (int32_t)low;
    b->high = (int32_t)(low + span);
    return c->decode(b, data, length, e);
}

static int read_codes(struct graph *g, struct value *v, const struct coder *c, struct wire *w, struct err *e)
{
    struct value_codes *q = mem_alloc(sizeof *q);
    if (!q)
        return err_set(e, ERR_NOMEM, "out of memory for the weights");
    int rc = read_head(q, v, w, e);
    if (!rc) {
        struct code_block b = block_of(&v->shape, q->code);
        rc = read_payload(&b, c, w, e);
    }
    if (!rc && !value_codes_ok(q, &v->shape))
        rc = damaged(e);
    if (rc) {
        value_codes_free(q);
        return rc;
    }
    v->codes = q;
    value_codes_numbers(q, &v->shape, g->param + v->offset);
    return 0;
}

int param_read(struct graph *g, int v, struct wire *w, struct err *e)
{
    struct value *value = &g->value[v];
    uint8_t number = wire_byte(w);
    int rc;
    if (w->bad)
        rc = damaged(e);
    else if (number >= NUMBERED)
        rc = err_set(e, ERR_UNSUPPORTED, "the coder number %u is not known", number);
    else if (!number)
        rc = read_floats(g, value, w, e);
    else
        rc = read_codes(g, value, numbered[number], w, e);
    if (rc)
        err_at(e, "initializer %s", value->name);
    return rc;
}
