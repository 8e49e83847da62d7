#include "worker/coder/stream.h"

#include "base/mem.h"
#include "worker/coder/coder_impl.h"
#include "worker/coder/matrix.h"
#include "worker/coder/wire.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

enum { MANTISSA = 23, BITS_MOST = 32 };

int stream_init(struct stream *s, const uint8_t *data, size_t length, struct err *e)
{
    *s = (struct stream){ .mantissa = MANTISSA, .last_exponent = 122 };
    counters_reset(&s->coded, (size_t)((struct counter *)&s->mantissa - &s->coded));
    return mixing_init(&s->m, data, length, e);
}

void stream_deinit(struct stream *s)
{
    mixing_deinit(&s->m);
}

bool stream_flag(struct stream *s, struct counter *c, bool bit)
{
    return mixing_single(&s->m, c, bit);
}

uint32_t stream_count(struct stream *s, uint32_t value)
{
    return mixing_number(&s->m, &s->number, value);
}

int32_t stream_signed(struct stream *s, struct counter_number *c, int32_t value)
{
    return unzigzag(mixing_number(&s->m, c, zigzag(value)));
}

int stream_text(struct stream *s, const char *in, char *out, struct err *e)
{
    const uint32_t length = stream_count(s, in ? (uint32_t)strlen(in) : 0);

    if (length > WIRE_NAME)
        return err_set(e, s->m.decoding ? ERR_CORRUPT : ERR_INVALID, "a name is too long");
    for (uint32_t i = 0; i < length; i++) {
        const uint32_t byte = mixing_even(&s->m, in ? (uint8_t)in[i] : 0, 8);
        if (!byte)
            return err_set(e, ERR_CORRUPT, "a name is damaged");
        if (out)
            out[i] = (char)byte;
    }
    if (out)
        out[length] = '\0';
    return 0;
}

/* --- floats ----------------------------------------------------------------------------------------------
 */

static uint32_t bits_of(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

/* How many bits of the mantissa a list needs. */
static uint32_t mantissa_of(const float *f, size_t count)
{
    uint32_t all = 0;

    for (size_t i = 0; i < count; i++)
        all |= bits_of(f[i]) & ((1u << MANTISSA) - 1);
    return all ? MANTISSA - (uint32_t)__builtin_ctz(all) : 0;
}

static float code_float(struct stream *s, float f, bool *after_zero)
{
    const uint32_t u = bits_of(f);
    const bool zero = stream_flag(s, &s->zero[*after_zero], u == 0);

    *after_zero = zero;
    if (zero)
        return 0;
    const bool negative = stream_flag(s, &s->sign, u >> 31);
    const int32_t step =
        stream_signed(s, &s->exponent, (int32_t)(u >> MANTISSA & 255) - (int32_t)s->last_exponent);
    s->last_exponent = (s->last_exponent + (uint32_t)step) & 255;
    const uint32_t low = MANTISSA - s->mantissa;
    const uint32_t mantissa = mixing_even(&s->m, (u & ((1u << MANTISSA) - 1)) >> low, (int)s->mantissa)
                              << low;
    const uint32_t back = (uint32_t)negative << 31 | s->last_exponent << MANTISSA | mantissa;
    memcpy(&f, &back, sizeof f);
    return f;
}

/* A list of floats with one length of mantissa. */
static int code_floats(struct stream *s, float *f, size_t count, struct err *e)
{
    const uint32_t need = s->m.decoding ? 0 : mantissa_of(f, count);
    bool after_zero = false;

    if (!stream_flag(s, &s->same_mantissa, need == s->mantissa))
        s->mantissa = mixing_even(&s->m, need, 5);
    if (s->mantissa > MANTISSA)
        return err_set(e, ERR_CORRUPT, "a list of numbers is damaged");
    for (size_t i = 0; i < count; i++)
        f[i] = code_float(s, f[i], &after_zero);
    return 0;
}

static int float_param(struct stream *s, struct graph *g, const struct value *v, struct err *e)
{
    const size_t count = (size_t)shape_count(&v->shape);
    real *x = g->param + v->offset;
    float *f = mem_array(count + 1, sizeof *f);

    if (!f)
        return err_set(e, ERR_NOMEM, "out of memory for the numbers");
    for (size_t i = 0; i < count && !s->m.decoding; i++)
        f[i] = (float)x[i];
    const int status = code_floats(s, f, count, e);
    for (size_t i = 0; i < count && s->m.decoding && !status; i++)
        x[i] = f[i];
    free(f);
    return status;
}

/* --- codes -----------------------------------------------------------------------------------------------
 */

/* The width that codes up to this size need in a symmetric grid. */
static int width_for(int32_t low, int32_t high)
{
    const uint32_t a = low < 0 ? 0 - (uint32_t)low : (uint32_t)low, b = high < 0 ? 0 : (uint32_t)high;
    const int width = bit_width(a > b ? a : b) + 1;

    return width < 2 ? 2 : width > BITS_MOST ? BITS_MOST : width;
}

static void find_range(const struct value_codes *q, size_t count, int32_t *low, int32_t *high)
{
    *low = *high = 0;
    for (size_t i = 0; i < count; i++) {
        *low = q->code[i] < *low ? q->code[i] : *low;
        *high = q->code[i] > *high ? q->code[i] : *high;
    }
}

/* Blocks of a dense layer behind a Flatten are pictures, too. */
static void find_blocks(const struct graph *g, int v, struct matrix *x)
{
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        if (n->op->weight != 1 || n->inputs < 2 || n->input[1] != v)
            continue;
        int from = g->value[n->input[0]].producer;
        if (from >= 0 && strcmp(g->node[from].op->name, "QuantdFakeQuant") == 0)
            from = g->value[g->node[from].input[0]].producer;
        if (from < 0 || strcmp(g->node[from].op->name, "Flatten") != 0)
            continue;
        const struct shape *s = &g->value[g->node[from].input[0]].shape;
        if (s->rank == 3 && s->dim[0] * s->dim[1] * s->dim[2] == x->inputs && s->dim[1] * s->dim[2] > 1) {
            x->inner = s->dim[1] * s->dim[2];
            x->width = s->dim[2];
            x->inputs = s->dim[0];
        }
    }
}

