/* cabac.c - context-adaptive binary arithmetic coding of weights: binarisation and model; range.h codes the
 * bits.
 *
 * After DeepCABAC (Wiedemann et al., IEEE JSTSP 14(4), 2020): significance, sign, magnitude in unary,
 * remainder in Exp-Golomb form, each bit with a probability that adapts to its context. Here the contexts
 * look at two dimensions, since pruned networks lose whole input columns:
 *
 *               . . . a . .       a  above: the same input's code in the output before, or how busy the
 *               . l l v           l  column has been; left, and two to the left
 *
 * A probability is the mean of a fast and a slow estimate; both begin as plain averages (weight of a new bit
 * 1/(n+1.5)) and end as exponential ones, when n reaches the limits of the `pace`. Integers only: the bytes
 * are the same on every machine. One function, code_value, is the binarisation of encoder and decoder alike.
 */
#include "base/mem.h"
#include "worker/coder/coder_impl.h"
#include "worker/coder/range.h"

#include <stdlib.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { UNARY = 14, MANTISSA = 3, COLUMN_LEVELS = 5 };
#define SAMPLE 65536 /* codes on which the models are tried */

/* log2 of the number of bits that the fast and the slow estimate remember; `history`: how busy a column has
 * been stands for the code above. The first byte of a payload is an index into this table. */
static const struct pace {
    int fast, slow;
    bool history;
} paces[] = {
    { 7, 10, false }, { 5, 8, false }, { 10, 12, false }, { 7, 10, true }, { 5, 8, true }, { 10, 12, true },
};
#define PACES (sizeof paces / sizeof *paces)

struct step {
    uint16_t fast, slow; /* weight of the next bit, in 1/65536 */
};

struct context {
    uint32_t fast, slow; /* probability that the bit is 1, in 1/2^32 */
    uint32_t seen;
};

struct model {
    struct context significant[COLUMN_LEVELS][3][2]; /* column, left, two to the left */
    struct context sign[3][3];                       /* sign of left, of above: none, +, - */
    struct context unary[2][2][UNARY];          /* own sign, neighbourhood small or large, length so far */
    struct context prefix[32];                  /* of the Exp-Golomb remainder */
    struct context mantissa[32][1 << MANTISSA]; /* its highest bits, as a tree */
};

/* Everything that is needed to go through a block in one direction. */
struct transcoder {
    struct model model;
    struct step *step; /* owned; [limit + 1] */
    uint32_t limit;
    struct range_encoder encoder;
    struct range_decoder decoder;
    int32_t low, high;
    uint32_t *busy; /* owned; [columns] non-zero codes so far, NULL without history */
    uint64_t busy_sum;
    uint32_t threshold[COLUMN_LEVELS - 1];
};

/* --- bits ------------------------------------------------------------------------------------------------
 */

ALWAYS uint32_t mix(uint32_t p, bool bit, uint32_t weight)
{
    int64_t distance = (bit ? (int64_t)UINT32_MAX : 0) - (int64_t)p;
    return (uint32_t)((int64_t)p + ((distance * weight) >> 16));
}

/* Encode `bit`, or decode and return it. */
ALWAYS bool code_bit(struct transcoder *t, bool decoding, struct context *c, bool bit)
{
    uint32_t p = (uint32_t)(((uint64_t)c->fast + c->slow) >> 17) | 1;
    if (decoding)
        bit = range_get(&t->decoder, p);
    else
        range_put(&t->encoder, p, bit);
    struct step s = t->step[c->seen];
    c->seen += c->seen < t->limit;
    c->fast = mix(c->fast, bit, s.fast);
    c->slow = mix(c->slow, bit, s.slow);
    return bit;
}

ALWAYS uint32_t code_even(struct transcoder *t, bool decoding, uint32_t value, int bits)
{
    uint32_t result = 0;
    while (bits > 0) {
        int n = bits < 8 ? bits : 8;
        bits -= n;
        uint32_t part = value >> bits & ((1u << n) - 1);
        if (decoding)
            part = range_get_even(&t->decoder, n);
        else
            range_put_even(&t->encoder, part, n);
        result = result << n | part;
    }
    return result;
}

/* --- binarisation ----------------------------------------------------------------------------------------
 */

/* Exp-Golomb of `value` >= 1: its width in unary, up to `widest`, then the bits below the leading one: the
 * first few by a tree of contexts of that width, the others as they are. */
