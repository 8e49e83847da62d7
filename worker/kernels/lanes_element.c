/* lanes_element.c - sums, quantizers and batch normalization over runs of numbers, for one instruction set.
 * Quantizers must give the same bits everywhere: true division, rounding half to even, and no
 * product whose result is added to something, which could be fused. */
#include "worker/kernels/element.h"
#include "worker/kernels/lanes_vector.h"

static void sum(real *y, const real *a, const real *b, size_t count, real factor)
{
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, load(a + i) + factor * load(b + i));
}

static void add(real *y, const real *x, size_t count, real factor)
{
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, load(y + i) + factor * load(x + i));
}

static void quantize(real *y, const real *x, size_t count, const struct quant_range *r)
{
    const vec scale = all(r->scale), zero = all(r->zero), low = all(r->low), high = all(r->high);
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, clip(rounded(load(x + i) / scale) + zero, low, high));
}

static void dequantize(real *y, const real *x, size_t count, const struct quant_range *r)
{
    const vec scale = all(r->scale), zero = all(r->zero);
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, (load(x + i) - zero) * scale);
}

static void fake_quantize(real *y, const real *x, size_t count, const struct quant_range *r)
{
    const vec scale = all(r->scale), low = all(r->low), high = all(r->high);
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, clip(rounded(load(x + i) / scale), low, high) * scale);
}

static void quantize_back(real *dx, const real *dy, const real *x, size_t count, const struct quant_range *r,
                          real factor)
{
    const vec scale = all(r->scale), zero = all(r->zero), low = all(r->low), high = all(r->high);
    for (size_t i = 0; i < count; i += VEC) {
        vec q = load(x + i) / scale + zero;
        store(dx + i, load(dx + i) + pick((q >= low) & (q <= high), factor * load(dy + i), all(0)));
    }
}

/* The lanes of a pixel's sums, added in order. */
static double total_of(const vec sum[PARTS])
{
    const real *lane = (const real *)sum;
    double total = 0;
    for (int l = 0; l < LANES; l++)
        total += (double)lane[l];
    return total;
}

static double scale_slope(const real *x, const real *dy, size_t count, const struct quant_range *r)
{
    const vec scale = all(r->scale), low = all(r->low), high = all(r->high);
    vec sum[PARTS] = { { 0 } };
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec q = load(x + i + p * VEC) / scale, inside = rounded(q) - q;
            vec slope = pick(q < low, low, pick(q > high, high, inside));
            sum[p] += load(dy + i + p * VEC) * slope;
        }
    return total_of(sum);
}

static void norm_sum(real sum[LANES], const real *x, size_t count, real centre, int power)
{
    vec total[PARTS];
    EACH (p, PARTS)
        total[p] = *(const vec_any *)(sum + p * VEC);
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec d = load(x + i + p * VEC) - centre;
            if (power == 2)
                total[p] += d * d;
            else
                total[p] += d;
        }
    EACH (p, PARTS)
        *(vec_any *)(sum + p * VEC) = total[p];
}

static void norm(real *y, const real *x, size_t count, real mean, real factor, real shift)
{
    for (size_t i = 0; i < count; i += VEC)
        store(y + i, (load(x + i) - mean) * factor + shift);
}

static void norm_back_sum(real sum_dy[LANES], real product[LANES], const real *dy, const real *x,
                          size_t count, real mean)
{
    vec one[PARTS], two[PARTS];
    EACH (p, PARTS) {
        one[p] = *(const vec_any *)(sum_dy + p * VEC);
        two[p] = *(const vec_any *)(product + p * VEC);
    }
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec g = load(dy + i + p * VEC);
            one[p] += g;
            two[p] += g * (load(x + i + p * VEC) - mean);
        }
    EACH (p, PARTS) {
        *(vec_any *)(sum_dy + p * VEC) = one[p];
        *(vec_any *)(product + p * VEC) = two[p];
    }
}

static void norm_back(real *dx, const real *dy, const real *x, size_t count, const real factor[LANES],
                      real mean, real shift, real slope)
{
    vec f[PARTS];
    EACH (p, PARTS)
        f[p] = *(const vec_any *)(factor + p * VEC);
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            size_t at = i + p * VEC;
            store(dx + at, load(dx + at) + f[p] * (load(dy + at) - shift - (load(x + at) - mean) * slope));
        }
}

const struct element SYMBOL(element_, KERNEL_SET) = {
    .sum = sum,
    .add = add,
    .quantize = quantize,
    .dequantize = dequantize,
    .fake_quantize = fake_quantize,
    .quantize_back = quantize_back,
    .scale_slope = scale_slope,
    .norm_sum = norm_sum,
    .norm = norm,
    .norm_back_sum = norm_back_sum,
    .norm_back = norm_back,
};
