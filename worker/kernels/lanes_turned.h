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
    TURNED_FEATURES = 96, /* so many features: 48 KiB */
    TURNED_LEAST = 16     /* outputs of an image's layer: fewer don't pay for the turning */
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

static int turned_features(const struct conv *c)
{
    return is_dense(c) ? c->C * c->H * c->W : c->C;
}

/* Weights of an output, filled up to whole vectors. */
static int turned_row(const struct conv *c)
{
    return (turned_features(c) + VEC - 1) / VEC * VEC;
}

static size_t turned_bytes(const struct conv *c)
{
    const size_t samples = TURNED_PIXELS * LANES;
    if (!turns(c))
        return 0;
    return samples * sizeof(struct product_step) +
           (samples * TURNED_FEATURES + (size_t)c->O * (samples + turned_row(c))) * sizeof(real);
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
    real *sums;    /* [outs wanted][row]: dw itself, where its rows are whole vectors */
    int row;
};

/* Channel 0 of a pixel in an array of so many channels. */
static ptrdiff_t pixel_at(const struct turned *t, int pixel, int channels)
{
    return ((ptrdiff_t)(pixel / t->pixels) * channels * t->pixels + pixel % t->pixels) * LANES;
}

/* Up to VEC features from `from` on of one pixel's 16 samples, filled up with zeros. */
static void turn_pixel(const struct turned *t, const real *from, int features, real *to)
{
    for (int part = 0; part < PARTS; part++) {
        vec r[VEC];
        EACH (i, VEC)
            r[i] = i < features ? load(from + (ptrdiff_t)i * t->pixels * LANES + part * VEC) : all(0);
        turn_square(r);
        EACH (i, VEC)
            store(to + (ptrdiff_t)(part * VEC + i) * TURNED_FEATURES, r[i]);
    }
}

/* Features [first, first + width) of `count` pixels, which are neighbours in memory. */
static void panel_turn(const struct turned *t, int at, int count, int first, int width)
{
    for (int f = 0; f < width; f += VEC)
        for (int i = 0; i < count; i++)
            turn_pixel(t,
                       t->x + pixel_at(t, at + i, t->features) + (ptrdiff_t)(first + f) * t->pixels * LANES,
                       width - f, t->panel + (ptrdiff_t)i * LANES * TURNED_FEATURES + f);
}

/* The output gradients of `count` pixels side by side, output by output: its pixels are neighbours in memory.
 */
static void scalars_load(const struct turned *t, int at, int count)
{
    const real *from[TURNED_PIXELS];
    real *to = t->scalars;
    for (int i = 0; i < count; i++)
        from[i] = t->dy + pixel_at(t, at + i, t->outs) + (ptrdiff_t)t->lo * t->pixels * LANES;
    for (int o = t->lo; o < t->hi; o++, to += TURNED_PIXELS * LANES)
        for (int i = 0; i < count; i++) {
            EACH (p, PARTS)
                store(to + i * LANES + p * VEC, load(from[i] + p * VEC));
            from[i] += t->pixels * LANES;
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
                         .y_row = t->row,
                         .add = true };
    struct columns columns = { 0 };
    real *sums = t->sums + first;
    panel_turn(t, at, count, first, width);
    for (int f = 0; f < width; f += VEC) {
        columns.x[columns.count] = t->panel + f;
        columns.y[columns.count++] = sums + f;
    }
    product_run(&p, &columns);
}

static void weight_turned(const struct conv *c, int blocks, const real *x, const real *dy, real *dw, int lo,
                          int hi, void *scratch)
{
    struct turned t = { .x = x,
                        .dy = dy,
                        .features = turned_features(c),
                        .outs = c->O,
                        .pixels = c->OH * c->OW,
                        .lo = lo,
                        .hi = hi,
                        .step = scratch,
                        .row = turned_row(c) };
    t.dw = t.sums = dw + (ptrdiff_t)lo * t.features;
    t.panel = (real *)(t.step + TURNED_PIXELS * LANES);
    t.scalars = t.panel + TURNED_PIXELS * LANES * TURNED_FEATURES;
    for (int s = 0; s < TURNED_PIXELS * LANES; s++)
        t.step[s] = (struct product_step){ (ptrdiff_t)s * TURNED_FEATURES, s };
    if (t.row != t.features) {
        t.sums = t.scalars + (ptrdiff_t)(hi - lo) * TURNED_PIXELS * LANES;
        memset(t.sums, 0, (size_t)(hi - lo) * t.row * sizeof(real));
        copy_rows(t.sums, t.row, t.dw, t.features, hi - lo, t.features);
    }
    for (int at = 0; at < blocks * t.pixels; at += TURNED_PIXELS) {
        int count = blocks * t.pixels - at < TURNED_PIXELS ? blocks * t.pixels - at : TURNED_PIXELS;
        scalars_load(&t, at, count);
        for (int first = 0; first < t.features; first += TURNED_FEATURES) {
            int width = t.features - first < TURNED_FEATURES ? t.features - first : TURNED_FEATURES;
            turned_panel(&t, at, count, first, width);
        }
    }
    if (t.sums != t.dw)
        copy_rows(t.dw, t.features, t.sums, t.row, hi - lo, t.features);
}

#endif
