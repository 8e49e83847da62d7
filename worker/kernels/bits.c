/* bits.c - codes and weights come apart into planes. The same for every set. */
#include "worker/kernels/bits.h"

#include "base/mem.h"

#include <stdlib.h>

struct set {
    const struct int8_kernels *wide;
    const struct bits_kernels *bits;
    double pair; /* time for a pair of planes of a word, in products of four bytes by the set's own */
};

static const struct set sets[] = {
#ifndef QUANTD_DOUBLE
    { &int8_avx512_vnni, &bits_avx512_vnni, 4 },
    { &int8_avx512, &bits_avx512, 2.1 },
    { &int8_avx2, &bits_avx2, 2.1 },
#endif
    { &int8_generic, &bits_generic, 2.2 },
};

#ifndef QUANTD_DOUBLE
/* Where the CPU counts bits of a vector by itself. */
static const struct set counting[] = {
    { &int8_avx512_vnni, &bits_avx512_popcount, 1.45 },
    { &int8_avx512, &bits_avx512_popcount, 0.75 },
};
#endif

static const struct set *set_of(const struct kernels *k)
{
    const struct set *s = sets;
#ifndef QUANTD_DOUBLE
    if (__builtin_cpu_supports("avx512vpopcntdq"))
        for (size_t i = 0; i < sizeof counting / sizeof *counting; i++)
            if (counting[i].wide == k->int8)
                return &counting[i];
#endif
    while (s->wide != k->int8)
        s++;
    return s;
}

const struct bits_kernels *bits_of(const struct kernels *k)
{
    return set_of(k)->bits;
}

/* What a pixel takes beside its pairs is about as long as ten products. */
bool bits_pay(const struct bits_conv *c, const struct kernels *k)
{
    const struct conv *v = &c->conv;
    return set_of(k)->pair * c->terms * bits_steps(v) + 10 < quads(v->C) * v->KH * v->KW;
}

static size_t weights(const struct conv *c)
{
    return (size_t)c->O * c->C * c->KH * c->KW;
}

static int bits_for(int levels)
{
    int bits = 1;
    while (1 << bits < levels)
        bits++;
    return bits;
}

/* w = low + step * pattern, or in two's complement where that takes no more planes. */
struct range {
    int low, step, planes;
    bool complement;
};

static struct range range_of(const int8_t *w, size_t count)
{
    int low = w[0], high = w[0];
    bool even = true; /* all are apart by even numbers */
    for (size_t i = 1; i < count; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
        even &= (w[i] - w[0]) % 2 == 0;
    }
    struct range r = { low, even && high > low ? 2 : 1, 0, false };
    r.planes = bits_for((high - low) / r.step + 1);
    r.complement = r.step == 1 && low >= -(1 << (r.planes - 1)) && high < 1 << (r.planes - 1);
    return r;
}

/* Pairs of planes from the highest power of two down: everything that was counted is doubled before the next
 * lower one comes, and at last it is multiplied by the step. */
static void make_terms(struct bits_conv *c, const struct range *r)
{
    c->terms = 0;
    for (int power = c->x_planes + c->w_planes - 2; power >= 0; power--) {
        for (int w = 0; w < c->w_planes; w++)
            if (power - w >= 0 && power - w < c->x_planes)
                c->term[c->terms++] = (struct bits_term){ .x = (uint8_t)(power - w),
                                                          .w = (uint8_t)w,
                                                          .minus = r->complement && w == c->w_planes - 1 };
        c->term[c->terms - 1].twice = power > 0;
    }
    c->term[c->terms - 1].flush = true;
}

bool bits_fit(struct bits_conv *c, uint8_t low, uint8_t high, const int8_t *w)
{
    if (c->conv.groups != 1)
        return false;
    const struct range r = range_of(w, weights(&c->conv));
    c->base = low;
    c->x_planes = bits_for(high - low + 1);
    c->w_planes = r.planes;
    c->w_low = r.complement ? 0 : r.low;
    c->w_step = r.step;
    c->rests = c->w_low != 0;
    if (c->x_planes > BITS_PLANES || c->w_planes > BITS_PLANES || c->zero < low || c->zero > high)
        return false;
    for (int i = 0; i < c->x_planes; i++)
        c->x_worth[i] = 1 << i;
    make_terms(c, &r);
    return true;
}

