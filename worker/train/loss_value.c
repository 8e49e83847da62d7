/* loss_value.c - losses over values: means over the features of a function of the difference. */
#include "worker/train/loss.h"

#define CHARBONNIER ((real)1e-6) /* epsilon^2 */

/* The term of one difference, and its derivative. */
typedef void term_fn(real d, real *term, real *slope);

static void term_l2(real d, real *term, real *slope)
{
    *term = d * d;
    *slope = 2 * d;
}

static void term_l1(real d, real *term, real *slope)
{
    *term = real_fabs(d);
    *slope = (real)(d > 0) - (real)(d < 0);
}

static void term_charbonnier(real d, real *term, real *slope)
{
    *term = real_sqrt(d * d + CHARBONNIER);
    *slope = d / *term;
}

/* One block. Sums in double, lane by lane, so that a large image loses no digits. Inlined with each term. */
static inline __attribute__((always_inline)) double run_block(const struct loss_call *k, int block,
                                                              term_fn *term_of)
{
    const size_t at = (size_t)block * (size_t)k->features * LANES;
    const int left = k->samples - block * LANES, used = left < 0 ? 0 : left < LANES ? left : LANES;
    const real factor = (real)(1.0 / ((double)k->features * k->samples));
    double sum[LANES] = { 0 }, total = 0;

    for (size_t f = 0; f < (size_t)k->features; f++) {
        const real *y = k->y + at + f * LANES, *t = k->target->value + at + f * LANES;
        real *g = k->gradient ? k->gradient + at + f * LANES : NULL;
        for (int lane = 0; lane < used; lane++) {
            real term, slope;
            term_of(y[lane] - t[lane], &term, &slope);
            sum[lane] += (double)term;
            if (g)
                g[lane] = slope * factor;
        }
        for (int lane = used; g && lane < LANES; lane++)
            g[lane] = 0;
    }
    for (int lane = 0; lane < used; lane++)
        total += sum[lane] / k->features;
    return total;
}

static inline __attribute__((always_inline)) struct loss_result run(const struct loss_call *k,
                                                                    term_fn *term_of)
{
    struct loss_result r = { 0 };

    for (int b = 0; b < k->blocks; b++)
        r.loss += run_block(k, b, term_of);
    return r;
}

static struct loss_result run_l2(const struct loss_call *k)
{
    return run(k, term_l2);
}

static struct loss_result run_l1(const struct loss_call *k)
{
    return run(k, term_l1);
}

static struct loss_result run_charbonnier(const struct loss_call *k)
{
    return run(k, term_charbonnier);
}

const struct loss loss_l2 = { "l2", "Mean squared difference", false, run_l2 };
const struct loss loss_l1 = { "l1", "Mean absolute difference", false, run_l1 };
const struct loss loss_charbonnier = { "charbonnier", "Mean of sqrt(d^2 + 1e-6)", false, run_charbonnier };
