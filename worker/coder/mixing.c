#include "worker/coder/mixing.h"

#include "worker/coder/coder_impl.h"

#include <string.h>

enum {
    STRETCH = 4096,
    REACH = 2815,
    LEARN = 5,
    ONE = 1 << 30, /* a probability */
    STEP = 20,     /* bits behind the point of a counter's step */
    RATE = 320,
    RATE_LEAST = 2,
    RATE_HALF = 4096
};

/* Weights have 32 bits behind the point: rounding must not swallow what many likely bits say. */
#define WEIGHT_ONE   ((int64_t)1 << 32)
#define WEIGHT_FIRST (WEIGHT_ONE / 4)
#define WEIGHT_MOST  (16 * WEIGHT_ONE)

/* Tables are computed once, in integers: squash by powers of e^(-1/256), stretch as its inverse. */
static uint16_t squash_table[2 * REACH + 1];
static int16_t stretch_table[STRETCH];
static uint32_t step_table[MIXING_LIMIT + 1], trust_table[MIXING_LIMIT + 1];

__attribute__((constructor)) static void make_tables(void)
{
    uint64_t power = (uint64_t)1 << 32; /* e^(-i/256) in 1/2^32 */

    for (int i = 0; i <= REACH; i++) {
        const uint32_t one = (uint32_t)(((uint64_t)1 << 48) / (((uint64_t)1 << 32) + power)); /* 1/(1+e^-x) */
        squash_table[REACH + i] = (uint16_t)(one > 65535 ? 65535 : one);
        squash_table[REACH - i] = (uint16_t)(65536 - (one > 65535 ? 65535 : one));
        power = power * 4278222851u >> 32; /* e^(-1/256) */
    }
    for (int p = 0, x = 0; p < STRETCH; p++) {
        while (x < 2 * REACH && squash_table[x] < p * 16 + 8)
            x++;
        stretch_table[p] = (int16_t)(x - REACH);
    }
    for (uint32_t n = 0; n <= MIXING_LIMIT; n++) {
        step_table[n] = (2u << STEP) / (2 * n + 3);
        trust_table[n] = (65536 * (3 * n + 1)) / (3 * n + 9);
    }
}

void counters_reset(struct counter *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        c[i] = (struct counter){ .p = ONE / 2, .n = -1 };
}

int mixing_init(struct mixing *m, const uint8_t *data, size_t length, struct err *e)
{
    *m = (struct mixing){ .decoding = data != NULL };
    for (int s = 0; s < MIXING_SETS; s++)
        for (int i = 0; i < MIXING_INPUTS; i++)
            m->weight[s][i] = i ? WEIGHT_FIRST : WEIGHT_ONE;
    if (!data)
        return range_encoder_init(&m->encoder, e);
    range_decoder_init(&m->decoder, data, length);
    return 0;
}

void mixing_deinit(struct mixing *m)
{
    range_encoder_deinit(&m->encoder);
}

static bool transfer(struct mixing *m, uint32_t p, bool bit)
{
    if (m->decoding)
        return range_get(&m->decoder, p);
    range_put(&m->encoder, p, bit);
    return bit;
}

static void learn(struct counter *c, bool bit)
{
    const int64_t distance = (bit ? ONE : 0) - c->p;

    c->p += (int32_t)(distance * step_table[c->n] / (1 << STEP));
    c->n += c->n < MIXING_LIMIT;
}

static int64_t rarer(int32_t p)
{
    return p < ONE / 2 ? p : ONE - p;
}

/* As many bits as bring half a one of the rarer kind: what a copied opinion weighs against what is seen. */
static int32_t half_seen(int32_t p)
{
    const int64_t n = ONE / 2 / (rarer(p) + 1);

    return (int32_t)(n < MIXING_LIMIT ? n : MIXING_LIMIT);
}

/* By how often it has seen the rarer bit, about: that is what the error of its logarithm depends on. */
static int64_t trust(const struct counter *c)
{
    return trust_table[2 * rarer(c->p) * c->n >> 30];
}

static int stretch(const struct counter *c)
{
    return stretch_table[c->p >> 18];
}

static uint32_t squash(int64_t x)
{
    const uint32_t p = squash_table[(x > REACH ? REACH : x < -REACH ? -REACH : x) + REACH];

    return p < 2 ? 2 : p > 65534 ? 65534 : p;
}

bool mixing_bit(struct mixing *m, int set, struct counter *const *c, int count, bool bit)
{
    int64_t *w = m->weight[set];
    int opinion[MIXING_INPUTS];
    int64_t sum = 0;

    for (int i = 0; i < count; i++) {
        if (c[i]->n < 0)
            *c[i] = (struct counter){ .p = c[0]->p, .n = half_seen(c[0]->p) };
        opinion[i] = stretch(c[i]);
        if (i)
            opinion[i] = (int)((int64_t)(opinion[i] - opinion[0]) * trust(c[i]) / 65536);
        sum += w[i] * opinion[i];
    }
    const uint32_t p = squash(sum / WEIGHT_ONE);
    bit = transfer(m, p, bit);
    const int64_t error = (bit ? 65536 : 0) - (int64_t)p;
    const int64_t rate = RATE_LEAST + RATE * RATE_HALF / (RATE_HALF + m->seen[set]);
    m->seen[set] += m->seen[set] < RATE_HALF * RATE;
    for (int i = 0; i < count; i++) {
        const int64_t next = w[i] + opinion[i] * error * rate / (1 << LEARN);
        w[i] = next > WEIGHT_MOST ? WEIGHT_MOST : next < -WEIGHT_MOST ? -WEIGHT_MOST : next;
        learn(c[i], bit);
    }
    return bit;
}

bool mixing_single(struct mixing *m, struct counter *c, bool bit)
{
    if (c->n < 0)
        c->n = 0;
    const int32_t p = c->p >> 14;
    bit = transfer(m, (uint32_t)(p < 32 ? 32 : p > 65504 ? 65504 : p), bit);
    learn(c, bit);
    return bit;
}

uint32_t mixing_even(struct mixing *m, uint32_t value, int bits)
{
    uint32_t result = 0;

    while (bits > 0) {
        const int n = bits < 8 ? bits : 8;
        bits -= n;
        uint32_t part = value >> bits & ((1u << n) - 1);
        if (m->decoding)
            part = range_get_even(&m->decoder, n);
        else
            range_put_even(&m->encoder, part, n);
        result = result << n | part;
    }
    return result;
}

uint32_t mixing_number(struct mixing *m, struct counter_number *c, uint32_t value)
{
    const int wanted = bit_width(value);
    int width = 0;

    while (width < 32 && mixing_single(m, &c->width[width], wanted > width))
        width++;
    if (width < 2)
        return (uint32_t)width;
    uint32_t result = 1;
    int below = width - 1;
    for (int i = 0; i < 2 && below > 0; i++) {
        below--;
        result = result << 1 | mixing_single(m, &c->mantissa[width][result], value >> below & 1);
    }
    const uint32_t tail = mixing_even(m, below ? value & ((1u << below) - 1) : 0, below);
    return (uint32_t)((uint64_t)result << below | tail);
}
