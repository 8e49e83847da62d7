/* rng.c - Philox4x32-10 and what is made from it. One draw is one block: counter = (index, stream), key =
 * seed. */
#include "base/rng.h"

#include <assert.h>
#include <math.h>

#define ROUNDS 10

/* Multipliers and Weyl constants of section 3.3 of the paper. */
#define M0 0xD2511F53u
#define M1 0xCD9E8D57u
#define W0 0x9E3779B9u
#define W1 0xBB67AE85u

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++, k0 += W0, k1 += W1) {
        uint64_t p0 = (uint64_t)M0 * c0, p1 = (uint64_t)M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_at(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (struct rng){ .seed = seed, .stream = stream, .index = index };
}

static void draw(struct rng *r, uint32_t out[4])
{
    const uint32_t counter[4] = { (uint32_t)r->index, (uint32_t)(r->index >> 32), (uint32_t)r->stream,
                                  (uint32_t)(r->stream >> 32) };
    const uint32_t key[2] = { (uint32_t)r->seed, (uint32_t)(r->seed >> 32) };
    rng_philox(counter, key, out);
    r->index++;
}

uint32_t rng_u32(struct rng *r)
{
    uint32_t block[4];
    draw(r, block);
    return block[0];
}

uint64_t rng_u64(struct rng *r)
{
    uint32_t block[4];
    draw(r, block);
    return (uint64_t)block[1] << 32 | block[0];
}

/* Multiply and shift; the low half tells which products fall into the uneven rest and must be drawn again
 * (Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019). */
uint32_t rng_below(struct rng *r, uint32_t bound)
{
    assert(bound >= 1);
    uint32_t rest = -bound % bound;
    uint64_t product;
    do
        product = (uint64_t)rng_u32(r) * bound;
    while ((uint32_t)product < rest);
    return (uint32_t)(product >> 32);
}

double rng_uniform(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

void rng_normal_pair(struct rng *r, double pair[2])
{
    uint32_t block[4];
    draw(r, block);
    double low = (double)(((uint64_t)block[1] << 32 | block[0]) >> 11) * 0x1p-53;
    double high = (double)(((uint64_t)block[3] << 32 | block[2]) >> 11) * 0x1p-53;
    double radius = sqrt(-2.0 * log(1.0 - low));
    pair[0] = radius * cos(2.0 * M_PI * high);
    pair[1] = radius * sin(2.0 * M_PI * high);
}

double rng_normal(struct rng *r)
{
    double radius = sqrt(-2.0 * log(1.0 - rng_uniform(r))); /* the argument is in (0, 1] */
    return radius * cos(2.0 * M_PI * rng_uniform(r));
}

void rng_shuffle(struct rng *r, uint32_t *order, size_t count)
{
    assert(count <= UINT32_MAX);
    for (size_t left = count; left > 1; left--) {
        size_t pick = rng_below(r, (uint32_t)left);
        uint32_t last = order[left - 1];
        order[left - 1] = order[pick];
        order[pick] = last;
    }
}
