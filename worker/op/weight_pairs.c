#include "worker/op/weight_pairs.h"

#include <string.h>

static size_t weights_of_output(const struct conv *c)
{
    return (size_t)(c->C / c->groups) * c->KH * c->KW;
}

static size_t weights_of(const struct conv *c)
{
    return (size_t)c->O * weights_of_output(c);
}

size_t weight_pairs_bytes(const struct conv *c, int blocks)
{
    return tiles_part(c, blocks) ? (size_t)(blocks + 1) / 2 * weights_of(c) * sizeof(real) : 0;
}

real *weight_pairs_clear(const struct conv *c, void *room, int pair)
{
    real *dw = (real *)room + (size_t)pair * weights_of(c);
    memset(dw, 0, weights_of(c) * sizeof *dw);
    return dw;
}

void weight_pairs_add(const struct conv *c, const void *room, int blocks, real *dw, int lo, int hi)
{
    const size_t from = (size_t)lo * weights_of_output(c), end = (size_t)hi * weights_of_output(c);
    const real *sum = room;
    for (int b = 0; b < blocks; b += 2, sum += weights_of(c))
        for (size_t i = from; i < end; i++)
            dw[i] += sum[i];
}
