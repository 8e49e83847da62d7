/* lamp.c - floats >= 0 are ordered like their bits: sorted by digits, then summed from the largest down. */
#include "worker/prune/lamp.h"

#include <string.h>

enum { DIGIT = 11, DIGITS = 3 }; /* 33 bits hold 31 */

/* Bits of the number above, its place below. */
static uint64_t item_of(float x, size_t place)
{
    uint32_t key;

    memcpy(&key, &x, sizeof key);
    return (uint64_t)(key & 0x7fffffff) << 32 | (uint32_t)place;
}

/* One stable pass by the digit at shift. */
static void distribute(const uint64_t *from, uint64_t *to, size_t count, int shift)
{
    size_t at[(1 << DIGIT) + 1] = { 0 };
    const uint64_t mask = (1u << DIGIT) - 1;

    for (size_t i = 0; i < count; i++)
        at[(from[i] >> shift & mask) + 1]++;
    for (size_t d = 1; d <= mask; d++)
        at[d] += at[d - 1];
    for (size_t i = 0; i < count; i++)
        to[at[from[i] >> shift & mask]++] = from[i];
}

void lamp_scores(float *x, size_t count, uint64_t *scratch)
{
    uint64_t *from = scratch, *to = scratch + count;
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        from[i] = item_of(x[i], i);
    for (int d = 0; d < DIGITS; d++) {
        distribute(from, to, count, 32 + d * DIGIT);
        uint64_t *sorted = to;
        to = from;
        from = sorted;
    }
    for (size_t i = count; i-- > 0;) {
        float *v = &x[from[i] & 0xffffffff];
        const double square = (double)*v * (double)*v;
        sum += square;
        *v = sum > 0 ? (float)(square / sum) : 0;
    }
}
