/* lanes_update.c - optimizers and the weight quantizer, for one instruction set. What does not fill a vector
 * at the end goes through a small buffer, so that every element sees the same operations. */
#include "worker/kernels/lanes_vector.h"
#include "worker/kernels/update.h"

#include <stdbool.h>

INLINE vec fetch(const real *x)
{
    return *(const vec_any *)x;
}

INLINE void put(real *y, vec v)
{
    *(vec_any *)y = v;
}

/* The first `count` numbers, fewer than a vector; zeros behind them. */
INLINE vec fetch_some(const real *x, size_t count)
{
    real lane[VEC] __attribute__((aligned(VEC_BYTES))) = { 0 };
    memcpy(lane, x, count * sizeof *x);
    return load(lane);
}

INLINE void put_some(real *y, vec v, size_t count)
{
    memcpy(y, &v, count * sizeof *y);
}

INLINE vec sgd_step(vec *w, vec g, vec v, vec rate, vec momentum, vec decay)
{
    v = momentum * v + (g + decay * *w);
    *w -= rate * v;
    return v;
}

static void sgd(const struct optimizer_step *s, real *w, const real *g, real *v, size_t count)
{
    const vec rate = all(s->learning_rate), momentum = all(s->momentum), decay = all(s->weight_decay);
    size_t i = 0;
    for (; i + VEC <= count; i += VEC) {
        vec at = fetch(w + i);
        put(v + i, sgd_step(&at, fetch(g + i), fetch(v + i), rate, momentum, decay));
        put(w + i, at);
    }
    vec at = fetch_some(w + i, count - i);
    vec last =
        sgd_step(&at, fetch_some(g + i, count - i), fetch_some(v + i, count - i), rate, momentum, decay);
    put_some(v + i, last, count - i);
    put_some(w + i, at, count - i);
}

struct adam {
    vec rate, decay, correct_m, correct_v;
};

INLINE vec adam_step(const struct adam *a, vec w, vec g, vec *m, vec *v)
{
    const real beta1 = (real)0.9, beta2 = (real)0.999, tiny = (real)1e-8;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    vec root = *v * a->correct_v;
    EACH (i, VEC)
        root[i] = real_sqrt(root[i]);
    return w - a->rate * (*m * a->correct_m / (root + tiny) + a->decay * w);
}

static void adam(const struct optimizer_step *s, real *w, const real *g, real *m, real *v, size_t count)
{
    const struct adam a = { all(s->learning_rate), all(s->weight_decay),
                            all((real)(1 / (1 - pow(0.9, (double)s->number)))),
                            all((real)(1 / (1 - pow(0.999, (double)s->number)))) };
    size_t i = 0;
    for (; i + VEC <= count; i += VEC) {
        vec first = fetch(m + i), second = fetch(v + i);
        put(w + i, adam_step(&a, fetch(w + i), fetch(g + i), &first, &second));
        put(m + i, first);
        put(v + i, second);
    }
    size_t rest = count - i;
    vec first = fetch_some(m + i, rest), second = fetch_some(v + i, rest);
    put_some(w + i, adam_step(&a, fetch_some(w + i, rest), fetch_some(g + i, rest), &first, &second), rest);
    put_some(m + i, first, rest);
    put_some(v + i, second, rest);
}

/* Clipping comes first: what is rounded is small, so the shift is exact. */
INLINE vec nearest(vec u, vec low, vec high, bool odd)
{
    u = clip(u, low, high);
    if (!odd)
        return rounded(u);
    /* the half-open cells [2m, 2m+2) -> 2m+1 send 0 to +1 */
    vec half = u * (real)0.5, even = rounded(half);
    even -= pick(even > half, all(1), all(0));
    vec k = 2 * even + 1;
    return pick(k > high, high, k);
}

/* Sums of one vector's worth of lanes; a few of these in real, then double takes them over. */
struct lane_sums {
    vec error, wk, kk;
};

enum { SHORT = 16 * VEC }; /* elements that are summed in real */

INLINE void add_sums(struct grid_sums *sums, struct lane_sums *l)
{
    EACH (i, VEC) {
        sums->error += (double)l->error[i];
        sums->wk += (double)l->wk[i];
        sums->kk += (double)l->kk[i];
    }
    *l = (struct lane_sums){ 0 };
}

typedef int8_t code_vec __attribute__((vector_size(VEC)));

/* One vector: q and codes; its sums. Returns how many codes are zero, times -1 per lane. */
INLINE vec_mask quantize_vec(const struct grid_rule *r, vec w, vec *q, vec *code, struct lane_sums *l,
                             bool odd)
{
    vec k = nearest(w / r->scale, all((real)r->low), all((real)r->high), odd);
    vec value = k * r->scale, d = w - value;
    l->error += d * d;
    l->wk += w * k;
    l->kk += k * k;
    *q = value;
    *code = k;
    return (vec_mask)(k == 0);
}

INLINE void put_codes(int8_t *to, vec code, size_t count)
{
    code_vec narrow = __builtin_convertvector(code, code_vec);
    memcpy(to, &narrow, count);
}

INLINE void quantize_with(const struct grid_rule *r, const real *w, real *q, int8_t *code, size_t count,
                          struct grid_sums *sums, const bool odd)
{
    struct lane_sums l = { 0 };
    vec_mask zeros = { 0 };
    vec value, k;
    size_t i = 0;
    while (i + VEC <= count) {
        size_t end = count - i > SHORT ? i + SHORT : count;
        for (; i + VEC <= end; i += VEC) {
            zeros += quantize_vec(r, fetch(w + i), &value, &k, &l, odd);
            put(q + i, value);
            if (code)
                put_codes(code + i, k, VEC);
        }
        add_sums(sums, &l);
    }
    EACH (lane, VEC)
        sums->zeros -= zeros[lane];
    if (i == count)
        return;
    struct lane_sums last = { 0 };
    zeros = quantize_vec(r, fetch_some(w + i, count - i), &value, &k, &last, odd);
    put_some(q + i, value, count - i);
    if (code)
        put_codes(code + i, k, count - i);
    for (size_t lane = 0; lane < count - i; lane++) {
        sums->error += (double)last.error[lane];
        sums->wk += (double)last.wk[lane];
        sums->kk += (double)last.kk[lane];
        sums->zeros -= zeros[lane];
    }
}

static void quantize(const struct grid_rule *r, const real *w, real *q, int8_t *code, size_t count,
                     struct grid_sums *sums)
{
    if (r->odd)
        quantize_with(r, w, q, code, count, sums, true);
    else
        quantize_with(r, w, q, code, count, sums, false);
}

static void pull(real *w, const real *q, size_t count, real share)
{
    size_t i = 0;
    for (; i + VEC <= count; i += VEC) {
        vec at = fetch(w + i);
        put(w + i, at + share * (fetch(q + i) - at));
    }
    vec at = fetch_some(w + i, count - i);
    put_some(w + i, at + share * (fetch_some(q + i, count - i) - at), count - i);
}

const struct update_pass SYMBOL(update_, KERNEL_SET) = {
    .sgd = sgd,
    .adam = adam,
    .quantize = quantize,
    .pull = pull,
};
