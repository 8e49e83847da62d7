/* lanes_unary.c - functions of one number, for one instruction set. One line of the table makes one. */
#include "worker/kernels/element.h"
#include "worker/kernels/lanes_vector.h"

INLINE vec each_exp(vec x)
{
    EACH (i, VEC)
        x[i] = real_exp(x[i]);
    return x;
}

INLINE vec each_tanh(vec x)
{
    EACH (i, VEC)
        x[i] = real_tanh(x[i]);
    return x;
}

/* x / 6 + 1/2 between 0 and 1: the gate of hard-swish. */
INLINE vec gate(vec x)
{
    return clip(x / 6 + (real)0.5, all(0), all(1));
}

INLINE vec_mask between(vec x, vec low, vec high)
{
    return (x >= low) & (x <= high);
}

/* name, y of x, its share of dx: of dy and v, which is x or y. Zero outside, not zero times dy. */
#define UNARY_MAP(X)                                                                                         \
    X(RELU, pick(x < 0, all(0), x), pick(v > 0, dy, all(0)))                                                 \
    X(LEAKY_RELU, pick(x < 0, a * x, x), pick(v < 0, a * dy, dy))                                            \
    X(SIGMOID, 1 / (1 + each_exp(-x)), dy * v * (1 - v))                                                     \
    X(TANH, each_tanh(x), dy *(1 - v * v))                                                                   \
    X(HARD_SIGMOID, clip(a *x + b, all(0), all(1)), pick(between(a *v + b, all(0), all(1)), a *dy, all(0)))  \
    X(HARD_SWISH, x *gate(x), dy *(gate(v) + pick(between(v, all(-3), all(3)), v / 6, all(0))))              \
    X(CLIP, clip(x, a, b), pick(between(v, a, b), dy, all(0)))

#define PASSES(NAME, f, grow)                                                                                \
    static void forward_##NAME(real *y, const real *from, size_t count, real low, real high)                 \
    {                                                                                                        \
        const vec a = all(low), b = all(high);                                                               \
        (void)a, (void)b;                                                                                    \
        for (size_t i = 0; i < count; i += VEC) {                                                            \
            vec x = load(from + i);                                                                          \
            store(y + i, f);                                                                                 \
        }                                                                                                    \
    }                                                                                                        \
                                                                                                             \
    INLINE void grow_##NAME(real *dx, const real *from, const real *seen, size_t count, vec a, vec b,        \
                            const bool add)                                                                  \
    {                                                                                                        \
        (void)a, (void)b;                                                                                    \
        for (size_t i = 0; i < count; i += VEC) {                                                            \
            vec dy = load(from + i), v = load(seen + i);                                                     \
            vec share = grow;                                                                                \
            if (add)                                                                                         \
                share += load(dx + i);                                                                       \
            store(dx + i, share);                                                                            \
        }                                                                                                    \
    }                                                                                                        \
                                                                                                             \
    static void backward_##NAME(real *dx, const real *from, const real *seen, size_t count, real low,        \
                                real high, bool add)                                                         \
    {                                                                                                        \
        if (add)                                                                                             \
            grow_##NAME(dx, from, seen, count, all(low), all(high), true);                                   \
        else                                                                                                 \
            grow_##NAME(dx, from, seen, count, all(low), all(high), false);                                  \
    }

UNARY_MAP(PASSES)

#define ROW(NAME, f, grow) [UNARY_##NAME] = { forward_##NAME, backward_##NAME },

const struct unary_pass SYMBOL(unary_, KERNEL_SET)[UNARIES] = { UNARY_MAP(ROW) };