bool bits_fit_bases(struct bits_conv *c, int x_planes, const int8_t *w, int basis)
{
    if (c->conv.groups != 1)
        return false;
    const struct range r =
        basis ? (struct range){ 1 - (1 << basis), 2, basis, false } : range_of(w, weights(&c->conv));
    c->base = 0;
    c->x_planes = x_planes;
    c->w_planes = r.planes;
    c->w_low = r.low;
    c->w_step = r.step;
    c->rests = x_planes;
    c->terms = 0;
    if (x_planes > BITS_CODES || r.planes > BITS_PLANES)
        return false;
    for (int j = 0; j < r.planes; j++)
        for (int i = 0; i < x_planes; i++) {
            c->x_worth[i] = 1;
            c->term[c->terms] =
                (struct bits_term){ .x = (uint8_t)i, .w = (uint8_t)j, .flush = true, .worth = c->terms };
            c->terms++;
        }
    return true;
}

/* Where a weight stands: its step, and its bit of the word. */
static void place_of(const struct conv *c, int channel, int kh, int kw, int *step, uint32_t *bit)
{
    const int taps = bits_taps(c), row = (c->KW + taps - 1) / taps;
    *step = (channel / 32 * c->KH + kh) * row + kw / taps;
    *bit = 1u << bits_place(channel % 32, kw % taps, taps);
}

/* Patterns of one output, [plane][step][4] from `word` on; NULL: every bit that stands for a weight, [step].
 */
static void pack_output(const struct bits_conv *c, const int8_t *w, uint32_t *word)
{
    const struct conv *v = &c->conv;
    const int steps = bits_steps(v);
    for (int channel = 0; channel < v->C; channel++)
        for (int kh = 0; kh < v->KH; kh++)
            for (int kw = 0; kw < v->KW; kw++, w++) {
                const unsigned pattern = (unsigned)((*w - c->w_low) / c->w_step);
                int step;
                uint32_t bit;
                place_of(v, channel, kh, kw, &step, &bit);
                for (int j = 0; j < c->w_planes; j++)
                    if (pattern >> j & 1)
                        word[(j * steps + step) * QUAD] |= bit;
            }
}

static void pack_window(const struct conv *c, uint32_t *word)
{
    for (int channel = 0; channel < c->C; channel++)
        for (int kh = 0; kh < c->KH; kh++)
            for (int kw = 0; kw < c->KW; kw++) {
                int step;
                uint32_t bit;
                place_of(c, channel, kh, kw, &step, &bit);
                word[step] |= bit;
            }
}

int bits_pack(const struct bits_conv *c, const int8_t *w, struct bits_weights *packed, struct err *e)
{
    const struct conv *v = &c->conv;
    const size_t outs = (size_t)quads(v->O) * QUAD, steps = (size_t)bits_steps(v);
    const size_t K = weights(v) / (size_t)v->O, row = (size_t)c->w_planes * steps;
    const bool powers = c->term[c->terms - 1].worth == 0; /* of two */
    packed->word = mem_array(outs * row + steps, sizeof *packed->word);
    packed->worth = mem_array(outs * (powers ? 1 : (size_t)c->terms), sizeof *packed->worth);
    packed->rest = mem_array(outs * (size_t)(c->rests + 1), sizeof *packed->rest);
    if (!packed->word || !packed->worth || !packed->rest)
        return err_set(e, ERR_NOMEM, "out of memory for the bits of weights");
    for (size_t o = 0; o < outs && powers; o++)
        packed->worth[o] = c->w_step;
    for (int o = 0; o < v->O; o++) {
        uint32_t *word = packed->word + (size_t)(o / QUAD) * row * QUAD + o % QUAD;
        pack_output(c, w + (size_t)o * K, word);
        packed->rest[o] = powers ? c->w_low : 0;
    }
    pack_window(v, packed->word + outs * row);
    return 0;
}

void bits_free(struct bits_weights *w)
{
    free(w->word);
    free(w->worth);
    free(w->rest);
    *w = (struct bits_weights){ 0 };
}
