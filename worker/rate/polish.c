#include "worker/rate/polish.h"

#include "worker/quant/quantizer.h"

#include <stdlib.h>

/* Bits from size `from` to size `to` of a code, to < from. */
static double saved(double first, const double more[SLOPE_LEVELS], int from, int to)
{
    double bits = to ? 0 : first;

    for (int m = to ? to : 1; m < from; m++)
        bits += more[m - 1 < SLOPE_LEVELS ? m - 1 : SLOPE_LEVELS - 1];
    return bits;
}

/* Nats for each bit of a move to size `to`. */
static float price_of(const struct polish *p, size_t at, int to, double step, const double more[SLOPE_LEVELS])
{
    const int from = abs(p->code[at]);
    const double d = (double)(from - to) * step;

    return (float)(0.5 * (double)p->curvature[at] * d * d / saved((double)p->slope[at], more, from, to));
}

static int compare(const void *a, const void *b)
{
    const struct polish_move *x = a, *y = b;

    if (x->price != y->price)
        return x->price < y->price ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The estimate of one tensor's bits, and the prices of its codes. */
static double estimate(const struct polish *p, int i, double more[SLOPE_LEVELS])
{
    p->tensor[i] = p->rate->tensor[i];
    p->tensor[i].code = p->code + p->q->weight[i].offset;
    return slope_bits(&p->tensor[i], p->slope + p->q->weight[i].offset, more, p->odds);
}

size_t polish_moves(const struct polish *p, double most, struct polish_move *move)
{
    double more[SLOPE_LEVELS];
    size_t moves = 0;

    for (int i = 0; i < p->q->weights; i++) {
        const struct quant_weight *w = &p->q->weight[i];
        const double step = w->quantizer->step(w, w->scale);
        estimate(p, i, more);
        for (size_t k = w->offset; k < w->offset + w->count; k++) {
            const int m = abs(p->code[k]);
            if (!m)
                continue;
            const float near = price_of(p, k, m - 1, step, more), zero = price_of(p, k, 0, step, more);
            const int to = near < zero ? m - 1 : 0;
            const float price = near < zero ? near : zero;
            if ((double)price < most)
                move[moves++] = (struct polish_move){ .at = k,
                                                      .price = price,
                                                      .to = (int8_t)(p->code[k] < 0 ? -to : to) };
        }
    }
    qsort(move, moves, sizeof *move, compare);
    return moves;
}

double polish_bits(const struct polish *p)
{
    double more[SLOPE_LEVELS], bits = 0;

    for (int i = 0; i < p->q->weights; i++)
        bits += estimate(p, i, more);
    return bits;
}
