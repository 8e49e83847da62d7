/* lanes_winograd.h - Winograd's convolutions (arXiv 1509.09308): a tile of m x m outputs takes 6 x 6 products
 * a channel instead of m x m x r x r. Tile, kernel and outputs are polynomials that are multiplied by their
 * values at the points 0, a, -a, b, -b and infinity; so m + r = 7, and one size of tile serves kernels of 3x3
 * (m = 4) and of 5x5 (m = 2):
 *
 *      V = B'x B     input tiles, 6 x 6           U = G w G'    kernels
 *      M = sum over channels of U * V, point by point           y = A'M A    outputs, m x m
 *
 * and backward it is that, differentiated: dM = A dy A', dV = sum over outputs of U * dM, dx += B dV B' where
 * tiles overlap; dU = sum over tiles of dM * V, dw = G'dU G. Here are the transforms, on vectors of samples
 * (or of weights); each is the same line along one axis, then along the other.
 *
 * Included by lanes_tiles.c only. */
#ifndef WORKER_KERNELS_LANES_WINOGRAD_H
#define WORKER_KERNELS_LANES_WINOGRAD_H

#include "worker/kernels/lanes_vector.h"

#include <stdbool.h>

enum {
    POINTS = 6,
    PLANES = POINTS * POINTS, /* products of a tile */
    LONGEST = 6               /* of all lines: an input tile */
};

/* The points a and b. Of the pairs of dyadic fractions up to 16ths they lose least: a forward sum of 3x3
 * has 1.9 times, of 5x5 1.4 times the error of the direct one in the mean square, where 1 and 2 have 4 and 3
 * times. Powers and products are exact. */
static const real A1 = (real)11 / 16, A2 = (real)121 / 256, B1 = (real)3 / 2, B2 = (real)9 / 4;

/* What remains of a product in the denominators of G: 1 / product of the distances to the other points. */
#define SCALE_0 ((real)(1024. / 1089))
#define SCALE_A ((real)(1 / (2 * (121. / 256) * (121. / 256 - 9. / 4))))
#define SCALE_B ((real)(1 / (2 * (9. / 4) * (9. / 4 - 121. / 256))))
static const real point_scale[POINTS] = { SCALE_0, SCALE_A, SCALE_A, SCALE_B, SCALE_B, 1 };

/* What happens along an axis. */
enum line {
    LINE_INPUT,      /* B': 6 pixels to points */
    LINE_INPUT_BACK, /* B: points to 6 pixels */
    LINE_VALUES,     /* A, G but for its scale: n coefficients to the polynomial's values at the points */
    LINE_VALUES_BACK /* A', G' likewise: the transposed of that */
};

INLINE void line_input(const vec *d, vec *t)
{
    vec even_a = d[4] - B2 * d[2], odd_a = d[3] - B2 * d[1];
    vec even_b = d[4] - A2 * d[2], odd_b = d[3] - A2 * d[1];
    t[0] = A2 * B2 * d[0] + (d[4] - (A2 + B2) * d[2]);
    t[1] = even_a + A1 * odd_a;
    t[2] = even_a - A1 * odd_a;
    t[3] = even_b + B1 * odd_b;
    t[4] = even_b - B1 * odd_b;
    t[5] = A2 * B2 * d[1] + (d[5] - (A2 + B2) * d[3]);
}

INLINE void line_input_back(const vec *t, vec *d)
{
    vec sum_a = t[1] + t[2], less_a = A1 * (t[1] - t[2]), sum_b = t[3] + t[4], less_b = B1 * (t[3] - t[4]);
    d[0] = A2 * B2 * t[0];
    d[1] = A2 * B2 * t[5] - (B2 * less_a + A2 * less_b);
    d[2] = -(A2 + B2) * t[0] - (B2 * sum_a + A2 * sum_b);
    d[3] = (less_a + less_b) - (A2 + B2) * t[5];
    d[4] = t[0] + (sum_a + sum_b);
    d[5] = t[5];
}

INLINE void line_values(const int n, const vec *c, vec *t)
{
    vec even_a = c[0], even_b = c[0], odd_a = c[1], odd_b = c[1];
    if (n > 4) {
        even_a += A2 * A2 * c[4];
        even_b += B2 * B2 * c[4];
    }
    if (n > 2) {
        even_a += A2 * c[2];
        even_b += B2 * c[2];
    }
    if (n > 3) {
        odd_a += A2 * c[3];
        odd_b += B2 * c[3];
    }
    t[0] = c[0];
    t[1] = even_a + A1 * odd_a;
    t[2] = even_a - A1 * odd_a;
    t[3] = even_b + B1 * odd_b;
    t[4] = even_b - B1 * odd_b;
    t[5] = c[n - 1];
}

INLINE void line_values_back(const int n, const vec *t, vec *c)
{
    vec sum_a = t[1] + t[2], less_a = A1 * (t[1] - t[2]), sum_b = t[3] + t[4], less_b = B1 * (t[3] - t[4]);
    c[0] = t[0] + (sum_a + sum_b);
    c[1] = less_a + less_b;
    if (n > 2)
        c[2] = A2 * sum_a + B2 * sum_b;
    if (n > 3)
        c[3] = A2 * less_a + B2 * less_b;
    if (n > 4)
        c[4] = A2 * A2 * sum_a + B2 * B2 * sum_b;
    c[n - 1] += t[5];
}

INLINE void line(const enum line kind, const int n, const vec *from, vec *to)
{
    if (kind == LINE_INPUT)
        line_input(from, to);
    else if (kind == LINE_INPUT_BACK)
        line_input_back(from, to);
    else if (kind == LINE_VALUES)
        line_values(n, from, to);
    else
        line_values_back(n, from, to);
}

