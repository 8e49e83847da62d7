/* basis.c - learned bases (basis.h), and the quantizer of weights that lie on their levels: encodings in
 * {-1,+1}^K, one basis per channel, solved with a ridge of 1e-4 towards the old one as in the authors' code.
 *
 * The code of a weight is sum_k e_k 2^k, an odd number: that of a midrise grid, if the basis were 1, 2, 4...
 */
#include "worker/quant/basis.h"

#include <string.h>

#define RIDGE   1e-4
#define LEAST   1e-3 /* of the largest element */
#define KEEP    0.9
#define QUARTER 0.6745 /* a normal distribution's quantile at 3/4 */

void basis_levels(const real *v, int bits, bool signs, struct basis_levels *l)
{
    l->count = 1 << bits;
    for (int e = 0; e < l->count; e++) {
        real level = 0;
        for (int k = 0; k < bits; k++)
            level += e >> k & 1 ? v[k] : signs ? -v[k] : 0;
        /* kept sorted; equal levels in the order of their encodings */
        int at = e;
        for (; at > 0 && l->level[at - 1] > level; at--) {
            l->level[at] = l->level[at - 1];
            l->code[at] = l->code[at - 1];
        }
        l->level[at] = level;
        l->code[at] = e;
    }
    for (int j = 0; j + 1 < l->count; j++)
        l->threshold[j] = (l->level[j] + l->level[j + 1]) / 2;
}

void basis_positive(double *v, int bits)
{
    double most = 1e-8;

    for (int k = 0; k < bits; k++)
        most = v[k] > most ? v[k] : most;
    for (int k = 0; k < bits; k++)
        v[k] = v[k] > LEAST * most ? v[k] : LEAST * most;
}

/* Position of the nearest level: how many thresholds lie below x. */
static inline int position(const struct basis_levels *l, real x)
{
    int at = 0;

    for (int j = 0; j + 1 < l->count; j++)
        at += x > l->threshold[j];
    return at;
}

/* bits x bits normal equations a v = b by Cholesky; 0, or -1 where a pivot is no more than `least`: a is
 * singular. */
