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

enum { SHORT = 256 * LANES }; /* numbers that are summed in real */

/* The lanes of a pixel's sums, added in order. */
static double total_of(const vec sum[PARTS])
{
    const real *lane = (const real *)sum;
    double total = 0;
    for (int l = 0; l < LANES; l++)
        total += (double)lane[l];
    return total;
}

/* q and what of its gradient g passes; to the sum of slopes. */
INLINE vec quant_back(vec q, vec g, vec low, vec high, real held, vec *slope)
{
    vec clipped = clip(q, low, high);
    vec_mask within = clipped == q;
    vec outside = pick(q > high, all(held), all(0));
    *slope += g * (rounded(clipped) - pick(within, q, outside));
    return pick(within, g, all(0));
}

enum { DX_NONE, DX_WRITE, DX_ADD };

INLINE double fake_back_with(real *dx, const real *dy, const real *x, size_t count,
                             const struct quant_range *r, const int way)
{
    const vec scale = all(1 / r->scale), low = all(r->low), high = all(r->high);
    double total = 0;
    for (size_t i = 0; i < count;) {
        size_t end = count - i > SHORT ? i + SHORT : count;
        vec sum[PARTS] = { { 0 } };
        for (; i < end; i += LANES)
            EACH (p, PARTS) {
                size_t at = i + p * VEC;
                vec g = quant_back(load(x + at) * scale, load(dy + at), low, high, r->held, &sum[p]);
                if (way == DX_ADD)
                    g += load(dx + at);
                if (way != DX_NONE)
                    store(dx + at, g);
            }
        total += total_of(sum);
    }
    return total;
}

static double fake_back(real *dx, const real *dy, const real *x, size_t count, const struct quant_range *r,
                        bool add)
{
    if (!dx)
        return fake_back_with(dx, dy, x, count, r, DX_NONE);
    return add ? fake_back_with(dx, dy, x, count, r, DX_ADD) : fake_back_with(dx, dy, x, count, r, DX_WRITE);
}

static void levels(real *y, const real *x, size_t count, const real *threshold, const real *level, int levels)
{
    for (size_t i = 0; i < count; i += VEC) {
        const vec at = load(x + i);
        vec value = all(level[0]);
        for (int j = 1; j < levels; j++)
            value = pick(at > threshold[j - 1], all(level[j]), value);
        store(y + i, value);
    }
}

static double levels_back(const real *dy, const real *x, size_t count, const real *threshold, int levels,
                          real low, real high, double *sum)
{
    double product = 0;

    for (size_t i = 0, end; i < count; i = end) {
        vec inside[PARTS] = { { 0 } };
        end = count - i > SHORT ? i + SHORT : count;
        for (size_t k = i; k < end; k += LANES)
            EACH (p, PARTS) {
                const vec at = load(x + k + p * VEC), g = load(dy + k + p * VEC);
                inside[p] += pick(at > high, all(0), pick(at < low, all(0), g * at));
            }
        product += total_of(inside);
        for (int j = 0; j < levels; j++) {
            const real least = j > 0 ? threshold[j - 1] : (real)-INFINITY;
            vec total[PARTS] = { { 0 } };
            for (size_t k = i; k < end; k += LANES)
                EACH (p, PARTS)
                    total[p] += pick(load(x + k + p * VEC) > least, load(dy + k + p * VEC), all(0));
            sum[j] += total_of(total);
        }
    }
    return product;
}

static void above(const real *x, size_t count, const real *threshold, int thresholds, real (*number)[LANES],
                  real (*sum)[LANES])
{
    for (int j = 0; j < thresholds; j++) {
        vec n[PARTS] = { { 0 } }, total[PARTS] = { { 0 } };
        for (size_t i = 0; i < count; i += LANES)
            EACH (p, PARTS) {
                const vec at = load(x + i + p * VEC);
                n[p] += pick(at > threshold[j], all(1), all(0));
                total[p] += pick(at > threshold[j], at, all(0));
            }
        EACH (p, PARTS) {
            *(vec_any *)(number[j] + p * VEC) += n[p];
            *(vec_any *)(sum[j] + p * VEC) += total[p];
        }
    }
}

/* Pixels that are summed beside each other: an addition waits for the one before. */
enum { BESIDE = PARTS < 4 ? 4 / PARTS : 1 };

INLINE void norm_sum_of(vec total[BESIDE][PARTS], const real *x, real centre, const int power,
                        const int pixels)
{
    EACH (j, pixels)
        EACH (p, PARTS) {
            vec d = load(x + j * LANES + p * VEC) - centre;
            if (power == 2)
                d *= d;
            total[j][p] += d;
        }
}

