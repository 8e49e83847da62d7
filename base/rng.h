/* rng.h - counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw is a pure function of (seed, stream, index), so that any thread can make any
 * number at any time and a resumed run continues with the same bits. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t seed;   /* the job's seed */
    uint64_t stream; /* what the numbers are for: see the RNG_* list of the caller */
    uint64_t index;  /* next draw; plain data, may be saved and restored */
};

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

struct rng rng_at(uint64_t seed, uint64_t stream, uint64_t index);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t bound);   /* uniform in [0, bound), bound >= 1, unbiased */
double rng_uniform(struct rng *r);                   /* [0, 1) with 53 bits */
double rng_normal(struct rng *r);                    /* N(0,1), Box-Muller, two draws of u64 each call */
void rng_normal_pair(struct rng *r, double pair[2]); /* two of N(0,1) from one draw: to fill arrays */
void rng_shuffle(struct rng *r, uint32_t *order, size_t count); /* Fisher-Yates in place */

#endif