/* [rows][inputs][inner] of a tensor; what is not seen from its shape is in the message. */
static int code_layout(struct stream *s, const struct graph *g, int v, struct matrix *x, struct err *e)
{
    const struct shape *shape = &g->value[v].shape;
    const int64_t count = shape_count(shape);

    *x = (struct matrix){ .rows = shape->rank > 1 ? shape->dim[0] : 1, .inner = 1, .width = 1 };
    x->inputs = x->rows ? count / x->rows : 0;
    if (shape->rank == 4) {
        x->inputs = shape->dim[1];
        x->inner = shape->dim[2] * shape->dim[3];
        x->width = shape->dim[3];
        return 0;
    }
    if (shape->rank < 2)
        return 0;
    const int64_t columns = x->inputs;
    if (!s->m.decoding)
        find_blocks(g, v, x);
    if (stream_flag(s, &s->usual, x->inner == 1))
        return 0;
    x->inner = (int64_t)mixing_number(&s->m, &s->layout, (uint32_t)x->inner);
    x->width = (int64_t)mixing_number(&s->m, &s->layout, (uint32_t)x->width);
    if (x->inner < 1 || x->width < 1 || x->width > x->inner || columns % x->inner)
        return err_set(e, ERR_CORRUPT, "the layout of a tensor is damaged");
    x->inputs = columns / x->inner;
    return 0;
}

static int64_t channels_of(const struct shape *shape, int axis)
{
    return axis < 0 ? 1 : shape->dim[axis];
}

/* Along which axis there are several scales. No tensor of less than eight dimensions has an axis 7: that says
 * that scales are bases of as many numbers as there are bits. */
static void code_axis(struct stream *s, int rank, struct value_codes *q)
{
    const uint32_t none = 7, axis = q->axis < 0 ? none : (uint32_t)q->axis;

    if (!stream_flag(s, &s->channels, q->axis >= 0 || q->planes)) {
        q->axis = -1;
        return;
    }
    uint32_t said = mixing_even(&s->m, q->planes ? none : axis, 3);
    if (said == none && rank < GRAPH_RANK) {
        q->planes = q->bits;
        said = mixing_even(&s->m, axis, 3);
    }
    q->axis = said == none && q->planes ? -1 : (int)said;
}

/* Width, scales and range: everything but the codes. */
static int code_head(struct stream *s, const struct value *v, struct value_codes *q, struct matrix *x,
                     struct err *e)
{
    const size_t count = (size_t)shape_count(&v->shape);

