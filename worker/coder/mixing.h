/* mixing.h - one binary decision with several opinions, mixed: logistic mixing of adaptive contexts in
 * integers, so that encoder and decoder agree on every machine. After lpaq and PAQ (Mahoney, 2005).
 *
 *      context 0 ─ p0 ─ stretch ─┐
 *      context 1 ─ p1 ─ stretch ─┼─ weights of the set ─ sum ─ squash ─ p ─ range coder
 *      ...                       ┘
 *
 * stretch(p) = ln(p / (1 - p)) in 1/256, squash its inverse. A context that has seen little says little:
 * its opinion counts (n + 1/3) / (n + 3). mixing_lanes.h asks and teaches all counters of a decision at
 * once; here is what surrounds that. */
#ifndef WORKER_CODER_MIXING_H
#define WORKER_CODER_MIXING_H

#include "worker/coder/range.h"

enum {
    MIXING_INPUTS = 8,
    MIXING_SETS = 12,
    MIXING_LIMIT = 16383,
    MIXING_ONE = 1 << 30, /* a probability */
    MIXING_STEP = 20,     /* bits behind the point of a counter's step */
    MIXING_REACH = 2815,
    MIXING_RATE = 320,
    MIXING_RATE_LEAST = 2,
    MIXING_RATE_HALF = 4096
};

/* Weights have 32 bits behind the point: rounding must not swallow what many likely bits say. They are kept
 * as WEIGHT_ZERO more than they are, where the last bit of a double is just that one. */
#define MIXING_WEIGHT_ONE  4294967296.0
#define MIXING_WEIGHT_MOST 16.0
#define MIXING_WEIGHT_ZERO 1572864.0 /* 1.5 * 2^20 */

/* A counter that is asked alone. */
struct counter {
    int32_t p; /* probability that the bit is 1, in 1/2^30 */
    int32_t n; /* bits seen, up to MIXING_LIMIT; -1: never asked */
};

/* A counter that is asked beside others, and what follows from p and n; all zero: never asked. */
struct mixed {
    union {
        uint64_t learned;     /* p, n from bit 30 on, step of the next bit from bit 44 on */
        struct counter alone; /* where none is asked beside it, after all */
    };
    uint64_t opinion; /* stretch + REACH (in 1/256), trust (in 1/65536) from bit 32 on */
} __attribute__((aligned(16)));

/* Everything that goes through one message in one direction. */
struct mixing {
    bool decoding;
    struct range_encoder encoder;
    struct range_decoder decoder;
    struct mixing_pace {
        double rate;
        int32_t seen, left; /* decisions at the last change, from now to the next */
    } pace[MIXING_SETS];
    double weight[MIXING_SETS][MIXING_INPUTS] __attribute__((aligned(32))); /* + WEIGHT_ZERO */
};

/* Counters start even. */
void counters_reset(struct counter *c, size_t count);

/* Ready to encode (data NULL; mixing_deinit frees) or to decode. ERR_NOMEM. */
int mixing_init(struct mixing *m, const uint8_t *data, size_t length, struct err *e);
void mixing_deinit(struct mixing *m);

/* One counter alone: encode bit, or decode and return it. */
bool mixing_single(struct mixing *m, struct counter *c, bool bit);
/* The lowest `bits` bits of value (0 to 32), each as likely 0 as 1; returned when decoding. */
uint32_t mixing_even(struct mixing *m, uint32_t value, int bits);

/* A number of at least 0 in Exp-Golomb form: counters of its width [33], then of the two bits below the
 * leading one [33][4]; the others are even. */
struct counter_number {
    struct counter width[33], mantissa[33][4];
};
uint32_t mixing_number(struct mixing *m, struct counter_number *c, uint32_t value);

/* --- for mixing_*.h ----------------------------------------------------------------------------------
 */

extern uint32_t mixing_steps[MIXING_LIMIT + 1]; /* of a counter that has seen n bits: 2^21 / (2n + 3) */
extern uint16_t mixing_stretch[4096];           /* + REACH, in 1/256; of p in 1/4096 */
extern uint16_t mixing_squashed[2 * MIXING_REACH + 1]; /* 2 to 65534, in 1/65536 */
extern double mixing_likely[2 * MIXING_REACH + 1];     /* the same */

/* Numbers that mixing_lanes.h takes from memory, once for each lane. */
extern const struct mixing_every {
    int64_t p[4], limit[4], one[4], unit[4], reach[4], trusted[4], trust[4], exponent[4], exponent_signed[4],
        sign[4];
    double less[4], certain[4], weight_zero[4], weight_least[4], weight_most[4], doubt[4], steps[4];
    double shifter_signed[4], shifter_half[4], shifter_3[4], shifter_3_2[4];
} mixing_every __attribute__((aligned(32)));

extern const struct mixed mixing_nobody; /* a counter that is not trusted at all */

/* A counter of p and n; the first of a mixture is trusted whatever it has seen. */
static inline struct mixed mixed_of(int32_t p, int32_t n, bool first)
{
    const int64_t rarer = p < MIXING_ONE / 2 ? p : MIXING_ONE - p;
    const uint32_t seen = (uint32_t)(2 * rarer * n >> 30);
    const uint64_t step = mixing_steps[n], trust = first ? 65536 : 65536 * (3 * seen + 1) / (3 * seen + 9);

    return (struct mixed){ .learned = (uint64_t)p | (uint64_t)n << 30 | step << 44,
                           .opinion = mixing_stretch[p >> 18] | trust << 32 };
}

void mixing_slow(struct mixing_pace *pace);

/* Those of c that were never asked begin with the opinion of the first, which begins even. */
void mixing_begin(struct mixed *const *c, int count);

/* How much weights of a set learn from its next decision, for an opinion of 1/256 and an error of 1/65536:
 * ever less. */
static inline double mixing_rate(struct mixing *m, int set)
{
    struct mixing_pace *pace = &m->pace[set];

    if (__builtin_expect(pace->left-- == 0, 0))
        mixing_slow(pace);
    return pace->rate;
}

/* Where a sum of opinions, in 1/256, is found in the tables of probabilities. */
static inline int mixing_place(double sum)
{
    const double low = sum < -MIXING_REACH ? -MIXING_REACH : sum, x = low > MIXING_REACH ? MIXING_REACH : low;

    return (int)x + MIXING_REACH;
}

#endif
