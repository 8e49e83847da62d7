/* normal_weight.h - one weight of normal noise, as methods see it. */
#ifndef TESTS_UNIT_NORMAL_WEIGHT_H
#define TESTS_UNIT_NORMAL_WEIGHT_H

#include "base/rng.h"
#include "worker/quant/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COUNT = 500 };

static inline void fill_normal(real *x, int count, uint64_t stream)
{
    struct rng r = rng_at(5, stream, 0);

    for (int i = 0; i < count; i++)
        x[i] = (real)rng_normal(&r);
}

static inline struct quant_weight weight_of(const struct method *m, int bits, const char *grid)
{
    struct quant_weight w = {
        .count = COUNT, .bits = bits, .grid = grid_find(grid), .axis = -1, .channels = 1, .stride = 1
    };

    w.quantizer = m->quantizer(bits);
    w.width = w.quantizer->width(bits);
    return w;
}

#endif