    if (!s->m.decoding)
        find_range(q, count, &x->low, &x->high);
    const bool symmetric = stream_flag(s, &s->symmetric, x->low == -(int64_t)x->high);
    x->high = (int32_t)stream_count(s, (uint32_t)x->high);
    x->low = symmetric ? -x->high : (int32_t)(0 - stream_count(s, 0 - (uint32_t)x->low));
    if (x->high < 0 || x->low > 0)
        return err_set(e, ERR_CORRUPT, "the range of a tensor is damaged");
    if (stream_flag(s, &s->fits, q->bits == width_for(x->low, x->high)))
        q->bits = width_for(x->low, x->high);
    else
        q->bits = (int)mixing_even(&s->m, (uint32_t)q->bits - 1, 5) + 1;
    code_axis(s, v->shape.rank, q);
    if (q->axis >= v->shape.rank || q->planes > VALUE_PLANES)
        return err_set(e, ERR_CORRUPT, "the axis of a tensor is damaged");
    if (s->m.decoding) {
        q->channels = channels_of(&v->shape, q->axis);
        if (!value_codes_room(q, count))
            return err_set(e, ERR_NOMEM, "out of memory for the weights");
    }
    return code_floats(s, q->scale, value_codes_scales(q), e);
}

static int check_codes(const struct value *v, struct err *e)
{
    const struct value_codes *q = v->codes;

    if (q->bits >= 1 && q->bits <= BITS_MOST && value_codes_ok(q, &v->shape) &&
        (!q->planes || v->shape.rank < GRAPH_RANK))
        return 0;
    return err_set(e, ERR_INVALID, "the codes have %d bits and %lld scales along axis %d", q->bits,
                   (long long)q->channels, q->axis);
}

static int code_choice(struct stream *s, struct matrix *x, struct err *e)
{
    int status = 0;

    if (!s->m.decoding)
        matrix_choose(x);
    x->dead_rows = stream_flag(s, &s->dead[0], x->dead_rows);
    x->dead_inputs = stream_flag(s, &s->dead[1], x->dead_inputs);
    if (x->inner > 1)
        x->dead_blocks = stream_flag(s, &s->dead[2], x->dead_blocks);
    if (x->rows * x->inputs * x->inner < MATRIX_LARGE)
        return 0;
    if (!s->m.decoding)
        status = matrix_choose_alone(x, e);
    x->alone = stream_flag(s, &s->alone, x->alone);
    return status;
}

static int code_param(struct stream *s, struct graph *g, int v, struct value_codes *q,
                      struct qdz_layer *layer, struct err *e)
{
    struct matrix x;
    int status = code_layout(s, g, v, &x, e);

    if (!status)
        status = code_head(s, &g->value[v], q, &x, e);
    x.code = q->code;
    const size_t before = s->m.encoder.length;
    if (!status && (x.low || x.high)) {
        status = code_choice(s, &x, e);
        if (!status)
            status = matrix_code(&s->m, &x, e);
    }
    if (status || s->m.decoding)
        return status;
    const int64_t count = shape_count(&g->value[v].shape);
    const struct code_block b = {
        .rows = 1, .columns = count, .low = x.low, .high = x.high, .code = q->code
    };
    layer->codes = count;
    layer->payload_bytes = (int64_t)(s->m.encoder.length - before);
    layer->entropy_bits = coder_entropy(&b);
    return 0;
}

int stream_param(struct stream *s, struct graph *g, int v, struct qdz_layer *layer, struct err *e)
{
    struct value *value = &g->value[v];
    const bool coded = stream_flag(s, &s->coded, value->codes != NULL);
    int status;

    if (!coded) {
        status = float_param(s, g, value, e);
    } else if (!s->m.decoding) {
        status = check_codes(value, e);
        if (!status)
            status = code_param(s, g, v, value->codes, layer, e);
    } else {
        struct value_codes *q = mem_alloc(sizeof *q);
        status =
            q ? code_param(s, g, v, q, layer, e) : err_set(e, ERR_NOMEM, "out of memory for the weights");
        if (!status && !value_codes_ok(q, &value->shape))
            status = err_set(e, ERR_CORRUPT, "the codes of a tensor are damaged");
        if (status) {
            value_codes_free(q);
        } else {
            value->codes = q;
            value_codes_numbers(q, &value->shape, g->param + value->offset);
        }
    }
    if (status)
        err_at(e, "initializer %s", value->name);
    return status;
}