/* n x n numbers to 36 points. */
INLINE void to_points(const enum line kind, const int n, vec from[LONGEST][LONGEST], vec to[POINTS][POINTS])
{
    vec half[LONGEST][POINTS];
    EACH (j, n) {
        vec column[LONGEST], t[POINTS];
        EACH (i, n)
            column[i] = from[i][j];
        line(kind, n, column, t);
        EACH (i, POINTS)
            half[i][j] = t[i];
    }
    EACH (i, POINTS)
        line(kind, n, half[i], to[i]);
}

/* 36 points to n x n numbers. */
INLINE void from_points(const enum line kind, const int n, vec from[POINTS][POINTS], vec to[LONGEST][LONGEST])
{
    vec half[LONGEST][POINTS];
    EACH (j, POINTS) {
        vec column[POINTS], t[LONGEST];
        EACH (i, POINTS)
            column[i] = from[i][j];
        line(kind, n, column, t);
        EACH (i, n)
            half[i][j] = t[i];
    }
    EACH (i, n)
        line(kind, n, half[i], to[i]);
}

/* A square of n x n pixels of an image that is H x W; what lies outside is zero. */
struct square {
    int H, W, row, column; /* its first pixel, maybe outside */
};

/* Does all of it lie in the image? Then there is nothing to ask pixel by pixel. */
INLINE bool square_inside(const struct square *s, int n)
{
    return s->row >= 0 && s->column >= 0 && s->row + n <= s->H && s->column + n <= s->W;
}

INLINE bool pixel_inside(const struct square *s, int i, int j)
{
    return (unsigned)(s->row + i) < (unsigned)s->H && (unsigned)(s->column + j) < (unsigned)s->W;
}

INLINE ptrdiff_t pixel_at(const struct square *s, int i, int j)
{
    return ((ptrdiff_t)(s->row + i) * s->W + s->column + j) * LANES;
}

INLINE void points_store(vec point[POINTS][POINTS], real *to)
{
    EACH (i, POINTS)
        EACH (j, POINTS)
            store(to + (i * POINTS + j) * LANES, point[i][j]);
}

INLINE void spread_part(const enum line kind, const int n, const struct square *s, const bool inside,
                        const real *image, real *to)
{
    vec pixel[LONGEST][LONGEST], point[POINTS][POINTS];
    EACH (j, n)
        EACH (i, n)
            pixel[i][j] = inside || pixel_inside(s, i, j) ? load(image + pixel_at(s, i, j)) : all(0);
    to_points(kind, n, pixel, point);
    points_store(point, to);
}

/* One channel's square of 16 samples to 36 points. */
INLINE void square_spread(const enum line kind, const int n, const struct square *s, const real *image,
                          real *to)
{
    const bool inside = square_inside(s, n);
    for (int part = 0; part < LANES; part += VEC)
        if (inside)
            spread_part(kind, n, s, true, image + part, to + part);
        else
            spread_part(kind, n, s, false, image + part, to + part);
}

#ifndef QUANTD_DOUBLE
INLINE void spread_codes_part(const struct square *s, const bool inside, const uint8_t *quad, int j,
                              vec shift, real *to)
{
    typedef uint32_t bits __attribute__((vector_size(VEC_BYTES), may_alias));
    vec pixel[LONGEST][LONGEST], point[POINTS][POINTS];
    EACH (k, POINTS)
        EACH (i, POINTS) {
            pixel[i][k] = all(0);
            if (inside || pixel_inside(s, i, k)) {
                bits code = *(const bits *)(quad + pixel_at(s, i, k) * 4) >> (8 * j);
                pixel[i][k] = (vec)((code & 255) | 0x4b000000) - shift;
            }
        }
    to_points(LINE_INPUT, POINTS, pixel, point);
    points_store(point, to);
}

/* The same of channel j of a quad of codes (bf16.h: struct coded); `quad` is its image of 16 samples. */
INLINE void square_spread_codes(const struct square *s, const uint8_t *quad, int j, int zero, real *to)
{
    const vec shift = all((real)((1 << 23) + zero)); /* a float in whose last bits a code stands */
    const bool inside = square_inside(s, POINTS);
    for (int part = 0; part < LANES; part += VEC)
        if (inside)
            spread_codes_part(s, true, quad + part * 4, j, shift, to + part);
        else
            spread_codes_part(s, false, quad + part * 4, j, shift, to + part);
}
#endif

INLINE void collect_part(const enum line kind, const int n, const struct square *s, const bool inside,
                         const real *from, const bool add, real start, real *image)
{
    vec pixel[LONGEST][LONGEST], point[POINTS][POINTS];
    EACH (i, POINTS)
        EACH (j, POINTS)
            point[i][j] = load(from + (i * POINTS + j) * LANES);
    from_points(kind, n, point, pixel);
    EACH (i, n)
        EACH (j, n)
            if (inside || pixel_inside(s, i, j)) {
                real *to = image + pixel_at(s, i, j);
                store(to, (add ? load(to) : all(start)) + pixel[i][j]);
            }
}

/* 36 points back to a channel's square: added to what is there, or written plus `start`. */
INLINE void square_collect(const enum line kind, const int n, const struct square *s, const real *from,
                           const bool add, real start, real *image)
{
    const bool inside = square_inside(s, n);
    for (int part = 0; part < LANES; part += VEC)
        if (inside)
            collect_part(kind, n, s, true, from + part, add, start, image + part);
        else
            collect_part(kind, n, s, false, from + part, add, start, image + part);
}

#endif