INLINE void norm_sum_loop(real sum[LANES], const real *x, size_t count, real centre, const int power)
{
    vec total[BESIDE][PARTS] = { 0 };
    size_t i = 0;
    for (; i + BESIDE * LANES <= count; i += BESIDE * LANES)
        norm_sum_of(total, x + i, centre, power, BESIDE);
    for (; i < count; i += LANES)
        norm_sum_of(total, x + i, centre, power, 1);
    EACH (j, BESIDE)
        EACH (p, PARTS)
            *(vec_any *)(sum + p * VEC) += total[j][p];
}

static void norm_sum(real sum[LANES], const real *x, size_t count, real centre, int power)
{
    if (power == 2)
        norm_sum_loop(sum, x, count, centre, 2);
    else
        norm_sum_loop(sum, x, count, centre, 1);
}

INLINE void norm_loop(real *y, const real *x, const real *other, size_t count, const struct norm *n,
                      const bool adds, const bool relu)
{
    const vec mean = all(n->mean), factor = all(n->factor), shift = all(n->shift);
    const vec ceiling = all(n->ceiling);
    for (size_t i = 0; i < count; i += VEC) {
        vec v = (load(x + i) - mean) * factor + shift;
        if (adds)
            v += load(other + i);
        store(y + i, relu ? clip(v, all(0), ceiling) : v);
    }
}

static void norm_quantize(real *y, const real *x, size_t count, const struct norm *n)
{
    const vec mean = all(n->mean), factor = all(n->factor), shift = all(n->shift);
    const vec scale = all(n->quant->scale), low = all(n->quant->low), high = all(n->quant->high);
    for (size_t i = 0; i < count; i += VEC) {
        vec v = (load(x + i) - mean) * factor + shift;
        store(y + i, clip(rounded(v / scale), low, high) * scale);
    }
}

static void norm(real *y, const real *x, const real *other, size_t count, const struct norm *n)
{
    if (n->quant)
        norm_quantize(y, x, count, n);
    else if (other && n->relu)
        norm_loop(y, x, other, count, n, true, true);
    else if (other)
        norm_loop(y, x, other, count, n, true, false);
    else if (n->relu)
        norm_loop(y, x, other, count, n, false, true);
    else
        norm_loop(y, x, other, count, n, false, false);
}

/* What tells whether a gradient passes. */
enum gate { GATE_OPEN, GATE_RELU, GATE_QUANT };

static enum gate gate_of(const struct norm *n)
{
    return n->quant ? GATE_QUANT : n->relu ? GATE_RELU : GATE_OPEN;
}

/* dz of number i, of which `from` is x - mean. */
INLINE vec gated(vec dy, vec from, const struct norm *n, const enum gate gate)
{
    vec y = from * n->factor + n->shift;
    if (gate == GATE_OPEN)
        return dy;
    if (gate == GATE_RELU)
        return pick((y > 0) & (y < n->ceiling), dy, all(0));
    vec q = y * (1 / n->quant->scale);
    return pick(clip(q, all(n->quant->low), all(n->quant->high)) == q, dy, all(0));
}

/* Sums of three kinds, lane by lane. */
struct back_sums {
    vec one[PARTS], product[PARTS], slope[PARTS];
};

INLINE void add_lanes(real to[LANES], const vec sum[PARTS])
{
    EACH (p, PARTS)
        *(vec_any *)(to + p * VEC) += sum[p];
}

INLINE void back_sum_loop(struct back_sums *sum, const real *dy, const real *x, size_t count,
                          const struct norm *n, const enum gate gate)
{
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec from = load(x + i + p * VEC) - n->mean;
            vec dz = gated(load(dy + i + p * VEC), from, n, gate);
            sum->one[p] += dz;
            sum->product[p] += dz * from;
        }
}

static void norm_back_sum(real sum_dz[LANES], real product[LANES], const real *dy, const real *x,
                          size_t count, const struct norm *n)
{
    struct back_sums sum = { 0 };
    if (gate_of(n) == GATE_RELU)
        back_sum_loop(&sum, dy, x, count, n, GATE_RELU);
    else
        back_sum_loop(&sum, dy, x, count, n, GATE_OPEN);
    add_lanes(sum_dz, sum.one);
    add_lanes(product, sum.product);
}

