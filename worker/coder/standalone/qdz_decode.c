/* qdz_decode.c - see qdz_decode.h; the format is worker/coder/README.md. */
#include "qdz_decode.h"

#include <string.h>

enum { ONE = 1 << 30, REACH = 2815, UNARY = 15, SIZES = 16, LINES = 1 << 14 };
enum { SET_ROW, SET_INPUT, SET_BLOCK, SET_ZERO, SET_SIGN = SET_ZERO + 2, SET_MORE = SET_SIGN + 2 };

typedef struct qdz_counter counter;

/* --- bits ------------------------------------------------------------------------------------------------
 */

static void fresh(counter *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        c[i].p = ONE / 2;
        c[i].n = -1;
    }
}

static void refill(struct qdz *q)
{
    while (q->range < 1u << 24) {
        q->code = q->code << 8 | (q->position < q->length ? q->data[q->position] : 0);
        q->position++;
        q->range <<= 8;
    }
}

static int take(struct qdz *q, uint32_t p)
{
    const uint32_t bound = (uint32_t)((uint64_t)q->range * p >> 16);
    const int bit = q->code < bound;

    q->code -= bit ? 0 : bound;
    q->range = bit ? bound : q->range - bound;
    refill(q);
    return bit;
}

static void learn(counter *c, int bit)
{
    const int64_t distance = (bit ? ONE : 0) - (int64_t)c->p;

    c->p += (int32_t)(distance * ((2 << 20) / (2 * c->n + 3)) / (1 << 20));
    c->n += c->n < 16383;
}

static int single(struct qdz *q, counter *c)
{
    if (c->n < 0)
        c->n = 0;
    const int32_t p = c->p >> 14;
    const int bit = take(q, (uint32_t)(p < 32 ? 32 : p > 65504 ? 65504 : p));

    learn(c, bit);
    return bit;
}

static int64_t rarer(int32_t p)
{
    return p < ONE / 2 ? p : ONE - p;
}

static int64_t limited(int64_t weight)
{
    const int64_t most = (int64_t)16 << 32;

    return weight > most ? most : weight < -most ? -most : weight;
}

static int mixed(struct qdz *q, int set, counter *const *c, int count)
{
    int32_t opinion[10];
    int64_t sum = 0;

    if (q->by_first)
        return single(q, c[0]);
    for (int i = 0; i < count; i++) {
        if (c[i]->n < 0) {
            const int64_t n = ONE / 2 / (rarer(c[0]->p) + 1);
            c[i]->p = c[0]->p;
            c[i]->n = n < 16383 ? (int32_t)n : 16383;
        }
        opinion[i] = q->stretch[c[i]->p >> 18];
        if (i) {
            const uint32_t seen = (uint32_t)(2 * rarer(c[i]->p) * c[i]->n >> 30);
            opinion[i] = (int32_t)((int64_t)(opinion[i] - opinion[0]) *
                                   (65536 * (3 * seen + 1) / (3 * seen + 9)) / 65536);
        }
        sum += q->weight[set][i] * opinion[i];
    }
    sum /= (int64_t)1 << 32;
    uint32_t p = q->squash[(sum > REACH ? REACH : sum < -REACH ? -REACH : sum) + REACH];
    p = p < 2 ? 2 : p > 65534 ? 65534 : p;
    const int bit = take(q, p);
    const int64_t rate = 2 + 320 * 4096 / (4096 + q->seen[set]);
    q->seen[set] += q->seen[set] < 320 * 4096;
    for (int i = 0; i < count; i++) {
        q->weight[set][i] =
            limited(q->weight[set][i] + opinion[i] * ((bit ? 65536 : 0) - (int64_t)p) * rate / 32);
        learn(c[i], bit);
    }
    return bit;
}

static uint32_t even(struct qdz *q, int bits)
{
    uint32_t result = 0;

    while (bits > 0) {
        const int n = bits < 8 ? bits : 8;
        bits -= n;
        q->range >>= n;
        uint32_t value = q->code / q->range;
        value = value >> n ? (1u << n) - 1 : value;
        q->code -= value * q->range;
        refill(q);
        result = result << n | value;
    }
    return result;
}

static uint32_t number(struct qdz *q, struct qdz_numbers *c)
{
    int width = 0;

    while (width < 32 && single(q, &c->width[width]))
        width++;
    if (width < 2)
        return (uint32_t)width;
    uint32_t result = 1;
    int below = width - 1;
    for (int i = 0; i < 2 && below > 0; i++, below--)
        result = result << 1 | (uint32_t)single(q, &c->mantissa[width][result]);
    return (uint32_t)((uint64_t)result << below | even(q, below));
}

