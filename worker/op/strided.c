#include "worker/op/strided.h"

void strided_steps(const struct shape *s, ptrdiff_t step[GRAPH_RANK])
{
    ptrdiff_t next = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        step[i] = next;
        next *= s->dim[i];
    }
}

/* A place in both layouts, moving row-major over all dimensions but the last. */
struct place {
    int64_t index[GRAPH_RANK];
    ptrdiff_t from, to;
};

static bool advance(const struct strided *s, struct place *p)
{
    for (int d = s->rank - 2; d >= 0; d--) {
        p->from += s->from[d];
        p->to += s->to[d];
        if (++p->index[d] < s->dim[d])
            return true;
        p->from -= s->from[d] * s->dim[d];
        p->to -= s->to[d] * s->dim[d];
        p->index[d] = 0;
    }
    return false;
}

/* dst += factor * src over one row; steps in features. */
static void add_row(real *dst, ptrdiff_t dst_step, const real *src, ptrdiff_t src_step, int64_t width,
                    real factor)
{
    for (int64_t i = 0; i < width; i++)
        for (int l = 0; l < LANES; l++)
            dst[i * dst_step * LANES + l] += factor * src[i * src_step * LANES + l];
}

/* The last dimension; a scalar is one row of one. */
static int64_t row_width(const struct strided *s)
{
    return s->rank ? s->dim[s->rank - 1] : 1;
}

void strided_copy(const struct strided *s, const real *from, real *to)
{
    struct place p = { .from = s->from_base, .to = s->to_base };
    int64_t width = row_width(s);
    ptrdiff_t a = s->rank ? s->from[s->rank - 1] : 0, b = s->rank ? s->to[s->rank - 1] : 0;
    do
        for (int64_t i = 0; i < width; i++)
            memcpy(to + (p.to + i * b) * LANES, from + (p.from + i * a) * LANES, LANES * sizeof *to);
    while (advance(s, &p));
}

void strided_push(const struct strided *s, const real *from, real *to, real factor)
{
    struct place p = { .from = s->from_base, .to = s->to_base };
    ptrdiff_t a = s->rank ? s->from[s->rank - 1] : 0, b = s->rank ? s->to[s->rank - 1] : 0;
    do
        add_row(to + p.to * LANES, b, from + p.from * LANES, a, row_width(s), factor);
    while (advance(s, &p));
}

void strided_pull(const struct strided *s, real *from, const real *to, real factor)
{
    struct place p = { .from = s->from_base, .to = s->to_base };
    ptrdiff_t a = s->rank ? s->from[s->rank - 1] : 0, b = s->rank ? s->to[s->rank - 1] : 0;
    do
        add_row(from + p.from * LANES, a, to + p.to * LANES, b, row_width(s), factor);
    while (advance(s, &p));
}
