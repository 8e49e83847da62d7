/* codes.c - the integers of a quantized parameter. */
#include "base/mem.h"
#include "worker/graph/graph.h"

#include <stdlib.h>
#include <string.h>

bool value_codes_room(struct value_codes *c, size_t count)
{
    c->scale = mem_array((size_t)c->channels + 1, sizeof *c->scale);
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
    memcpy(copy->scale, c->scale, (size_t)c->channels * sizeof *c->scale);
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

void value_codes_numbers(const struct value_codes *c, const struct shape *s, real *x)
{
    const int64_t count = shape_count(s);
    int64_t inner = 1;

    for (int i = c->axis + 1; c->axis >= 0 && i < s->rank; i++)
        inner *= s->dim[i];
    for (int64_t i = 0; i < count; i++)
        x[i] = (real)c->code[i] * (real)c->scale[c->axis < 0 ? 0 : i / inner % c->channels];
}