static inline uint32_t code_remainder(struct transcoder *t, bool decoding, uint32_t value, int widest)
{
    int width = 1;
    while (width < widest && code_bit(t, decoding, &t->model.prefix[width], bit_width(value) > width))
        width++;
    uint32_t result = 1;
    int below = width - 1;
    for (int i = 0; i < MANTISSA && below > 0; i++) {
        below--;
        result =
            result << 1 | code_bit(t, decoding, &t->model.mantissa[width - 1][result], value >> below & 1);
    }
    uint32_t tail = code_even(t, decoding, below ? value & ((1u << below) - 1) : 0, below);
    return result << below | tail;
}

/* A magnitude of 1 to `most`, all ones in front of a zero unless `most` ends it. */
ALWAYS uint32_t code_magnitude(struct transcoder *t, bool decoding, struct context *unary, uint32_t value,
                               uint32_t most)
{
    uint32_t m = 1;
    for (int i = 0; i < UNARY; i++, m++)
        if (m == most || !code_bit(t, decoding, &unary[i], value > m))
            return m;
    if (m == most)
        return m;
    return UNARY + code_remainder(t, decoding, value - UNARY, bit_width(most - UNARY));
}

ALWAYS uint32_t magnitude(int32_t v)
{
    return v < 0 ? 0 - (uint32_t)v : (uint32_t)v;
}

ALWAYS int sign_class(int32_t v)
{
    return v < 0 ? 2 : v > 0;
}

ALWAYS int size_class(int32_t v)
{
    uint32_t m = magnitude(v);
    return m > 1 ? 2 : (int)m;
}

struct neighbours {
    int32_t left, left2, above;
    int column; /* level of the column: that of the code above, or by its history */
};

/* Encode v, or decode and return it. A decoded magnitude may pass the range: the caller looks. */
ALWAYS int64_t code_value(struct transcoder *t, bool decoding, const struct neighbours *n, int32_t v)
{
    struct model *m = &t->model;
    if (!code_bit(t, decoding, &m->significant[n->column][size_class(n->left)][n->left2 != 0], v != 0))
        return 0;
    bool negative = t->high <= 0;
    if (t->low < 0 && t->high > 0)
        negative = code_bit(t, decoding, &m->sign[sign_class(n->left)][sign_class(n->above)], v < 0);
    uint32_t most = magnitude(negative ? t->low : t->high);
    bool large = (uint64_t)magnitude(n->left) + magnitude(n->above) > 2;
    uint32_t size = code_magnitude(t, decoding, m->unary[negative][large], magnitude(v), most ? most : 1);
    return negative ? -(int64_t)size : (int64_t)size;
}

/* --- rows ------------------------------------------------------------------------------------------------
 */

/* Columns are sorted by their non-zero codes so far: none, up to half the mean, the mean, twice the mean,
 * more. */
static void measure_columns(struct transcoder *t, int64_t columns)
{
    uint64_t mean2 = 2 * t->busy_sum / (uint64_t)columns;
    for (int i = 1; i < COLUMN_LEVELS - 1; i++)
        t->threshold[i] = (uint32_t)((mean2 << i) / 8);
}

ALWAYS int column_level(const struct transcoder *t, uint32_t busy)
{
    int level = 0;
    for (int i = 0; i < COLUMN_LEVELS - 1; i++)
        level += busy > t->threshold[i];
    return level;
}

/* One row; above is NULL for the first. Returns false when a decoded code lies outside [low, high]. */
ALWAYS bool code_row(struct transcoder *t, bool decoding, bool history, int32_t *code, const int32_t *above,
                     int64_t columns)
{
    struct neighbours n = { 0 };
    for (int64_t i = 0; i < columns; i++) {
        n.above = above ? above[i] : 0;
        n.column = history ? column_level(t, t->busy[i]) : size_class(n.above);
        int64_t v = code_value(t, decoding, &n, decoding ? 0 : code[i]);
        if (decoding) {
            if (v < t->low || v > t->high)
                return false;
            code[i] = (int32_t)v;
        }
        if (history && v) {
            t->busy[i]++;
            t->busy_sum++;
        }
        n.left2 = n.left;
        n.left = code[i];
    }
    return true;
}

ALWAYS bool code_rows(struct transcoder *t, bool decoding, const struct code_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        int32_t *code = b->code + r * b->columns;
        const int32_t *above = r ? code - b->columns : NULL;
        bool good;
        if (t->busy) {
            measure_columns(t, b->columns);
            good = code_row(t, decoding, true, code, above, b->columns);
        } else {
            good = code_row(t, decoding, false, code, above, b->columns);
        }
        if (!good)
            return false;
    }
    return true;
}

static void encode_rows(struct transcoder *t, const struct code_block *b)
{
    code_rows(t, false, b);
}

static bool decode_rows(struct transcoder *t, const struct code_block *b)
{
    return code_rows(t, true, b);
}

/* --- a block ---------------------------------------------------------------------------------------------
 */

