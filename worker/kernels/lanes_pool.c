/* lanes_pool.c - maxima and means of windows, for one instruction set. */
#include "worker/kernels/element.h"
#include "worker/kernels/lanes_vector.h"

/* The first of the largest wins; a NaN wins and shows itself. */
static void max(const struct taps *t, const real *x, ptrdiff_t step, real *y, real_mask *won, int pixels)
{
    for (int i = 0; i < pixels; i++, x += step, y += LANES) {
        vec best[PARTS];
        vec_mask tap_of[PARTS];
        EACH (p, PARTS) {
            best[p] = all((real)-INFINITY);
            tap_of[p] = (vec_mask){ 0 };
        }
        for (int r = 0; r < t->rows; r++)
            for (int c = 0; c < t->columns; c++) {
                const real *at = x + r * t->row + c * t->column;
                vec_mask tap = (vec_mask){ 0 } + (t->first + r * t->next_row + c);
                EACH (p, PARTS) {
                    vec v = load(at + p * VEC);
                    vec_mask less = v <= best[p]; /* false for a NaN */
                    best[p] = pick(less, best[p], v);
                    tap_of[p] = (less & tap_of[p]) | (~less & tap);
                }
            }
        EACH (p, PARTS)
            store(y + p * VEC, best[p]);
        if (!won)
            continue;
        EACH (p, PARTS)
            *(vec_mask *)(won + p * VEC) = tap_of[p];
        won += LANES;
    }
}

static void max_back(const struct taps *t, real *dx, ptrdiff_t step, const real *dy, const real_mask *won,
                     int pixels)
{
    for (int i = 0; i < pixels; i++, dx += step, dy += LANES, won += LANES)
        for (int r = 0; r < t->rows; r++)
            for (int c = 0; c < t->columns; c++) {
                real *at = dx + r * t->row + c * t->column;
                vec_mask tap = (vec_mask){ 0 } + (t->first + r * t->next_row + c);
                EACH (p, PARTS) {
                    vec_mask hit = *(const vec_mask *)(won + p * VEC) == tap;
                    store(at + p * VEC, load(at + p * VEC) + pick(hit, load(dy + p * VEC), all(0)));
                }
            }
}

static void mean(const struct taps *t, const real *x, ptrdiff_t step, real *y, real factor, int pixels)
{
    for (int i = 0; i < pixels; i++, x += step, y += LANES) {
        vec sum[PARTS] = { { 0 } };
        for (int r = 0; r < t->rows; r++)
            for (int c = 0; c < t->columns; c++)
                EACH (p, PARTS)
                    sum[p] += load(x + r * t->row + c * t->column + p * VEC);
        EACH (p, PARTS)
            store(y + p * VEC, sum[p] * factor);
    }
}

static void mean_back(const struct taps *t, real *dx, ptrdiff_t step, const real *dy, real factor, int pixels)
{
    for (int i = 0; i < pixels; i++, dx += step, dy += LANES)
        for (int r = 0; r < t->rows; r++)
            for (int c = 0; c < t->columns; c++)
                EACH (p, PARTS) {
                    real *at = dx + r * t->row + c * t->column + p * VEC;
                    store(at, load(at) + factor * load(dy + p * VEC));
                }
}

const struct pool_pass SYMBOL(pool_, KERNEL_SET) = {
    .max = max,
    .max_back = max_back,
    .mean = mean,
    .mean_back = mean_back,
};
