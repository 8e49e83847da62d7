/* int8_pack.c - weights in the order in which the kernels of int8.h read them. The same for every set. */
#include "worker/kernels/int8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

struct int8_groups int8_groups(const struct conv *c)
{
    int channels = c->C / c->groups, outputs = c->O / c->groups, joined = 1;
    if (c->groups > 1)
        while (joined < QUAD && (channels * joined % QUAD || outputs * joined % QUAD))
            joined *= 2;
    joined = smaller(joined, c->groups);
    return (struct int8_groups){ (c->groups + joined - 1) / joined, channels * joined, outputs * joined };
}

/* Bytes from one quad of outputs to the next. */
static size_t quad_bytes(const struct conv *c)
{
    return (size_t)quads(int8_groups(c).channels) * c->KH * c->KW * QUAD * QUAD;
}

size_t int8_packed(const struct conv *c)
{
    return quads(c->O) * quad_bytes(c);
}

/* A pair of products u8 * s8 fits 16 bits with sign when the weights' magnitudes add up to 128 at most. */
static bool pairs_fit(const int8_t *packed, size_t bytes)
{
    int most = 0; /* without a way out, so that vectors can do it */
    for (size_t i = 0; i < bytes; i += 2) {
        int sum = abs(packed[i]) + abs(packed[i + 1]);
        most = sum > most ? sum : most;
    }
    return most <= 128;
}

void int8_pack(struct int8_conv *k, const int8_t *w, int8_t *packed)
{
    const struct conv *c = &k->conv;
    struct int8_groups g = int8_groups(c);
    int channels = c->C / c->groups, outputs = c->O / c->groups, taps = c->KH * c->KW;
    memset(packed, 0, int8_packed(c));
    for (int o = 0; o < c->O; o++) {
        int8_t *row = packed + (o / QUAD) * quad_bytes(c) + o % QUAD * QUAD;
        int first = o / outputs * channels % g.channels; /* of its own group in the joined one */
        int i = 0;
        for (; taps == 1 && first % QUAD == 0 && i + QUAD <= channels; i += QUAD, w += QUAD)
            memcpy(row + (first + i) / QUAD * QUAD * QUAD, w, QUAD);
        for (; i < channels; i++)
            for (int t = 0; t < taps; t++, w++) {
                int at = first + i;
                row[(at / QUAD * taps + t) * QUAD * QUAD + at % QUAD] = *w;
            }
    }
    k->narrow = pairs_fit(packed, int8_packed(c));
}

struct int8_in int8_dense_in(const struct conv *c, const uint8_t *code)
{
    ptrdiff_t plane = (ptrdiff_t)c->H * c->W;
    return (struct int8_in){ .code = code, .row = c->W, .plane = plane, .block = plane * quads(c->C) };
}

struct int8_out int8_dense_out(const struct conv *c, enum int8_form form, void *at)
{
    ptrdiff_t plane = (ptrdiff_t)c->OH * c->OW;
    return (struct int8_out){ .form = form,
                              .at = at,
                              .row = c->OW,
                              .plane = plane,
                              .block = plane * (form == INT8_CODES ? quads(c->O) : c->O),
                              .high = UINT8_MAX,
                              .least = -INFINITY,
                              .most = INFINITY };
}
