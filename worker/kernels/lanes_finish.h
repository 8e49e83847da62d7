/* lanes_finish.h - columns of output pixels, and what becomes of their sums (int8.h: enum int8_form). Shared
 * by the kernels that multiply integers (lanes_int8.c, lanes_bits.c). */
#ifndef WORKER_KERNELS_LANES_FINISH_H
#define WORKER_KERNELS_LANES_FINISH_H

#include "worker/kernels/lanes_dot.h"

enum { CHUNK = 48 * BYTE_PARTS }; /* columns between two passes over the weights */

/* A column's result lies at `y` in units of one vector of sums or, for codes, of a vector of quads; the codes
 * of INT8_NUMBERS at `z`. */
struct columns {
    int count;
    const uint8_t *x[CHUNK];
    ptrdiff_t y[CHUNK], z[CHUNK];
};

/* Add the vectors of one pixel; there must be room for them. y and z in pixels. */
INLINE void columns_add(struct columns *c, const uint8_t *x, ptrdiff_t y, ptrdiff_t z)
{
    for (int part = 0; part < BYTE_PARTS; part++) {
        c->x[c->count] = x + part * VEC_BYTES;
        c->y[c->count] = y * BYTE_PARTS + part;
        c->z[c->count++] = z * BYTE_PARTS + part;
    }
}

/* Outputs [first, first + outs) of a convolution; factor and shift begin with the first of them. */
struct finish {
    const struct int8_out *out;
    const double *factor, *shift;
    int first, outs;
};

INLINE void put_sums(const struct finish *f, ivec sum, int out, ptrdiff_t y)
{
    int32_t *to = (int32_t *)f->out->at + (f->first + out) * f->out->plane * LANES + y * INTS;
    *(ivec *)to = sum;
}

INLINE void put_reals(const struct finish *f, ivec sum, int out, ptrdiff_t y)
{
    real *to = (real *)f->out->at + (f->first + out) * f->out->plane * LANES + y * INTS;
    real factor = (real)f->factor[out], shift = (real)f->shift[out];
    for (int i = 0; i < INTS; i++)
        to[i] = (real)sum[i] * factor + shift;
}

/* Four outputs to a quad. */
INLINE void put_codes(const struct finish *f, const ivec sum[QUAD], int out, ptrdiff_t y)
{
    const struct int8_out *o = f->out;
    ivec quad = { 0 };
    EACH (i, QUAD) {
        ivec code = scale_round(sum[i], f->factor[out + i], f->shift[out + i]) + o->zero;
        quad |= clip_ints(code, o->low, o->high) << 8 * i;
    }
    uint8_t *to = (uint8_t *)o->at + (f->first + out) / QUAD * o->plane * PIXEL + y * VEC_BYTES;
    *(ivec *)to = quad;
}

/* One output: the number where it is wanted, its code where that is. */
INLINE ivec put_number(const struct finish *f, ivec sum, int out, ptrdiff_t y)
{
    const struct int8_out *o = f->out;
    const struct int8_codes *c = &o->codes;
    const ptrdiff_t at = (f->first + out) * o->plane * LANES + y * INTS;
    struct doubles v = scale_doubles(sum, f->factor[out], f->shift[out]);
    if (o->more) {
        struct doubles more = load_doubles(o->more + at);
        v.low += more.low;
        v.high += more.high;
    }
    v = clip_doubles(v, o->least, o->most);
    if (o->at)
        store_doubles((double *)o->at + at, v);
    if (!c->at)
        return (ivec){ 0 };
    return clip_ints(round_doubles(times_doubles(v, c->factor)) + c->zero, c->low, c->high);
}

INLINE void put_numbers(const struct finish *f, const ivec sum[QUAD], int out, int rows, ptrdiff_t y,
                        ptrdiff_t z)
{
    const struct int8_codes *c = &f->out->codes;
    ivec quad = { 0 };
    EACH (i, QUAD) {
        if (i < rows)
            quad |= put_number(f, sum[i], out + i, y) << 8 * i;
    }
    if (c->at)
        *(ivec *)(c->at + (f->first + out) / QUAD * c->plane * PIXEL + z * VEC_BYTES) = quad;
}

/* The four sums of a column, from output `out` on, a multiple of 4. */
INLINE void finish_column(const struct finish *f, const ivec sum[QUAD], int out, ptrdiff_t y, ptrdiff_t z)
{
    int rows = f->outs - out < QUAD ? f->outs - out : QUAD;
    if (f->out->form == INT8_CODES)
        put_codes(f, sum, out, y);
    else if (f->out->form == INT8_NUMBERS)
        put_numbers(f, sum, out, rows, y, z);
    else if (f->out->form == INT8_SUMS)
        EACH (i, QUAD) {
            if (i < rows)
                put_sums(f, sum[i], out + i, y);
        }
    else
        EACH (i, QUAD)
            if (i < rows)
                put_reals(f, sum[i], out + i, y);
}

#endif
