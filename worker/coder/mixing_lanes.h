/* mixing_lanes.h - decide() of lanes_matrix.c with AVX2: all counters of a decision at once, in registers of
 * four numbers of 64 bits.
 *
 * The README's integers are kept in doubles wherever they pass 32 bits. None of them, sums included, takes
 * more than 53 bits, so nothing is ever rounded and the bits are those of mixing_plain.h:
 *
 *      sum of weight * opinion    8 * 2^36 * 5630         opinion * error * rate    5630 * 2^16 * 322 / 32
 *
 * Quotients of counters are divisions rounded down. None of them is a whole number (divisors are odd, or
 * multiples of 3) or nearly one, so that does not depend on the last bits, either. Added to 2^52 a number has
 * no bits behind the point, and is found, as an integer, in the lowest bits of the sum.
 *
 * Constants come from memory, and learning is written for both bits, for what is short is instructions: a
 * processor looks ahead over some 300, and only if the next decision is within that does it begin before this
 * one has passed sum, squash, error and weights. Registers of eight numbers took as long, or longer. */
#include <immintrin.h>

typedef int64_t qvec __attribute__((vector_size(32)));
typedef uint64_t wvec __attribute__((vector_size(32)));
typedef int32_t ivec __attribute__((vector_size(32)));
typedef uint32_t uvec __attribute__((vector_size(32)));
typedef double dvec __attribute__((vector_size(32)));
typedef qvec quads_there __attribute__((may_alias)); /* in memory */
typedef dvec numbers_there __attribute__((may_alias));

enum { WIDE = 4, REGISTERS = MIXING_INPUTS / WIDE };

#define QUADS(name)  ((qvec)(*(const quads_there *)mixing_every.name))
#define NUMBER(name) ((dvec)(*(const numbers_there *)mixing_every.name))

/* Products of the lower halves. */
ALWAYS qvec times(qvec a, qvec b)
{
    return (qvec)_mm256_mul_epi32((__m256i)a, (__m256i)b);
}

/* Of numbers below 2^31. */
ALWAYS qvec lesser(qvec a, qvec b)
{
    return (qvec)_mm256_min_epi32((__m256i)a, (__m256i)b);
}

