/* uniform.c - weights on a uniform grid: code * scale. */
#include "worker/quant/quantizer.h"

static int one(int bits)
{
    (void)bits;
    return 1;
}

static struct grid_rule rule_of(const struct quant_weight *w, const real *scale)
{
    return grid_rule(w->grid, w->bits, *scale);
}

static void count_levels(const struct grid_rule *r, const struct quant_run *run, struct quant_bins *bins)
{
    const int shift = r->odd ? 1 : 0;

    for (size_t i = 0; i < run->count * run->stride; i += run->stride) {
        const int level = (run->code[i] - r->low) >> shift;
        const double w = (double)run->x[i], miss = w - (double)run->q[i];
        bins->count[level] += 1;
        bins->sum[level] += w;
        bins->miss[level] += miss;
        bins->error[level] += miss * miss;
    }
}

enum { GATHER = 512 };

/* Weights that don't lie side by side go through a buffer: the kernels know no strides. */
static void apply_strided(const struct grid_rule *r, const struct quant_run *run, struct grid_sums *sums)
{
    real x[GATHER], q[GATHER];
    int8_t code[GATHER];

    for (size_t first = 0; first < run->count; first += GATHER) {
        const size_t n = run->count - first < GATHER ? run->count - first : GATHER;
        const size_t at = first * run->stride;
        for (size_t i = 0; i < n; i++)
            x[i] = run->x[at + i * run->stride];
        run->pass->quantize(r, x, q, code, n, sums);
        for (size_t i = 0; i < n; i++) {
            run->q[at + i * run->stride] = q[i];
            run->code[at + i * run->stride] = code[i];
        }
    }
}

static void apply(const struct quant_weight *w, const real *scale, const struct quant_run *run,
                  struct grid_sums *sums, struct quant_bins *bins)
{
    const struct grid_rule rule = rule_of(w, scale);

    if (run->stride == 1)
        run->pass->quantize(&rule, run->x, run->q, run->code, run->count, sums);
    else
        apply_strided(&rule, run, sums);
    if (bins)
        count_levels(&rule, run, bins);
}

static void fit(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale)
{
    *scale = grid_fit(w->grid, w->bits, x, count, stride);
}

/* Lloyd: for fixed codes the best scale is sum(w k) / sum(k k). */
static void refit(const struct quant_weight *w, const struct grid_sums *sums, const struct quant_bins *bins,
                  real *scale)
{
    (void)w;
    (void)bins;
    if (sums->kk > 0 && sums->wk > 0)
        *scale = (real)(sums->wk / sums->kk);
}

static double step(const struct quant_weight *w, const real *scale)
{
    return (double)*scale * (w->grid->odd && w->bits > 1 ? 2 : 1);
}

static int code(const struct quant_weight *w, const real *scale, real x)
{
    const struct grid_rule rule = rule_of(w, scale);

    return grid_code(&rule, x);
}

const struct quantizer quantizer_uniform = {
    .name = "uniform", .width = one, .apply = apply, .fit = fit, .refit = refit, .step = step, .code = code
};
