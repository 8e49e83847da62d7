#include "worker/quant/histogram.h"
#include "worker/quant/quantizer.h"

/* Weights of one code. */
struct bin {
    double count, sum, square; /* of offsets */
};

static int cell_of(double offset)
{
    const int cell = (int)floor((offset + 0.5) * HISTOGRAM_CELLS);

    return cell < 0 ? 0 : cell >= HISTOGRAM_CELLS ? HISTOGRAM_CELLS - 1 : cell;
}

/* Adds a chunk to the bins of its layer, by code, and to the cells. */
static void add_chunk(const struct quant *q, const struct quant_chunk *c, const real *w, struct histogram *h,
                      struct bin *bin)
{
    const struct quant_weight *weight = &q->weight[c->weight];
    const double step = weight->quantizer->step(weight, weight->scale + c->channel * weight->width);

    for (size_t i = 0; i < c->count; i++) {
        const size_t at = c->offset + i * c->stride;
        const double offset = ((double)w[at] - (double)q->q[at]) / step;
        struct bin *b = &bin[q->code[at] + QUANT_LEVELS];
        b->count += 1;
        b->sum += offset;
        b->square += offset * offset;
        h->offset[cell_of(offset)] += 1;
        h->count++;
    }
}

/* sum over the bins of what lies within them: count times variance */
static double within(const struct bin *bin, int bins)
{
    double total = 0;

    for (int k = 0; k < bins; k++)
        if (bin[k].count > 0)
            total += bin[k].square - bin[k].sum * bin[k].sum / bin[k].count;
    return total;
}

void histogram_take(const struct quant *q, const real *w, struct histogram *h)
{
    enum { BINS = 2 * QUANT_LEVELS + 1 }; /* codes of any grid: -16..16 */
    double spread = 0;

    *h = (struct histogram){ 0 };
    for (int i = 0, chunk = 0; i < q->weights; i++) {
        struct bin bin[BINS] = { { 0 } };
        const bool counts = q->weight[i].bits <= 4;
        for (; chunk < q->chunks && q->chunk[chunk].weight == i; chunk++)
            if (counts)
                add_chunk(q, &q->chunk[chunk], w, h, bin);
        spread += within(bin, BINS);
    }
    if (h->count == 0)
        return;
    for (int k = 0; k < HISTOGRAM_CELLS; k++)
        h->offset[k] /= (double)h->count;
    h->variance = spread / (double)h->count;
}
