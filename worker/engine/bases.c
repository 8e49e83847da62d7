/* bases.c - layers of learned bases by bit planes (LQ-Nets, Zhang et al., arXiv 1807.10029, equation 7): with
 * codes x = bx + sum_i vx_i a_i and weights w = bw + sum_j vw_j b_j, bits a and b,
 *
 *      sum x w = sum_ij vx_i vw_j |a_i and b_j|  +  sum_i vx_i bw |a_i|  +  bx sum w
 *
 * The factors of counts are integers, in a power of two that lets the sums have SUM_BITS; it is the sum's
 * factor, one for each output. Uniform codes and weights have bases, too: powers of two times a step. */
#include "worker/engine/compile.h"

#include "base/mem.h"

#include <stdlib.h>

enum { SUM_BITS = 30 };

/* The numbers of one layer. */
struct layer_bases {
    struct planes x;
    const struct value_codes *codes;
    size_t K; /* weights of an output */
};

/* Uniform codes begin at their lowest. */
static struct planes planes_of(const struct known *in)
{
    const struct quantizer *q = &in->quantizer;
    struct planes p = { .base = (q->low - q->zero) * q->scale };
    if (in->form == KNOWN_LEVELS)
        return in->planes;
    for (; 1 << p.count <= q->high - q->low; p.count++)
        p.worth[p.count] = ldexp(q->scale, p.count);
    return p;
}

static struct planes planes_of_weights(const struct value_codes *codes, const struct bits_conv *k, int output)
{
    const int channel = codes->axis < 0 ? 0 : output;
    struct planes p = { .count = k->w_planes };
    if (codes->planes) {
        for (int j = 0; j < p.count; j++) {
            const double v = (double)codes->scale[channel * codes->planes + j];
            p.base -= v;
            p.worth[j] = 2 * v;
        }
        return p;
    }
    const double scale = (double)codes->scale[channel];
    p.base = k->w_low * scale;
    for (int j = 0; j < p.count; j++)
        p.worth[j] = ldexp(k->w_step * scale, j);
    return p;
}

/* What the weights of one output say: bits that are set, by plane; the sums of the positive and of the
 * negative ones. */
struct weight_sums {
    double set[BITS_PLANES], up, down;
};

static struct weight_sums sum_weights(const struct bits_conv *k, const struct planes *p, const int8_t *w,
                                      size_t K)
{
    struct weight_sums s = { .up = 0 };
    for (size_t i = 0; i < K; i++) {
        const unsigned pattern = (unsigned)((w[i] - k->w_low) / k->w_step);
        double value = p->base;
        for (int j = 0; j < p->count; j++)
            if (pattern >> j & 1) {
                value += p->worth[j];
                s.set[j] += 1;
            }
        *(value > 0 ? &s.up : &s.down) += value;
    }
    return s;
}

/* The factor of one output: no part of its sums, in whatever order, is larger than SUM_BITS. */
static double choose_factor(const struct planes *x, const struct planes *w, const struct weight_sums *s,
                            size_t K)
{
    double most = 0;
    int exponent;
    for (int i = 0; i < x->count; i++) {
        most += fabs(x->worth[i] * w->base) * (double)K;
        for (int j = 0; j < w->count; j++)
            most += fabs(x->worth[i] * w->worth[j]) * s->set[j];
    }
    frexp(most * (1 + 1e-6), &exponent);
    return ldexp(1, exponent - SUM_BITS);
}

static double range_of(const struct planes *p)
{
    double range = 0;
    for (int i = 0; i < p->count; i++)
        range += p->worth[i];
    return range;
}

/* Factor, shift and bound of an output, and, where nobody else has them, its integers. */
static void fill_output(const struct layer_bases *l, struct engine_step *s, const int8_t *w, int o)
{
    const struct bits_conv *k = &s->thin->k;
    const int outs = quads(s->k.conv.O) * QUAD;
    const struct planes weights = planes_of_weights(l->codes, k, o);
    const struct weight_sums sums = sum_weights(k, &weights, w + (size_t)o * l->K, l->K);
    const double factor = choose_factor(&l->x, &weights, &sums, l->K);
    s->factor[o] = factor;
    s->shift[o] += l->x.base * (sums.up + sums.down);
    /* every count may be off by half a unit */
    s->bound[o] = fmax(sums.up, -sums.down) * range_of(&l->x) / factor + (double)l->K * (k->terms + k->rests);
    for (int t = 0; t < k->terms && !s->borrowed; t++)
        s->thin->w.worth[t * outs + o] =
            (int32_t)rint(l->x.worth[k->term[t].x] * weights.worth[k->term[t].w] / factor);
    for (int i = 0; i < k->rests && !s->borrowed; i++)
        s->thin->w.rest[i * outs + o] = (int32_t)rint(l->x.worth[i] * weights.base / factor);
}

static bool padded(const struct conv *c)
{
    return c->top || c->left || c->bottom || c->right;
}

int compile_bases(struct compile *c, const struct node *n, struct engine_step *s, const int8_t *w)
{
    const struct known *in = &c->known[n->input[0]];
    const struct conv *conv = &s->k.conv;
    const struct engine_step *before = compile_packed(c, n);
    struct thin_layer thin = { .k = { .conv = *conv, .zero = s->k.zero } };
    const struct layer_bases l = { .x = planes_of(in),
                                   .codes = c->g->value[n->input[1]].codes,
                                   .K = (size_t)conv->C / (size_t)conv->groups * (size_t)conv->KH *
                                        (size_t)conv->KW };
    if (in->form == KNOWN_LEVELS && l.x.base != 0 && padded(&s->whole))
        return err_set(c->e, ERR_UNSUPPORTED, "None of its input's levels is zero: it can't be padded");
    if (!bits_fit_bases(&thin.k, l.x.count, w, l.codes->planes))
        return err_set(c->e, ERR_UNSUPPORTED, "Groups, or weights of more than %d bits, have no bit planes",
                       BITS_PLANES);
    if (in->form == KNOWN_CODES)
        thin.k.base = (uint8_t)in->quantizer.low;
    s->thin = mem_alloc(sizeof *s->thin);
    if (!s->thin)
        return err_set(c->e, ERR_NOMEM, "out of memory for the bits of weights");
    *s->thin = thin;
    s->borrowed = before;
    const int bad = before ? 0 : bits_pack(&s->thin->k, w, &s->thin->w, c->e);
    if (before)
        s->thin->w = before->thin->w;
    for (int o = 0; o < conv->O && !bad; o++)
        fill_output(&l, s, w, o);
    return bad;
}