static int solve(int bits, double a[BASIS_BITS][BASIS_BITS], double b[BASIS_BITS], double least)
{
    for (int j = 0; j < bits; j++) {
        for (int k = 0; k < j; k++)
            a[j][j] -= a[j][k] * a[j][k];
        if (!(a[j][j] > least))
            return -1;
        a[j][j] = sqrt(a[j][j]);
        for (int i = j + 1; i < bits; i++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
    for (int i = 0; i < bits; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = bits - 1; i >= 0; i--) {
        for (int k = i + 1; k < bits; k++)
            b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return 0;
}

int basis_solve(const double *count, const double *sum, const real *old, int bits, bool signs, double ridge,
                double v[BASIS_BITS])
{
    double a[BASIS_BITS][BASIS_BITS] = { { 0 } }, total = 0;

    for (int k = 0; k < bits; k++)
        v[k] = ridge * (double)old[k];
    for (int e = 0; e < 1 << bits; e++) {
        double b[BASIS_BITS];
        for (int k = 0; k < bits; k++)
            b[k] = e >> k & 1 ? 1 : signs ? -1 : 0;
        for (int i = 0; i < bits; i++) {
            for (int k = 0; k <= i; k++)
                a[i][k] += count[e] * b[i] * b[k];
            v[i] += sum[e] * b[i];
        }
        total += count[e];
    }
    if (!(total > 0))
        return -1;
    for (int k = 0; k < bits; k++)
        a[k][k] += ridge;
    return solve(bits, a, v, (ridge > 0 ? 1e-12 : 1e-8) * total);
}

void basis_fit(const real *x, size_t count, size_t stride, int bits, bool signs, real *v)
{
    real best[BASIS_BITS];
    double error = INFINITY;

    for (int round = 0; round < 50; round++) {
        struct basis_levels l;
        double members[QUANT_LEVELS] = { 0 }, sum[QUANT_LEVELS] = { 0 }, next[BASIS_BITS], now = 0;
        basis_levels(v, bits, signs, &l);
        for (size_t i = 0; i < count * stride; i += stride) {
            const int at = position(&l, x[i]);
            const double d = (double)x[i] - (double)l.level[at];
            members[l.code[at]] += 1;
            sum[l.code[at]] += (double)x[i];
            now += d * d;
        }
        if (now > error) { /* by rounding, or towards the ridge */
            memcpy(v, best, (size_t)bits * sizeof *v);
            return;
        }
        if (!(now < error * (1 - 1e-6)) || basis_solve(members, sum, v, bits, signs, RIDGE, next))
            return;
        error = now;
        memcpy(best, v, (size_t)bits * sizeof *v);
        for (int k = 0; k < bits; k++)
            v[k] = (real)next[k];
    }
}

void basis_start(const real *x, size_t count, size_t stride, int bits, bool signs, real *v)
{
    double square = 0;

    for (size_t i = 0; i < count * stride; i += stride)
        square += (double)x[i] * (double)x[i];
    const double size = square > 0 ? sqrt(square / (double)count) : 1e-3;
    const double sigma = signs ? size : size * sqrt(2.0);
    const double first = signs ? QUARTER / (1 << (bits - 1)) : 2 * QUARTER / ((1 << bits) - 1);
    for (int k = 0; k < bits; k++)
        v[k] = (real)(ldexp(first, k) * sigma);
    basis_fit(x, count, stride, bits, signs, v);
}

void basis_average(double *average, double *weight, const double *now, int count, real *v)
{
    for (int k = 0; k < count; k++) {
        average[k] = KEEP * average[k] + (1 - KEEP) * now[k];
        weight[k] = KEEP * weight[k] + (1 - KEEP);
        v[k] = (real)(average[k] / weight[k]);
    }
}

/* --- weights ---------------------------------------------------------------------------------------------
 */

static int width(int bits)
{
    return bits;
}

/* sum of +-2^k from the bits of an encoding */
static int odd(int bits, int e)
{
    return 2 * e - (1 << bits) + 1;
}

static void apply(const struct quant_weight *w, const real *scale, const struct quant_run *run,
                  struct grid_sums *sums, struct quant_bins *bins)
{
    struct basis_levels l;

    basis_levels(scale, w->bits, true, &l);
    for (size_t i = 0; i < run->count * run->stride; i += run->stride) {
        const int at = position(&l, run->x[i]), e = l.code[at];
        const double x = (double)run->x[i], miss = x - (double)l.level[at];
        run->q[i] = l.level[at];
        run->code[i] = (int8_t)odd(w->bits, e);
        sums->error += miss * miss;
        sums->zeros += l.level[at] == 0;
        if (!bins)
            continue;
        bins->count[e] += 1;
        bins->sum[e] += x;
        bins->miss[e] += miss;
        bins->error[e] += miss * miss;
    }
}

static void fit(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale)
{
    basis_start(x, count, stride, w->bits, true, scale);
}

static void refit(const struct quant_weight *w, const struct grid_sums *sums, const struct quant_bins *bins,
                  real *scale)
{
    double v[BASIS_BITS];
    (void)sums;

    if (basis_solve(bins->count, bins->sum, scale, w->bits, true, RIDGE, v))
        return;
    for (int k = 0; k < w->bits; k++)
        scale[k] = (real)v[k];
}

/* What the smallest element moves. */
static double step(const struct quant_weight *w, const real *scale)
{
    double least = INFINITY;

    for (int k = 0; k < w->bits; k++)
        least = fabs((double)scale[k]) < least ? fabs((double)scale[k]) : least;
    return least > 0 ? 2 * least : 1e-8;
}

static int code(const struct quant_weight *w, const real *scale, real x)
{
    struct basis_levels l;

    basis_levels(scale, w->bits, true, &l);
    return odd(w->bits, l.code[position(&l, x)]);
}

/* Signs and order of a basis mean nothing: the same levels with positive elements, the smallest first. */
static void settle(const struct quant_weight *w, real *scale)
{
    for (int k = 0; k < w->bits; k++) {
        const real v = real_fabs(scale[k]);
        int at = k;
        for (; at > 0 && scale[at - 1] > v; at--)
            scale[at] = scale[at - 1];
        scale[at] = v;
    }
}

const struct quantizer quantizer_basis = { .name = "basis",
                                           .width = width,
                                           .apply = apply,
                                           .fit = fit,
                                           .refit = refit,
                                           .step = step,
                                           .code = code,
                                           .settle = settle };
