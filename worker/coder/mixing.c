#include "worker/coder/mixing.h"

#include "worker/coder/mixing_alone.h"

enum { STRETCH = 4096 };

/* Computed once, in integers: squash by powers of e^(-1/256), stretch as its inverse. */
uint16_t mixing_squashed[2 * MIXING_REACH + 1];
double mixing_likely[2 * MIXING_REACH + 1];
uint16_t mixing_stretch[STRETCH];
uint32_t mixing_steps[MIXING_LIMIT + 1];

#define FOUR(x)                                                                                              \
    {                                                                                                        \
        x, x, x, x                                                                                           \
    }
#define SHIFTER  4503599627370496.0 /* 2^52: a sum with it has no bits behind the point */
#define EXPONENT 0x4330000000000000 /* its bits */

const struct mixing_every mixing_every = {
    .p = FOUR(MIXING_ONE - 1),
    .limit = FOUR(MIXING_LIMIT),
    .one = FOUR(MIXING_ONE),
    .unit = FOUR(1),
    .reach = FOUR(MIXING_REACH),
    .trusted = FOUR(65536),
    .trust = FOUR(65535 + EXPONENT),
    .exponent = FOUR(EXPONENT),
    .exponent_signed = FOUR(EXPONENT | 0x80000000),
    .sign = FOUR(INT64_MIN),
    .less = FOUR(31.0 / 64 / MIXING_WEIGHT_ONE),
    .certain = FOUR(65536),
    .weight_zero = FOUR(-MIXING_WEIGHT_ZERO),
    .weight_least = FOUR(MIXING_WEIGHT_ZERO - MIXING_WEIGHT_MOST),
    .weight_most = FOUR(MIXING_WEIGHT_ZERO + MIXING_WEIGHT_MOST),
    .doubt = FOUR(8 * 65536 / 3.0),  /* 65536 * 8 / (3k + 9) = this / (k + 3) */
    .steps = FOUR(1 << MIXING_STEP), /* 2^21 / (2n + 3) = this / (n + 3/2) */
    .shifter_signed = FOUR(SHIFTER + 2147483648.0),
    .shifter_half = FOUR(SHIFTER - 0.5),
    .shifter_3 = FOUR(SHIFTER - 3),
    .shifter_3_2 = FOUR(SHIFTER - 1.5),
};

const struct mixed mixing_nobody = { .learned = MIXING_ONE / 2, .opinion = MIXING_REACH };

__attribute__((constructor)) static void make_tables(void)
{
    uint64_t power = (uint64_t)1 << 32; /* e^(-i/256) in 1/2^32 */

    for (int i = 0; i <= MIXING_REACH; i++) {
        const uint32_t one = (uint32_t)(((uint64_t)1 << 48) / (((uint64_t)1 << 32) + power)); /* 1/(1+e^-x) */
        mixing_squashed[MIXING_REACH + i] = (uint16_t)(one > 65535 ? 65535 : one);
        mixing_squashed[MIXING_REACH - i] = (uint16_t)(65536 - (one > 65535 ? 65535 : one));
        power = power * 4278222851u >> 32; /* e^(-1/256) */
    }
    for (int p = 0, x = 0; p < STRETCH; p++) {
        while (x < 2 * MIXING_REACH && mixing_squashed[x] < p * 16 + 8)
            x++;
        mixing_stretch[p] = (uint16_t)x;
    }
    for (uint32_t n = 0; n <= MIXING_LIMIT; n++)
        mixing_steps[n] = (2u << MIXING_STEP) / (2 * n + 3);
    for (int x = 0; x <= 2 * MIXING_REACH; x++) {
        const uint16_t p = mixing_squashed[x];
        mixing_likely[x] = mixing_squashed[x] = p < 2 ? 2 : p > 65534 ? 65534 : p;
    }
}

void counters_reset(struct counter *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        c[i] = (struct counter){ .p = MIXING_ONE / 2, .n = -1 };
}

int mixing_init(struct mixing *m, const uint8_t *data, size_t length, struct err *e)
{
    *m = (struct mixing){ .decoding = data != NULL };
    for (int s = 0; s < MIXING_SETS; s++)
        for (int i = 0; i < MIXING_INPUTS; i++)
            m->weight[s][i] = MIXING_WEIGHT_ZERO + (i ? 0.25 : 1);
    if (!data)
        return range_encoder_init(&m->encoder, e);
    range_decoder_init(&m->decoder, data, length);
    return 0;
}

void mixing_deinit(struct mixing *m)
{
    range_encoder_deinit(&m->encoder);
}

/* A copied opinion weighs as many bits as bring half a one of the rarer kind. */
void mixing_begin(struct mixed *const *c, int count)
{
    if (!c[0]->learned)
        *c[0] = mixed_of(MIXING_ONE / 2, 0, true);
    const int32_t p = (int32_t)(c[0]->learned & (MIXING_ONE - 1)),
                  rarer = p < MIXING_ONE / 2 ? p : MIXING_ONE - p;
    const int32_t half = MIXING_ONE / 2 / (rarer + 1), n = half < MIXING_LIMIT ? half : MIXING_LIMIT;
    for (int i = 1; i < count; i++)
        if (!c[i]->learned)
            *c[i] = mixed_of(p, n, false);
}

/* rate = LEAST + RATE * HALF / (HALF + decisions), rounded down: until when? */
void mixing_slow(struct mixing_pace *pace)
{
    enum { MOST = MIXING_RATE * MIXING_RATE_HALF };
    const int32_t more = MOST / (MIXING_RATE_HALF + pace->seen);
    const int32_t next = more ? MOST / more - MIXING_RATE_HALF + 1 : INT32_MAX;

    pace->rate = (MIXING_RATE_LEAST + more) / (32 * MIXING_WEIGHT_ONE);
    pace->left = next - pace->seen - 1;
    pace->seen = more ? next : pace->seen;
}

bool mixing_single(struct mixing *m, struct counter *c, bool bit)
{
    return alone_single(m, m->decoding, c, bit);
}

uint32_t mixing_even(struct mixing *m, uint32_t value, int bits)
{
    return alone_even(m, m->decoding, value, bits);
}

uint32_t mixing_number(struct mixing *m, struct counter_number *c, uint32_t value)
{
    return alone_number(m, m->decoding, c, value);
}
