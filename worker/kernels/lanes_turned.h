/* lanes_turned.h - the weight gradient of fully connected and 1x1 layers, which is a product of two matrices
 * with the samples (pixels, too) in the sum. The inputs of a few pixels are turned, so that features lie in
 * the lanes, and dw[o] grows by dy[o][sample] * x[sample] in sample order (lanes_product.h): no horizontal
 * sums.
 *
 * Included by lanes_weight.h only. */
#ifndef WORKER_KERNELS_LANES_TURNED_H
#define WORKER_KERNELS_LANES_TURNED_H

#include "worker/kernels/lanes_gather.h"
#include "worker/kernels/lanes_turn.h"

enum {
    TURNED_PIXELS = 8,    /* turned at once, of */
    TURNED_FEATURES = 96, /* so many features: 24 KiB, which stay in L1 */
    TURNED_LEAST = 32     /* outputs of an image's layer: fewer don't pay for the turning */
};

/* Does every weight meet exactly one input feature? Then the layer is fully connected. */
static bool is_dense(const struct conv *c)
{
    return c->groups == 1 && c->OH * c->OW == 1 && c->KH == c->H && c->KW == c->W &&
           !(c->top | c->left | c->bottom | c->right) && (c->KH == 1 || c->dilation_h == 1) &&
           (c->KW == 1 || c->dilation_w == 1);
}

static bool is_pointwise(const struct conv *c)
{
    return c->groups == 1 && c->KH * c->KW == 1 && c->OH == c->H && c->OW == c->W && c->stride_h == 1 &&
           c->stride_w == 1;
}

static bool turns(const struct conv *c)
{
    return is_dense(c) || (is_pointwise(c) && c->O >= TURNED_LEAST && c->C >= LANES);
}

static size_t turned_bytes(const struct conv *c)
{
    const size_t samples = TURNED_PIXELS * LANES;
    if (!turns(c))
        return 0;
    return samples * sizeof(struct product_step) +
           (samples * TURNED_FEATURES + (size_t)c->O * (samples + VEC)) * sizeof(real);
}

/* The matrices: features and outputs of all pixels, which are counted through the blocks. */
struct turned {
    const real *x, *dy;
    real *dw;
    int features, outs, pixels; /* pixels of an image */
    int lo, hi;                 /* outputs wanted */
    struct product_step *step;
    real *panel;   /* [sample][TURNED_FEATURES] */
    real *scalars; /* dy of the same samples: [outs wanted][TURNED_PIXELS * LANES] */
    real *edge;    /* [outs wanted][VEC] */
};

/* Channel 0 of a pixel in an array of so many channels. */
static ptrdiff_t pixel_at(const struct turned *t, int pixel, int channels)
{
    return ((ptrdiff_t)(pixel / t->pixels) * channels * t->pixels + pixel % t->pixels) * LANES;
}

/* Features [first, first + count) of one pixel's 16 samples, filled up with zeros to whole vectors. */
static void turn_pixel(const struct turned *t, int pixel, int first, int count, real *to)
{
    const real *from = t->x + pixel_at(t, pixel, t->features) + (ptrdiff_t)first * t->pixels * LANES;
    for (int f = 0; f < count; f += VEC)
        for (int part = 0; part < PARTS; part++) {
            vec r[VEC];
            EACH (i, VEC)
                r[i] =
                    f + i < count ? load(from + (ptrdiff_t)(f + i) * t->pixels * LANES + part * VEC) : all(0);
            turn_square(r);
            EACH (i, VEC)
                store(to + (ptrdiff_t)(part * VEC + i) * TURNED_FEATURES + f, r[i]);
        }
}

/* The last features that don't fill a vector: through the edge. */
static void turned_edge(const struct turned *t, const struct product *whole, const real *panel, real *dw)
{
    struct product p = *whole;
    struct columns columns = { 1, { panel }, { t->edge } };
    size_t bytes = (size_t)(t->features % VEC) * sizeof(real);
    p.y_row = VEC;
    memset(t->edge, 0, (size_t)p.outs * VEC * sizeof(real));
    for (int o = 0; o < p.outs; o++)
        memcpy(t->edge + o * VEC, dw + (ptrdiff_t)o * t->features, bytes);
    product_run(&p, &columns);
    for (int o = 0; o < p.outs; o++)
        memcpy(dw + (ptrdiff_t)o * t->features, t->edge + o * VEC, bytes);
}

/* The output gradients of `count` pixels side by side: lines from all over memory are fetched at once. */
static void scalars_load(const struct turned *t, int at, int count)
{
    for (int i = 0; i < count; i++) {
        const real *from = t->dy + pixel_at(t, at + i, t->outs) + (ptrdiff_t)t->lo * t->pixels * LANES;
        real *to = t->scalars + i * LANES;
        for (int o = t->lo; o < t->hi; o++, from += t->pixels * LANES, to += TURNED_PIXELS * LANES)
            EACH (p, PARTS)
                store(to + p * VEC, load(from + p * VEC));
    }
}

/* What `count` pixels from `at` on add to the weights of features [first, first + width). */
static void turned_panel(const struct turned *t, int at, int count, int first, int width)
{
    struct product p = { .step = t->step,
                         .rounds = 1,
                         .last = count * LANES,
                         .outs = t->hi - t->lo,
                         .w = t->scalars,
                         .w_row = TURNED_PIXELS * LANES,
                         .y_row = t->features,
                         .add = true };
    struct columns columns = { 0 };
    real *dw = t->dw + (ptrdiff_t)t->lo * t->features + first;
    int whole = 0;
    for (int i = 0; i < count; i++)
        turn_pixel(t, at + i, first, width, t->panel + (ptrdiff_t)i * LANES * TURNED_FEATURES);
    for (; whole + VEC <= width; whole += VEC) {
        columns.x[columns.count] = t->panel + whole;
        columns.y[columns.count++] = dw + whole;
    }
    product_run(&p, &columns);
    if (whole < width)
        turned_edge(t, &p, t->panel + whole, dw + whole);
}

static void weight_turned(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int lo,
                          int hi, void *scratch)
{
    struct turned t = { .x = x,
                        .dy = dy,
                        .dw = dw,
                        .features = is_dense(c) ? c->C * c->H * c->W : c->C,
                        .outs = c->O,
                        .pixels = c->OH * c->OW,
                        .lo = lo,
                        .hi = hi,
                        .step = scratch };
    t.panel = (real *)(t.step + TURNED_PIXELS * LANES);
    t.scalars = t.panel + TURNED_PIXELS * LANES * TURNED_FEATURES;
    t.edge = t.scalars + (ptrdiff_t)(hi - lo) * TURNED_PIXELS * LANES;
    for (int s = 0; s < TURNED_PIXELS * LANES; s++)
        t.step[s] = (struct product_step){ (ptrdiff_t)s * TURNED_FEATURES, s };
    for (int at = 0; at < blocks * t.pixels; at += TURNED_PIXELS) {
        int count = blocks * t.pixels - at < TURNED_PIXELS ? blocks * t.pixels - at : TURNED_PIXELS;
        scalars_load(&t, at, count);
        for (int first = 0; first < t.features; first += TURNED_FEATURES) {
            int width = t.features - first < TURNED_FEATURES ? t.features - first : TURNED_FEATURES;
            turned_panel(&t, at, count, first, width);
        }
    }
}

#endif