static void norm_quant_back_sum(real sum_dz[LANES], real product[LANES], real slope[LANES], const real *dy,
                                const real *x, size_t count, const struct norm *n)
{
    const vec mean = all(n->mean), factor = all(n->factor), shift = all(n->shift);
    const vec scale = all(1 / n->quant->scale), low = all(n->quant->low), high = all(n->quant->high);
    struct back_sums sum = { 0 };
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec from = load(x + i + p * VEC) - mean;
            vec dz = quant_back((from * factor + shift) * scale, load(dy + i + p * VEC), low, high,
                                n->quant->held, &sum.slope[p]);
            sum.one[p] += dz;
            sum.product[p] += dz * from;
        }
    add_lanes(sum_dz, sum.one);
    add_lanes(product, sum.product);
    add_lanes(slope, sum.slope);
}

INLINE void add_back_loop(struct back_sums *sum, real *dy, const real *dq, const real *x, const real *y,
                          size_t count, const struct norm *n, const bool relu, const bool quant)
{
    const vec mean = all(n->mean), scale = all(quant ? 1 / n->quant->scale : 0);
    const vec low = all(quant ? n->quant->low : 0), high = all(quant ? n->quant->high : 0);
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            const size_t at = i + p * VEC;
            vec seen = load(y + at), dz = load(dy + at);
            if (quant)
                dz += quant_back(seen * scale, load(dq + at), low, high, n->quant->held, &sum->slope[p]);
            if (relu)
                dz = pick((seen > 0) & (seen < n->ceiling), dz, all(0));
            store(dy + at, dz);
            sum->one[p] += dz;
            sum->product[p] += dz * (load(x + at) - mean);
        }
}

static void norm_add_back_sum(real sum_dz[LANES], real product[LANES], real slope[LANES], real *dy,
                              const real *dq, const real *x, const real *y, size_t count,
                              const struct norm *n)
{
    struct back_sums sum = { 0 };
    if (dq && n->relu)
        add_back_loop(&sum, dy, dq, x, y, count, n, true, true);
    else if (dq)
        add_back_loop(&sum, dy, dq, x, y, count, n, false, true);
    else if (n->relu)
        add_back_loop(&sum, dy, dq, x, y, count, n, true, false);
    else
        back_sum_loop(&sum, dy, x, count, n, GATE_OPEN);
    add_lanes(sum_dz, sum.one);
    add_lanes(product, sum.product);
    add_lanes(slope, sum.slope);
}

INLINE void back_loop(real *dx, const real *dy, const real *x, size_t count, const struct norm *n,
                      const struct norm_slope *s, const enum gate gate, const bool add)
{
    vec f[PARTS];
    EACH (p, PARTS)
        f[p] = *(const vec_any *)(s->factor + p * VEC);
    for (size_t i = 0; i < count; i += LANES)
        EACH (p, PARTS) {
            vec from = load(x + i + p * VEC) - n->mean;
            vec dz = gated(load(dy + i + p * VEC), from, n, gate);
            vec share = f[p] * (dz - s->shift - from * s->slope);
            if (add)
                share += load(dx + i + p * VEC);
            store(dx + i + p * VEC, share);
        }
}

INLINE void back_gate(real *dx, const real *dy, const real *x, size_t count, const struct norm *n,
                      const struct norm_slope *s, const bool add)
{
    switch (gate_of(n)) {
    case GATE_OPEN:
        back_loop(dx, dy, x, count, n, s, GATE_OPEN, add);
        break;
    case GATE_RELU:
        back_loop(dx, dy, x, count, n, s, GATE_RELU, add);
        break;
    case GATE_QUANT:
        back_loop(dx, dy, x, count, n, s, GATE_QUANT, add);
        break;
    }
}

static void norm_back(real *dx, const real *dy, const real *x, size_t count, const struct norm *n,
                      const struct norm_slope *s, bool add)
{
    if (add)
        back_gate(dx, dy, x, count, n, s, true);
    else
        back_gate(dx, dy, x, count, n, s, false);
}

const struct element SYMBOL(element_, KERNEL_SET) = {
    .sum = sum,
    .add = add,
    .quantize = quantize,
    .dequantize = dequantize,
    .fake_quantize = fake_quantize,
    .quantize_back = quantize_back,
    .fake_back = fake_back,
    .levels = levels,
    .levels_back = levels_back,
    .above = above,
    .norm_sum = norm_sum,
    .norm = norm,
    .norm_back_sum = norm_back_sum,
    .norm_quant_back_sum = norm_quant_back_sum,
    .norm_add_back_sum = norm_add_back_sum,
    .norm_back = norm_back,
};