static int32_t signed_number(struct qdz *q, struct qdz_numbers *c)
{
    const uint32_t u = number(q, c);

    return (int32_t)(u >> 1 ^ (0 - (u & 1)));
}

/* --- the file --------------------------------------------------------------------------------------------
 */

static uint32_t check_sum(const uint8_t *data, size_t length, int whole)
{
    uint32_t crc = whole ? 0xffffffff : 0xffff;

    for (size_t i = 0; i < length; i++) {
        crc ^= whole ? data[i] : (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            if (whole)
                crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
            else
                crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return whole ? ~crc : crc & 0xffff;
}

static void make_tables(struct qdz *q)
{
    uint64_t power = (uint64_t)1 << 32;

    for (int i = 0; i <= REACH; i++) {
        const uint64_t one = ((uint64_t)1 << 48) / (((uint64_t)1 << 32) + power);
        q->squash[REACH + i] = (uint16_t)(one > 65535 ? 65535 : one);
        q->squash[REACH - i] = (uint16_t)(65536 - (one > 65535 ? 65535 : one));
        power = power * 4278222851u >> 32;
    }
    for (int p = 0, x = 0; p < 4096; p++) {
        while (x < 2 * REACH && q->squash[x] < p * 16 + 8)
            x++;
        q->stretch[p] = (int16_t)(x - REACH);
    }
}

/* LEB128; leaves the end alone when there is no whole number. */
static size_t leb(const uint8_t *data, size_t *at, size_t end)
{
    size_t n = 0;

    for (int shift = 0; *at < end && shift < 28; shift += 7) {
        const uint8_t byte = data[(*at)++];
        n |= (size_t)(byte & 127) << shift;
        if (!(byte & 128))
            return n;
    }
    *at = end + 1;
    return 0;
}

int qdz_open(struct qdz *q, const uint8_t *file, size_t length)
{
    const size_t tail = length < 65536 ? 2 : 4;
    uint32_t stored = 0;
    size_t at = 2;

    memset(q, 0, sizeof *q);
    if (length < 4)
        return QDZ_DAMAGED;
    size_t end = length - tail;
    for (size_t i = 0; i < tail; i++)
        stored |= (uint32_t)file[end + i] << 8 * i;
    if (stored != check_sum(file, end, tail == 4))
        return QDZ_DAMAGED;
    if (file[0] != 0xe4)
        return QDZ_UNKNOWN;
    q->reference = file[1];
    if (!q->reference) { /* the description of the network: text for whoever does not know it */
        leb(file, &at, end);
        const size_t coded = at <= end ? leb(file, &at, end) : 0;
        if (at > end || coded > end - at)
            return QDZ_DAMAGED;
        at += coded;
    }
    while (end > at && !file[end - 1])
        end--;
    q->data = file + at;
    q->length = end - at;
    q->range = 0xffffffff;
    for (; q->position < 4; q->position++)
        q->code = q->code << 8 | (q->position < q->length ? q->data[q->position] : 0);
    for (int s = 0; s < 12; s++)
        for (int i = 0; i < 10; i++)
            q->weight[s][i] = (int64_t)1 << (i ? 30 : 32);
    fresh(&q->coded, (size_t)((counter *)&q->mantissa - &q->coded));
    q->mantissa = 23;
    q->last_exponent = 122;
    make_tables(q);
    return 0;
}

/* Every activation has one reader: the output of fc2 none. */
const uint8_t qdz_lenet5_readers[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

static int names(struct qdz *q)
{
    for (int i = 0; i < 2; i++) {
        if (!single(q, &q->text))
            continue;
        const uint32_t length = number(q, &q->number);
        if (length > 4096)
            return QDZ_DAMAGED;
        for (uint32_t k = 0; k < length; k++)
            even(q, 8);
    }
    return 0;
}

int qdz_network(struct qdz *q, struct qdz_network *n)
{
    n->quantizers = 0;
    if (!q->reference)
        return 0;
    if (n->unit_layers > 32)
        return QDZ_ROOM;
    for (int i = 0; i < 4 && q->reference % 2 == 0; i++)
        n->size[i] = number(q, &q->number);
    for (unsigned i = 0; i < n->unit_layers; i++)
        n->gone[i] = number(q, &q->number);
    if (single(q, &q->text))
        for (unsigned v = 0; v < n->values; v++) {
            int through = 0;
            for (int i = 0; i < n->readers[v]; i++)
                through |= single(q, &q->text);
            if (!through)
                continue;
            if (n->quantizers == 32)
                return QDZ_ROOM;
            n->low[n->quantizers] = signed_number(q, &q->number);
            n->high[n->quantizers] = signed_number(q, &q->number);
            single(q, &q->text); /* whether the step was learned */
            n->quantizers++;
        }
    return names(q);
}

/* --- numbers ---------------------------------------------------------------------------------------------
 */

/* Into 4-byte places, as their bits. */
static int floats(struct qdz *q, void *out, size_t count)
{
    int after_zero = 0;

    if (!single(q, &q->same_mantissa))
        q->mantissa = even(q, 5);
    if (q->mantissa > 23)
        return QDZ_DAMAGED;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        after_zero = single(q, &q->zero[after_zero]);
        if (!after_zero) {
            const uint32_t sign = (uint32_t)single(q, &q->sign);
            q->last_exponent = (q->last_exponent + (uint32_t)signed_number(q, &q->exponent)) & 255;
            bits = sign << 31 | q->last_exponent << 23 | even(q, (int)q->mantissa) << (23 - q->mantissa);
        }
        memcpy((char *)out + 4 * i, &bits, 4);
    }
    return 0;
}

struct matrix {
    uint32_t rows, inputs, inner, width;
    int32_t low, high, *code;
    int dead_rows, dead_inputs, dead_blocks;
};

/* Contexts of one tensor: what is fixed, then arrays in the caller's scratch. */
struct tables {
    counter alive[3], row_alive[2], input_alive[2], block_near[4];
    counter zero, near[5], shape[81], cross[16], crowd[13][8];
    counter sign, sign_near[9], sign_shape[81], sign_net[15];
    counter more[SIZES], more_near[7][SIZES];
    struct qdz_numbers large;
};

struct pass {
    struct qdz *q;
    struct matrix x;
    struct tables *t;
    counter *row_zero, *row_sign, *row_block, *row_more, *input_zero, *input_sign, *input_block, *input_more;
    counter *place_zero;
    uint8_t *input_lives, *block_lives;
    uint32_t lines, tracks, places;
    uint32_t row, input, at;
    int32_t left, up, corner, other, before, above;
    int count, net;
};

static uint32_t least(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

static int sgn(int32_t v)
{
    return v > 0 ? 2 : v < 0;
}

static uint32_t size_of(int32_t v)
{
    return v < 0 ? 0 - (uint32_t)v : (uint32_t)v;
}

static void look_around(struct pass *s, const int32_t *code)
{
    const struct matrix *x = &s->x;
    const size_t row = (size_t)x->inputs * x->inner, w = x->width;
    const uint32_t across = x->inner > 1 ? s->at % x->width : 0;

    s->before = s->input ? code[-(ptrdiff_t)x->inner] : 0;
    s->above = s->row ? *(code - row) : 0;
    if (x->inner == 1) {
        s->left = s->before;
        s->up = s->above;
        s->corner = s->row && s->input ? *(code - row - 1) : 0;
        s->other = s->input > 1 ? *(code - 2) : 0;
        return;
    }
    s->left = across ? *(code - 1) : 0;
    s->up = s->at >= w ? *(code - w) : 0;
    s->corner = across && s->at >= w ? *(code - w - 1) : 0;
    s->other = s->at >= w && across + 1 < w ? *(code - w + 1) : 0;
}

static uint32_t magnitude(struct pass *s, uint32_t most)
{
    struct tables *t = s->t;
    const uint32_t sum = size_of(s->left) + size_of(s->up), n = sum < 6 ? sum : 6;
    uint32_t m = 1;

    if (most > UNARY)
        return number(s->q, &t->large) + 1;
    for (; m < most; m++) {
        counter *const c[] = { &t->more[m], &t->more_near[n][m], &s->row_more[s->row % s->lines * SIZES + m],
                               &s->input_more[s->input % s->tracks * SIZES + m] };
        if (!mixed(s->q, SET_MORE + (m < 3 ? (int)m - 1 : 2), c, 4))
            break;
    }
    return m;
}

static int value(struct pass *s, int32_t *v)
{
    struct tables *t = s->t;
    const struct matrix *x = &s->x;
    const int near = (s->left != 0) + (s->up != 0) + (s->corner != 0) + (s->other != 0);
    const int shape = sgn(s->left) + 3 * sgn(s->up) + 9 * sgn(s->corner) + 27 * sgn(s->other);
    const int cross = (s->left != 0) + 2 * (s->up != 0) + 4 * (s->before != 0) + 8 * (s->above != 0);
    const uint32_t row = s->row % s->lines, input = s->input % s->tracks;
    counter *const zero[] = { &t->zero,
                              &t->near[near],
                              &s->row_zero[row],
                              &s->input_zero[input],
                              &s->place_zero[s->at % s->places],
                              &t->cross[cross],
                              &t->crowd[s->count < 12 ? s->count : 12][(uint64_t)s->at * 8 / x->inner],
                              &t->shape[shape] };

    *v = 0;
    if (!mixed(s->q, SET_ZERO + (x->inner > 1), zero, 8))
        return 0;
    int negative = x->high <= 0;
    if (x->low < 0 && x->high > 0) {
        const int net = s->net > 1 ? 3 : s->net < -1 ? 0 : s->net > 0 ? 2 : s->net < 0 ? 1 : 4;
        counter *const sign[] = {
            &t->sign,          &t->sign_near[sgn(s->left) + 3 * sgn(s->up)],          &t->sign_shape[shape],
            &s->row_sign[row], &t->sign_net[net * 3 + (s->count < 2 ? s->count : 2)], &s->input_sign[input]
        };
        negative = mixed(s->q, SET_SIGN + (x->inner > 1), sign, 6);
    }
    const uint32_t most = size_of(negative ? x->low : x->high), size = magnitude(s, most);
    if (!most || size > most)
        return QDZ_DAMAGED;
    *v = negative ? (int32_t)(0 - size) : (int32_t)size;
    return 0;
}

static int decode_row(struct pass *s, int32_t *code)
{
    const struct matrix *x = &s->x;

    s->count = s->net = 0;
    for (s->input = 0; s->input < x->inputs; s->input++) {
        uint8_t *lives = s->block_lives + s->input;
        int32_t *block = code + (size_t)s->input * x->inner;
        *lives = s->input_lives[s->input];
        if (x->inner > 1)
            s->count = s->net = 0;
        if (*lives && x->dead_blocks) {
            const int near = (s->input ? lives[-1] : 0) | (s->row ? lives[x->inputs] << 1 : 0);
            counter *const c[] = { &s->t->alive[2], &s->row_block[s->row % s->lines],
                                   &s->input_block[s->input % s->tracks], &s->t->block_near[near] };
            *lives = (uint8_t)mixed(s->q, SET_BLOCK, c, 4);
        }
        for (s->at = 0; *lives && s->at < x->inner; s->at++) {
            look_around(s, block + s->at);
            if (value(s, &block[s->at]))
                return QDZ_DAMAGED;
            s->count += block[s->at] != 0;
            s->net += (block[s->at] > 0) - (block[s->at] < 0);
        }
    }
    return 0;
}

static int decode_matrix(struct pass *s)
{
    const struct matrix *x = &s->x;
    const size_t row = (size_t)x->inputs * x->inner;
    int before = 1;

    memset(s->input_lives, 1, x->inputs);
    for (uint32_t i = 0; x->dead_inputs && i < x->inputs; i++) {
        counter *const c[] = { &s->t->alive[1], &s->t->input_alive[before] };
        s->input_lives[i] = (uint8_t)(before = mixed(s->q, SET_INPUT, c, 2));
    }
    before = 1;
    for (s->row = 0; s->row < x->rows; s->row++) {
        counter *const c[] = { &s->t->alive[0], &s->t->row_alive[before] };
        int32_t *code = x->code + s->row * row;
        if (x->dead_rows)
            before = mixed(s->q, SET_ROW, c, 2);
        memset(code, 0, row * sizeof *code);
        memset(s->block_lives, 0, x->inputs);
        if (before && decode_row(s, code))
            return QDZ_DAMAGED;
        memcpy(s->block_lives + x->inputs, s->block_lives, x->inputs);
    }
    return 0;
}

/* --- a tensor --------------------------------------------------------------------------------------------
 */

static uint64_t elements(const struct qdz_tensor *t)
{
    uint64_t count = 1;

    for (uint32_t i = 0; i < t->rank && i < 4; i++)
        count *= t->dim[i];
    return count;
}

static size_t counters_of(const struct pass *s)
{
    return (size_t)(s->lines + (uint64_t)s->tracks) * (3 + SIZES) + s->places;
}

/* The largest that any layout of it takes. */
size_t qdz_work(const struct qdz_tensor *t)
{
    const uint64_t count = elements(t), rows = t->rank > 1 ? t->dim[0] : 1;
    const uint64_t row = rows ? count / rows : 0;
    const uint64_t counters =
        (least(rows, LINES) + (uint64_t)least(row, LINES)) * (3 + SIZES) + least(row, LINES);

    return sizeof(struct tables) + (size_t)counters * sizeof(counter) + 3 * (size_t)row;
}

static int carve(struct pass *s, void *work, size_t bytes)
{
    const struct matrix *x = &s->x;

    s->lines = least(x->rows, LINES);
    s->tracks = least(x->inputs, LINES);
    s->places = least(x->inner, LINES);
    const size_t count = counters_of(s);
    if (bytes < sizeof *s->t + count * sizeof(counter) + 3 * (size_t)x->inputs)
        return QDZ_ROOM;
    s->t = work;
    fresh((counter *)s->t, sizeof *s->t / sizeof(counter));
    counter *c = (counter *)(s->t + 1);
    fresh(c, count);
    s->row_zero = c;
    s->row_sign = s->row_zero + s->lines;
    s->row_block = s->row_sign + s->lines;
    s->row_more = s->row_block + s->lines;
    s->input_zero = s->row_more + (size_t)s->lines * SIZES;
    s->input_sign = s->input_zero + s->tracks;
    s->input_block = s->input_sign + s->tracks;
    s->input_more = s->input_block + s->tracks;
    s->place_zero = s->input_more + (size_t)s->tracks * SIZES;
    s->input_lives = (uint8_t *)(c + count);
    s->block_lives = s->input_lives + x->inputs;
    memset(s->block_lives, 0, 2 * (size_t)x->inputs);
    return 0;
}

static int layout(struct qdz *q, const struct qdz_tensor *t, struct matrix *x)
{
    const uint64_t count = elements(t);

    x->rows = t->rank > 1 ? t->dim[0] : 1;
    x->inputs = x->rows ? (uint32_t)(count / x->rows) : 0;
    x->inner = x->width = 1;
    if (t->rank == 4) {
        x->inputs = t->dim[1];
        x->inner = t->dim[2] * t->dim[3];
        x->width = t->dim[3];
    } else if (t->rank > 1 && !single(q, &q->usual)) {
        x->inner = number(q, &q->layout);
        x->width = number(q, &q->layout);
        if (!x->inner || !x->width || x->width > x->inner || x->inputs % x->inner)
            return QDZ_DAMAGED;
        x->inputs /= x->inner;
    }
    return 0;
}

static int width_for(int32_t low, int32_t high)
{
    const uint32_t a = size_of(low), b = (uint32_t)high, most = a > b ? a : b;
    int width = 1;

    while (width < 32 && most >> (width - 1))
        width++;
    return width < 2 ? 2 : width;
}

int qdz_tensor(struct qdz *q, struct qdz_tensor *t, void *work, size_t bytes)
{
    const uint64_t count = elements(t);
    struct pass s = { .q = q };

    t->is_float = !single(q, &q->coded);
    if (t->is_float)
        return floats(q, t->code, (size_t)count);
    if (layout(q, t, &s.x))
        return QDZ_DAMAGED;
    const int symmetric = single(q, &q->symmetric);
    s.x.high = (int32_t)number(q, &q->number);
    s.x.low = symmetric ? -s.x.high : (int32_t)(0 - number(q, &q->number));
    if (s.x.high < 0 || s.x.low > 0)
        return QDZ_DAMAGED;
    t->bits = single(q, &q->fits) ? width_for(s.x.low, s.x.high) : (int)even(q, 5) + 1;
    t->axis = single(q, &q->channels) ? (int)even(q, 3) : -1;
    t->basis = t->axis == 7; /* tensors have four dimensions at most here */
    if (t->basis) {
        t->axis = (int)even(q, 3);
        t->axis = t->axis == 7 ? -1 : t->axis;
    }
    if (t->axis >= (int)t->rank || (t->basis && t->bits > 8))
        return QDZ_DAMAGED;
    const size_t scales = (t->axis < 0 ? 1 : t->dim[t->axis]) * (size_t)(t->basis ? t->bits : 1);
    if (scales > t->scales)
        return QDZ_ROOM;
    if (floats(q, t->scale, scales))
        return QDZ_DAMAGED;
    s.x.code = t->code;
    memset(t->code, 0, (size_t)count * sizeof *t->code);
    if (!s.x.low && !s.x.high)
        return 0;
    s.x.dead_rows = single(q, &q->dead[0]);
    s.x.dead_inputs = single(q, &q->dead[1]);
    s.x.dead_blocks = s.x.inner > 1 && single(q, &q->dead[2]);
    q->by_first = count >= 1 << 15 && single(q, &q->alone);
    const int room = carve(&s, work, bytes);
    return room ? room : decode_matrix(&s);
}

int qdz_end(const struct qdz *q)
{
    return q->code < 1u << 24 && q->length + 3 <= q->position && (!q->length || q->data[q->length - 1])
               ? 0
               : QDZ_DAMAGED;
}
