/* codes.c - the integers of a quantized parameter. */
#include "base/mem.h"
#include "worker/graph/graph.h"

#include <stdlib.h>
#include <string.h>

size_t value_codes_scales(const struct value_codes *c)
{
    return (size_t)c->channels * (c->planes ? (size_t)c->planes : 1);
}

bool value_codes_room(struct value_codes *c, size_t count)
{
    c->scale = mem_array(value_codes_scales(c) + 1, sizeof *c->scale);
    c->code = mem_array(count + 1, sizeof *c->code);
    return c->scale && c->code;
}

struct value_codes *value_codes_new(const struct value_codes *like, size_t count)
{
    struct value_codes *c = mem_alloc(sizeof *c);

    if (!c)
        return NULL;
    *c = *like;
    c->scale = NULL;
    c->code = NULL;
    if (value_codes_room(c, count))
        return c;
    value_codes_free(c);
    return NULL;
}

struct value_codes *value_codes_copy(const struct value_codes *c, size_t count)
{
    struct value_codes *copy = value_codes_new(c, count);

    if (!copy)
        return NULL;
    memcpy(copy->scale, c->scale, value_codes_scales(c) * sizeof *c->scale);
    memcpy(copy->code, c->code, count * sizeof *c->code);
    return copy;
}

void value_codes_free(struct value_codes *c)
{
    if (!c)
        return;
    free(c->scale);
    free(c->code);
    free(c);
}

bool value_codes_ok(const struct value_codes *c, const struct shape *s)
{
    const int64_t count = shape_count(s);
    const int32_t most = (1 << (c->planes & 31)) - 1;

    if (c->axis < -1 || c->axis >= s->rank || c->channels != (c->axis < 0 ? 1 : s->dim[c->axis]) ||
        (c->planes && (c->planes != c->bits || c->planes > VALUE_PLANES)))
        return false;
    for (int64_t i = 0; c->planes && i < count; i++)
        if (c->code[i] < -most || c->code[i] > most || !(c->code[i] & 1))
            return false;
    return true;
}

static real number(const struct value_codes *c, int64_t channel, int32_t code)
{
    const float *v = c->scale + channel * (c->planes ? c->planes : 1);
    real sum = 0;

    if (!c->planes)
        return (real)code * (real)*v;
    const unsigned plus = (unsigned)(code + (1 << c->planes) - 1) >> 1; /* bit k: v_k is added */
    for (int k = 0; k < c->planes; k++)
        sum += plus >> k & 1 ? (real)v[k] : -(real)v[k];
    return sum;
}

void value_codes_numbers(const struct value_codes *c, const struct shape *s, real *x)
{
    const int64_t count = shape_count(s);
    int64_t inner = 1;

    for (int i = c->axis + 1; c->axis >= 0 && i < s->rank; i++)
        inner *= s->dim[i];
    for (int64_t i = 0; i < count; i++)
        x[i] = number(c, c->axis < 0 ? 0 : i / inner % c->channels, c->code[i]);
}
