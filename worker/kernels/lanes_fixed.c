/* lanes_fixed.c - passes over numbers and codes (fixed.h), for one instruction set. */
#include "worker/kernels/fixed.h"
#include "worker/kernels/lanes_dot.h"

typedef uint8_t bytes __attribute__((vector_size(VEC_BYTES), may_alias));

static void add(double *y, const double *a, const double *b, size_t count, double low, double high)
{
    for (size_t i = 0; i < count; i += INTS) {
        struct doubles sum = load_doubles(a + i);
        if (b) {
            struct doubles more = load_doubles(b + i);
            sum.low += more.low;
            sum.high += more.high;
        }
        store_doubles(y + i, clip_doubles(sum, low, high));
    }
}

INLINE void quad_codes(uint8_t *code, const double *x, ptrdiff_t plane, size_t count,
                       const struct int8_codes *rule, const int channels)
{
    const struct int8_codes r = *rule;
    for (size_t i = 0; i < count; i += INTS) {
        ivec quad = { 0 };
        EACH (c, channels) {
            ivec q = round_doubles(times_doubles(load_doubles(x + c * plane + i), r.factor)) + r.zero;
            quad |= clip_ints(q, r.low, r.high) << 8 * c;
        }
        *(ivec *)(code + i * QUAD) = quad;
    }
}

static void codes(uint8_t *code, const double *x, ptrdiff_t plane, int channels, size_t count,
                  const struct int8_codes *rule)
{
    switch (channels) {
    case 1:
        quad_codes(code, x, plane, count, rule, 1);
        break;
    case 2:
        quad_codes(code, x, plane, count, rule, 2);
        break;
    case 3:
        quad_codes(code, x, plane, count, rule, 3);
        break;
    default:
        quad_codes(code, x, plane, count, rule, QUAD);
    }
}

static void stair(uint8_t *code, const double *x, ptrdiff_t plane, int channels, size_t count,
                  const struct fixed_stair *s)
{
    for (size_t i = 0; i < count; i += INTS) {
        ivec quad = { 0 };
        for (int c = 0; c < channels; c++) {
            const struct doubles v = load_doubles(x + c * plane + i);
            ivec q = all_ints(s->start);
            for (int k = 0; k < s->count; k++)
                q ^= EVEN((ivec)(v.low > s->limit[k]), (ivec)(v.high > s->limit[k])) & s->change[k];
            quad |= q << 8 * c;
        }
        *(ivec *)(code + i * QUAD) = quad;
    }
}

static void numbers(double *y, const uint8_t *code, int channel, size_t count, int32_t zero, double factor)
{
    for (size_t i = 0; i < count; i += INTS) {
        ivec quad = *(const ivec *)(code + i * QUAD);
        store_doubles(y + i, scale_doubles(((quad >> 8 * channel) & 255) - zero, factor, 0));
    }
}

static void max_codes(uint8_t *y, const uint8_t *x, size_t pixels)
{
    for (size_t i = 0; i < pixels * PIXEL; i += VEC_BYTES) {
        bytes a = *(const bytes *)(y + i), b = *(const bytes *)(x + i), more = (bytes)(b > a);
        *(bytes *)(y + i) = (more & b) | (~more & a);
    }
}

static void max(double *y, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] < x[i] ? x[i] : y[i];
}

static void patch_one(const struct patch *p, uint32_t zero, const uint32_t *x, uint8_t *to)
{
    uint32_t pixel[LANES];
    for (int l = 0; l < LANES; l++)
        pixel[l] = p->from[l] == NOWHERE ? zero : x[p->from[l]];
    memcpy(to + p->to * PIXEL, pixel, PIXEL);
}

#if defined(__AVX512F__)
/* The lanes of one pixel in another order: the low bits of `from` say which. */
INLINE void turn_one(const struct patch *p, uint32_t zero, const uint8_t *from, uint8_t *to)
{
    const __m512i order = _mm512_loadu_si512(p->from), x = _mm512_load_si512(from + p->source * PIXEL);
    const __mmask16 some = _mm512_cmpneq_epi32_mask(order, _mm512_set1_epi32(NOWHERE));
    const __m512i y = _mm512_mask_permutexvar_epi32(_mm512_set1_epi32((int32_t)zero), some, order, x);
    _mm512_store_si512(to + p->to * PIXEL, y);
}
#else
INLINE void turn_one(const struct patch *p, uint32_t zero, const uint8_t *from, uint8_t *to)
{
    patch_one(p, zero, (const uint32_t *)from, to);
}
#endif

static void patch(const struct patch *list, int count, int zero, const uint8_t *from, ptrdiff_t from_plane,
                  uint8_t *to, ptrdiff_t to_plane, int planes)
{
    const uint32_t none = (uint32_t)zero * 0x01010101;
    for (int q = 0; q < planes; q++, from += from_plane * PIXEL, to += to_plane * PIXEL)
        for (const struct patch *p = list; p < list + count; p++)
            if (p->source == MANY)
                patch_one(p, none, (const uint32_t *)from, to);
            else
                turn_one(p, none, from, to);
}

const struct fixed_kernels SYMBOL(fixed_, KERNEL_SET) = { .add = add,
                                                          .codes = codes,
                                                          .stair = stair,
                                                          .numbers = numbers,
                                                          .max_codes = max_codes,
                                                          .max = max,
                                                          .patch = patch };