/* a * b + c, rounded once */
ALWAYS dvec fused(dvec a, dvec b, dvec c)
{
    return (dvec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}

ALWAYS dvec every(double x)
{
    return (dvec)_mm256_set1_pd(x);
}

/* y, but x in the first lane */
ALWAYS qvec headed(qvec x, qvec y)
{
    return (qvec)_mm256_blend_epi32((__m256i)y, (__m256i)x, 3);
}

ALWAYS bool any_zero(qvec x)
{
    const __m256i zero = _mm256_cmpeq_epi64((__m256i)x, _mm256_setzero_si256());

    return !_mm256_testz_si256(zero, zero);
}

ALWAYS double total(dvec x)
{
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128((__m256d)x), _mm256_extractf128_pd((__m256d)x, 1));

    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* Four counters as vectors of both their halves, in the order 0, 2, 1, 3; and `count` of them back. */
ALWAYS void collect(qvec *learned, qvec *opinion, struct mixed *const *c)
{
    __m128i v[WIDE];

    for (int i = 0; i < WIDE; i++)
        v[i] = _mm_load_si128((const __m128i *)c[i]);
    const __m256i x = _mm256_inserti128_si256(_mm256_castsi128_si256(v[0]), v[1], 1),
                  y = _mm256_inserti128_si256(_mm256_castsi128_si256(v[2]), v[3], 1);
    *learned = (qvec)_mm256_unpacklo_epi64(x, y);
    *opinion = (qvec)_mm256_unpackhi_epi64(x, y);
}

ALWAYS void spread(qvec learned, qvec opinion, struct mixed *const *c, int count)
{
    const __m256i x = _mm256_unpacklo_epi64((__m256i)learned, (__m256i)opinion),
                  y = _mm256_unpackhi_epi64((__m256i)learned, (__m256i)opinion);

    _mm_store_si128((__m128i *)c[0], _mm256_castsi256_si128(x));
    _mm_store_si128((__m128i *)c[1], _mm256_extracti128_si256(x, 1));
    if (count > 2) {
        _mm_store_si128((__m128i *)c[2], _mm256_castsi256_si128(y));
        _mm_store_si128((__m128i *)c[3], _mm256_extracti128_si256(y, 1));
    }
}

/* Stretched probabilities, through memory: that is shorter than taking a vector apart. */
ALWAYS qvec stretched(qvec p)
{
    const uint16_t *t = mixing_stretch;
    int64_t at[WIDE] __attribute__((aligned(32)));

    *(quads_there *)at = (qvec)((wvec)p >> 18);
    __asm__("" : "+m"(at));
    const __m128i a = _mm_insert_epi16(_mm_cvtsi32_si128(t[at[0]]), t[at[1]], 1);
    return (qvec)_mm256_cvtepu16_epi64(_mm_insert_epi16(_mm_insert_epi16(a, t[at[2]], 2), t[at[3]], 3));
}

/* What counters say: stretched, but for the first the difference to it, trusted. */
ALWAYS dvec opinions(qvec opinion, const struct mixed *first, bool with_first)
{
    const qvec said = (qvec)_mm256_set1_epi64x((int64_t)first->opinion);
    const ivec product =
        (ivec)times(opinion - (with_first ? headed(QUADS(reach), said) : said), opinion >> 32);
    /* toward zero; the upper halves of what follows are zero */
    const ivec whole = (product + (ivec)((uvec)(product >> 31) >> 16)) >> 16;

    return (dvec)((qvec)whole ^ QUADS(exponent_signed)) - NUMBER(shifter_signed);
}

/* By opinion * error * rate / 32 toward zero: that is a multiple of 1/32, so less 31/64 of one it is what is
 * nearest. The sum finds that, for weights lie where numbers have 32 bits behind the point. */
ALWAYS dvec reweigh(dvec weight, dvec opinion, double rate, const double *likely, bool bit)
{
    const dvec each = opinion * every(rate);
    const dvec less = (dvec)(((qvec)opinion & QUADS(sign)) | QUADS(less));
    const dvec rest = bit ? fused(each, NUMBER(certain), -less) : less;
    const dvec moved = weight + fused(-each, every(*likely), rest);

    return (dvec)_mm256_max_pd(_mm256_min_pd((__m256d)moved, (__m256d)NUMBER(weight_most)),
                               (__m256d)NUMBER(weight_least));
}

/* Counters learn, and what they will say next time is looked up. */
ALWAYS void learn(qvec *learned, qvec *opinion, bool with_first, bool bit)
{
    const qvec p = *learned & QUADS(p), step = (qvec)((wvec)*learned >> 44);
    const qvec by = (qvec)((wvec)times(bit ? QUADS(one) - p : p, step) >> MIXING_STEP);
    const qvec next = bit ? p + by : p - by;
    const qvec n = (qvec)((wvec)*learned >> 30) & QUADS(limit), seen = lesser(n + QUADS(unit), QUADS(limit));
    const qvec rare = (qvec)((wvec)times(lesser(next, QUADS(one) - next), seen) >> 29);
    const dvec doubt = NUMBER(doubt) / ((dvec)(rare | QUADS(exponent)) - NUMBER(shifter_3));
    const dvec steps = NUMBER(steps) / ((dvec)(seen | QUADS(exponent)) - NUMBER(shifter_3_2));
    const qvec trust = QUADS(trust) - (qvec)(doubt + NUMBER(shifter_half));

    *opinion = (with_first ? headed(QUADS(trusted), trust) : trust) << 32 | stretched(next);
    *learned = next | seen << 30 | (qvec)(steps + NUMBER(shifter_half)) << 44;
}

ALWAYS void teach(struct mixing *m, int set, struct mixed *const *c, int count, const qvec *learned,
                  const dvec *opinion, const double *likely, bool bit)
{
    const double rate = mixing_rate(m, set);
    numbers_there *weight = (numbers_there *)m->weight[set];

    for (int i = 0; i * WIDE < count; i++)
        weight[i] = reweigh(weight[i], opinion[i], rate, likely, bit);
    for (int i = 0; i * WIDE < count; i++) {
        qvec a = learned[i], b;
        learn(&a, &b, !i, bit);
        spread(a, b, c + i * WIDE, count - i * WIDE);
    }
}

ALWAYS bool decide(struct mixing *m, bool decoding, int set, struct mixed *const *asked, int count, bool bit)
{
    const numbers_there *weight = (const numbers_there *)m->weight[set];
    struct mixed *c[MIXING_INPUTS];
    qvec learned[REGISTERS], said[REGISTERS];
    dvec opinion[REGISTERS], sum;
    bool fresh = false;

    for (int i = 0; i < MIXING_INPUTS; i++)
        c[i] = i < count ? asked[i] : (struct mixed *)&mixing_nobody;
    for (int i = 0; i * WIDE < count; i++) {
        collect(&learned[i], &said[i], c + i * WIDE);
        fresh |= any_zero(learned[i]);
    }
    if (__builtin_expect(fresh, 0)) {
        mixing_begin(c, count);
        for (int i = 0; i * WIDE < count; i++)
            collect(&learned[i], &said[i], c + i * WIDE);
    }
    for (int i = 0; i * WIDE < count; i++) {
        opinion[i] = opinions(said[i], c[0], !i);
        const dvec part = (weight[i] + NUMBER(weight_zero)) * opinion[i];
        sum = i ? sum + part : part;
    }
    const int place = mixing_place(total(sum));
    const uint32_t p = mixing_squashed[place];
    if (!decoding)
        range_put(&m->encoder, p, bit);
    if (decoding ? range_get(&m->decoder, p) : bit) { /* the machine goes ahead on the one it expects */
        teach(m, set, c, count, learned, opinion, &mixing_likely[place], true);
        return true;
    }
    teach(m, set, c, count, learned, opinion, &mixing_likely[place], false);
    return false;
}
