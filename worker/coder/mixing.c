#include "worker/coder/mixing.h"

#include "worker/coder/coder_impl.h"

#include <string.h>

enum {
    STRETCH = 4096,
    REACH = 2815,
    LEARN = 21,
    FIRST_WEIGHT = 13107,
    RATE = 80,
    RATE_LEAST = 2,
    RATE_HALF = 2048
};

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
        step_table[n] = 131072 / (2 * n + 3);
        trust_table[n] = (65536 * (3 * n + 1)) / (3 * n + 9);
    }
}

void counters_reset(struct counter *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        c[i] = (struct counter){ .p = 1 << 21, .n = -1 };
}

int mixing_init(struct mixing *m, const uint8_t *data, size_t length, struct err *e)
{
    *m = (struct mixing){ .decoding = data != NULL };
    for (int s = 0; s < MIXING_SETS; s++)
        for (int i = 0; i < MIXING_INPUTS; i++)
            m->weight[s][i] = FIRST_WEIGHT;
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
    const int64_t distance = (bit ? 1 << 22 : 0) - c->p;

    c->p += (int32_t)(distance * step_table[c->n] / 65536);
    c->n += c->n < MIXING_LIMIT;
}

static int stretch(const struct counter *c)
{
    return stretch_table[c->p >= 1 << 22 ? STRETCH - 1 : c->p >> 10];
}

static uint32_t squash(int64_t x)
{
    const uint32_t p = squash_table[(x > REACH ? REACH : x < -REACH ? -REACH : x) + REACH];

    return p < 2 ? 2 : p > 65534 ? 65534 : p;
}

bool mixing_bit(struct mixing *m, int set, struct counter *const *c, int count, bool bit)
{
    int32_t *w = m->weight[set];
    int opinion[MIXING_INPUTS];
    int64_t sum = 0;

    for (int i = 0; i < count; i++) {
        if (c[i]->n < 0)
            *c[i] = (struct counter){ .p = c[0]->p, .n = 0 };
        opinion[i] = stretch(c[i]);
        if (i)
            opinion[i] = (int)((int64_t)opinion[i] * trust_table[c[i]->n] / 65536);
        sum += (int64_t)w[i] * opinion[i];
    }
    const uint32_t p = squash(sum / 65536);
    bit = transfer(m, p, bit);
    const int64_t error = (bit ? 65536 : 0) - (int64_t)p;
    const int64_t rate = RATE_LEAST + RATE * RATE_HALF / (RATE_HALF + m->seen[set]);
    m->seen[set] += m->seen[set] < RATE_HALF * RATE;
    for (int i = 0; i < count; i++) {
        w[i] += (int32_t)(opinion[i] * error * rate / (1 << LEARN));
        learn(c[i], bit);
    }
    return bit;
}

bool mixing_single(struct mixing *m, struct counter *c, bool bit)
{
    if (c->n < 0)
        c->n = 0;
    const int32_t p = c->p >> 6;
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
