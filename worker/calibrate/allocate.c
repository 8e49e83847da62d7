#include "worker/calibrate/allocate.h"

#include <math.h>

static double layer_cost(const struct allocate_layer *l, enum allocate_what what)
{
    if (what == ALLOCATE_BYTES)
        return (double)((l->weights * l->weight_bits + 7) / 8);
    return (double)l->macs * l->weight_bits * l->activation_bits;
}

double allocate_cost(const struct allocate_layer *layer, int count, enum allocate_what what)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += layer_cost(&layer[i], what);
    return sum;
}

/* The next width below that there is a figure for; the same when there is none. */
static int lower(const double *noise, int bits, int least)
{
    for (int b = bits - 1; bits <= SENSITIVITY_MOST && b >= least && b >= SENSITIVITY_LEAST; b--)
        if (noise[b] >= 0)
            return b;
    return bits;
}

/* One layer with less of one thing. */
struct move {
    int layer, bits;
    bool activation;
    double price; /* noise gained by cost saved */
};

static void consider(struct move *best, const struct allocate_layer *l, const struct sensitivity_row *row,
                     int index, bool activation, enum allocate_what what)
{
    const double *noise = activation ? row->activations : row->weights;
    const int now = activation ? l->activation_bits : l->weight_bits,
              next = lower(noise, now, activation ? l->activation_least : l->weight_least);
    struct allocate_layer less = *l;

    if (next == now)
        return;
    *(activation ? &less.activation_bits : &less.weight_bits) = next;
    const double saved = layer_cost(l, what) - layer_cost(&less, what);
    const double price = saved > 0 ? (noise[next] - noise[now]) / saved : INFINITY;
    if (price < best->price)
        *best = (struct move){ index, next, activation, price };
}

bool allocate(struct allocate_layer *layer, const struct sensitivity_row *row, int count,
              enum allocate_what what, double budget)
{
    while (allocate_cost(layer, count, what) > budget) {
        struct move best = { .layer = -1, .price = INFINITY };
        for (int i = 0; i < count; i++) {
            consider(&best, &layer[i], &row[i], i, false, what);
            if (what == ALLOCATE_BIT_OPERATIONS)
                consider(&best, &layer[i], &row[i], i, true, what);
        }
        if (best.layer < 0)
            return false;
        *(best.activation ? &layer[best.layer].activation_bits : &layer[best.layer].weight_bits) = best.bits;
    }
    return true;
}
