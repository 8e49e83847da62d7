/* rank.c - selection by the digits of the numbers themselves: floats >= 0 are ordered like their bits. */
#include "worker/prune/rank.h"

#include <stdint.h>
#include <string.h>

enum { DIGIT = 11, DIGITS = 3 }; /* 33 bits hold 31 */

static uint32_t key_of(float x)
{
    uint32_t key;

    memcpy(&key, &x, sizeof key);
    return key & 0x7fffffff;
}

void rank_smallest(const float *x, size_t count, size_t k, float *value, size_t *ties)
{
    uint32_t prefix = 0, known = 0; /* the highest digits of the k-th smallest, and which bits they are */

    *value = 0;
    *ties = 0;
    if (!k)
        return;
    for (int shift = DIGIT * (DIGITS - 1); shift >= 0; shift -= DIGIT) {
        size_t seen[1 << DIGIT] = { 0 };
        const uint32_t mask = (1u << DIGIT) - 1;
        for (size_t i = 0; i < count; i++)
            if ((key_of(x[i]) & known) == prefix)
                seen[key_of(x[i]) >> shift & mask]++;
        uint32_t digit = 0;
        while (k > seen[digit])
            k -= seen[digit++];
        prefix |= digit << shift;
        known |= mask << shift;
    }
    memcpy(value, &prefix, sizeof *value);
    *ties = k;
}
