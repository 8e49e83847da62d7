/* mixing.h - one binary decision with several opinions, mixed: logistic mixing of adaptive contexts in
 * integers, so that encoder and decoder agree on every machine. After lpaq and PAQ (Mahoney, 2005).
 *
 *      context 0 ─ p0 ─ stretch ─┐
 *      context 1 ─ p1 ─ stretch ─┼─ weights of the set ─ sum ─ squash ─ p ─ range coder
 *      ...                       ┘
 *
 * stretch(p) = ln(p / (1 - p)) in 1/256, squash its inverse. A context that has seen little says little:
 * its opinion counts (n + 1/3) / (n + 3). */
#ifndef WORKER_CODER_MIXING_H
#define WORKER_CODER_MIXING_H

#include "worker/coder/range.h"

enum { MIXING_INPUTS = 10, MIXING_SETS = 12, MIXING_LIMIT = 16383 };

struct counter {
    int32_t p; /* probability that the bit is 1, in 1/2^30 */
    int32_t n; /* bits seen, up to MIXING_LIMIT */
};

/* Everything that goes through one message in one direction. */
struct mixing {
    bool decoding;
    struct range_encoder encoder;
    struct range_decoder decoder;
    int64_t weight[MIXING_SETS][MIXING_INPUTS]; /* in 1/2^32 */
    int32_t seen[MIXING_SETS];                  /* decisions: they learn ever more slowly */
};

/* Counters start even, and copy the first one's opinion when they are asked for the first time. */
void counters_reset(struct counter *c, size_t count);

/* Ready to encode (data NULL; mixing_deinit frees) or to decode. ERR_NOMEM. */
int mixing_init(struct mixing *m, const uint8_t *data, size_t length, struct err *e);
void mixing_deinit(struct mixing *m);

/* Encode bit, or decode and return it, in the opinion of `count` counters; the first is the most general. */
bool mixing_bit(struct mixing *m, int set, struct counter *const *c, int count, bool bit);
/* One counter alone. */
bool mixing_single(struct mixing *m, struct counter *c, bool bit);
/* The lowest `bits` bits of value (0 to 32), each as likely 0 as 1; returned when decoding. */
uint32_t mixing_even(struct mixing *m, uint32_t value, int bits);

/* A number of at least 0 in Exp-Golomb form: counters of its width [33], then of the two bits below the
 * leading one [33][4]; the others are even. */
struct counter_number {
    struct counter width[33], mantissa[33][4];
};
uint32_t mixing_number(struct mixing *m, struct counter_number *c, uint32_t value);

#endif