static uint16_t step_weight(uint32_t seen, int pace)
{
    uint32_t n = seen < 1u << pace ? seen : 1u << pace;
    return (uint16_t)(2 * 65536u / (2 * n + 3));
}

static void transcoder_deinit(struct transcoder *t)
{
    free(t->step);
    free(t->busy);
    t->step = NULL;
    t->busy = NULL;
}

/* Fresh contexts for a pass at `pace`; the table of weights is no longer than `count` bits could use. */
static int transcoder_init(struct transcoder *t, const struct code_block *b, const struct pace *pace,
                           size_t count, struct err *e)
{
    transcoder_deinit(t);
    t->low = b->low;
    t->high = b->high;
    t->limit = 1u << pace->slow;
    if (count < t->limit)
        t->limit = (uint32_t)count;
    t->step = mem_array((size_t)t->limit + 1, sizeof *t->step);
    t->busy = pace->history ? mem_array((size_t)b->columns, sizeof *t->busy) : NULL;
    if (!t->step || (pace->history && !t->busy))
        return err_set(e, ERR_NOMEM, "out of memory for the coder's tables");
    for (uint32_t n = 0; n <= t->limit; n++)
        t->step[n] = (struct step){ step_weight(n, pace->fast), step_weight(n, pace->slow) };
    t->busy_sum = 0;
    t->threshold[0] = 0;
    struct context *c = (struct context *)&t->model;
    for (size_t i = 0; i < sizeof t->model / sizeof *c; i++)
        c[i] = (struct context){ .fast = 1u << 31, .slow = 1u << 31 };
    return 0;
}

/* The message for b at one pace, in t->encoder. */
static int encode_pass(struct transcoder *t, const struct code_block *b, size_t pace, struct err *e)
{
    int rc = transcoder_init(t, b, &paces[pace], (size_t)(b->rows * b->columns), e);
    if (rc)
        return rc;
    range_encoder_restart(&t->encoder);
    encode_rows(t, b);
    return range_encoder_finish(&t->encoder, e);
}

/* Which pace gives the shortest message for the beginning of b. */
static int choose_pace(struct transcoder *t, const struct code_block *b, size_t *best, struct err *e)
{
    struct code_block sample = *b;
    if (sample.columns > SAMPLE)
        sample.columns = SAMPLE;
    if (sample.rows > SAMPLE / sample.columns)
        sample.rows = SAMPLE / sample.columns;
    size_t shortest = SIZE_MAX;
    for (size_t i = 0; i < PACES; i++) {
        int rc = encode_pass(t, &sample, i, e);
        if (rc)
            return rc;
        if (t->encoder.length < shortest) {
            shortest = t->encoder.length;
            *best = i;
        }
    }
    return 0;
}

static int cabac_encode(const struct code_block *b, struct buf *out, struct err *e)
{
    size_t count;
    int rc = code_block_check(b, &count, e);
    if (rc || !count)
        return rc;
    struct transcoder *t = mem_alloc(sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory for the coder");
    size_t best = 0;
    rc = range_encoder_init(&t->encoder, e);
    if (!rc)
        rc = choose_pace(t, b, &best, e);
    if (!rc)
        rc = encode_pass(t, b, best, e);
    if (!rc) {
        uint8_t head = (uint8_t)best;
        buf_append(out, &head, 1);
        buf_append(out, t->encoder.data, t->encoder.length);
        if (out->failed)
            rc = err_set(e, ERR_NOMEM, "out of memory for the coded weights");
    }
    range_encoder_deinit(&t->encoder);
    transcoder_deinit(t);
    free(t);
    return rc;
}

static int cabac_decode(struct code_block *b, const uint8_t *data, size_t length, struct err *e)
{
    size_t count;
    int rc = code_block_count(b, &count, e);
    if (rc)
        return rc;
    if (!count || !length)
        return count || length ? err_set(e, ERR_CORRUPT, "%zu bytes for %zu codes", length, count) : 0;
    if (data[0] >= PACES)
        return err_set(e, ERR_CORRUPT, "there is no model %u", data[0]);
    struct transcoder *t = mem_alloc(sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory for the coder");
    rc = transcoder_init(t, b, &paces[data[0]], count, e);
    if (!rc) {
        range_decoder_init(&t->decoder, data + 1, length - 1);
        if (!decode_rows(t, b) || !range_decoder_finished(&t->decoder))
            rc = err_set(e, ERR_CORRUPT, "the coded weights are damaged");
    }
    transcoder_deinit(t);
    free(t);
    return rc;
}

const struct coder coder_cabac = {
    .name = "cabac",
    .title = "Context-adaptive binary arithmetic coding",
    .encode = cabac_encode,
    .decode = cabac_decode,
};
