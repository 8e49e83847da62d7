/* lanes_gather.h - convolution as a gathering: each destination pixel sums over the source pixels that its
 * taps reach, forward from x to y, backward from dy to dx. Rows and columns fall into runs of pixels that see
 * the same taps at the same distance, one in the middle and a few at the edges; a run of rows crossed with
 * one of columns shares a table of steps. So nothing is multiplied by padding, and nothing is copied around.
 *
 * Included by lanes_conv.c only. */
#ifndef WORKER_KERNELS_LANES_GATHER_H
#define WORKER_KERNELS_LANES_GATHER_H

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_product.h"

enum {
    ROUND_STEPS = 64,   /* steps in a table, about: more channels go through it again */
    GROUP_PIXELS = 128, /* small images are done together, until there are so many pixels or blocks */
    GROUP_BLOCKS = 4,
    PANEL_OUTS = 32 /* from so many outs on a 1x1 layer's columns are copied side by side */
};

/* One axis of an image. Forward, destination d and tap k meet at source d * stride + k * dilation - pad;
 * backward, source and destination change places. */
struct axis {
    int from, to; /* lengths of source and destination */
    int taps, stride, dilation, pad;
    bool back;
};

/* Destinations first, first + axis_step, ...: count of them. */
struct run {
    int first, count;
};

/* The source that tap k takes to destination d; -1: none. */
static int axis_source(const struct axis *a, int d, int k)
{
    int at = a->back ? d + a->pad - k * a->dilation : d * a->stride + k * a->dilation - a->pad;
    if (at < 0 || (a->back && at % a->stride))
        return -1;
    at = a->back ? at / a->stride : at;
    return at < a->from ? at : -1;
}

/* From one destination of a run to the next. */
static int axis_step(const struct axis *a)
{
    return a->back ? a->stride : 1;
}

/* By how much the sources move then. */
static int axis_move(const struct axis *a)
{
    return a->back ? 1 : a->stride;
}

static bool axis_alike(const struct axis *a, int d, int e)
{
    for (int k = 0; k < a->taps; k++)
        if ((axis_source(a, d, k) < 0) != (axis_source(a, e, k) < 0))
            return false;
    return true;
}

/* The run that begins at destination d; empty behind the last. */
static struct run run_at(const struct axis *a, int d)
{
    struct run r = { d, 0 };
    while (d < a->to && axis_alike(a, r.first, d)) {
        r.count++;
        d += axis_step(a);
    }
    return r;
}

/* The run behind r: of the same phase, else the first of the next phase; empty when all are done. */
static struct run run_next(const struct axis *a, struct run r)
{
    int d = r.first + r.count * axis_step(a), phase = r.first % axis_step(a) + 1;
    if (d < a->to)
        return run_at(a, d);
    return phase < axis_step(a) ? run_at(a, phase) : (struct run){ 0 };
}

/* One direction of one group of a convolution. */
struct gather {
    struct axis row, column;
    int sources, channels; /* source channels in the group, in all */
    int outs, out_channels;
    const real *x;            /* first source channel of the group in block 0 */
    real *y;                  /* first destination likewise */
    ptrdiff_t w_channel, w_k; /* scalars from one source channel, one tap to the next */
    struct product p;
    struct product_step *step, *panel_step;
    struct product_panel panel;
};

static size_t table_bytes(int taps, int sources)
{
    size_t steps = taps > ROUND_STEPS ? taps : ROUND_STEPS, all = (size_t)taps * sources;
    return ((steps < all ? steps : all) * sizeof(struct product_step) + 63) / 64 * 64;
}

static size_t gather_bytes(int taps, int sources)
{
    size_t table = table_bytes(taps, sources);
    return taps > 1 ? table : 2 * table + (size_t)sources * TILE_COLUMNS * VEC_BYTES;
}

/* Lays the tables into the scratch memory. */
static void gather_room(struct gather *g, void *scratch)
{
    const int taps = g->row.taps * g->column.taps;
    const size_t table = table_bytes(taps, g->sources);
    g->p.step = g->step = scratch;
    if (taps == 1 && g->p.outs >= PANEL_OUTS && g->row.from * g->column.from > 1) {
        g->panel.step = g->panel_step = (struct product_step *)((char *)scratch + table);
        g->panel.x = (real *)((char *)scratch + 2 * table);
        g->p.panel = &g->panel;
    }
}

/* The taps that reach the crossing of two runs, as steps from the sources of the first pixel of both. */
static int area_taps(const struct gather *g, int row, int column, struct product_step *step)
{
    int taps = 0;
    for (int kh = 0; kh < g->row.taps; kh++)
        for (int kw = 0; kw < g->column.taps; kw++) {
            int h = axis_source(&g->row, row, kh), w = axis_source(&g->column, column, kw);
            if (h >= 0 && w >= 0)
                step[taps++] = (struct product_step){ ((ptrdiff_t)h * g->column.from + w) * LANES,
                                                      ((ptrdiff_t)kh * g->column.taps + kw) * g->w_k };
        }
    return taps;
}

/* Fill the table for as many channels as fit it. */
static void area_steps(struct gather *g, int row, int column)
{
    ptrdiff_t x_channel = (ptrdiff_t)g->row.from * g->column.from * LANES;
    int taps = area_taps(g, row, column, g->step), together = 1;
    if (taps)
        together = ROUND_STEPS / taps < 1            ? 1
                   : ROUND_STEPS / taps > g->sources ? g->sources
                                                     : ROUND_STEPS / taps;
    for (int i = taps; i < together * taps; i++)
        g->step[i] =
            (struct product_step){ g->step[i - taps].x + x_channel, g->step[i - taps].w + g->w_channel };
    g->p.rounds = taps ? (g->sources + together - 1) / together : 0;
    g->p.steps = together * taps;
    g->p.last = (g->sources - (g->p.rounds - 1) * together) * taps;
    g->p.x_round = x_channel * together;
    g->p.w_round = g->w_channel * together;
    g->panel.source = x_channel;
    for (int i = 0; g->p.panel && i < together * taps; i++)
        g->panel_step[i] = (struct product_step){ (ptrdiff_t)i * TILE_COLUMNS * VEC, g->step[i].w };
}

/* Pixels where a run of rows and a run of columns cross, in blocks [lo, hi). */
static void gather_area(struct gather *g, struct run rows, struct run columns, int lo, int hi)
{
    ptrdiff_t from = (ptrdiff_t)g->row.from * g->column.from * LANES,
              to = (ptrdiff_t)g->row.to * g->column.to * LANES;
    struct columns c = { 0 };
    area_steps(g, rows.first, columns.first);
    if (g->p.add && !g->p.rounds)
        return;
    for (int b = lo; b < hi; b++)
        for (int i = 0; i < rows.count; i++) {
            int d = rows.first + i * axis_step(&g->row);
            const real *x =
                g->x + b * g->channels * from + (ptrdiff_t)i * axis_move(&g->row) * g->column.from * LANES;
            real *y = g->y + b * g->out_channels * to + ((ptrdiff_t)d * g->column.to + columns.first) * LANES;
            for (int j = 0; j < columns.count; j++)
                product_pixel(&g->p, &c, x + (ptrdiff_t)j * axis_move(&g->column) * LANES,
                              y + (ptrdiff_t)j * axis_step(&g->column) * LANES);
        }
    product_run(&g->p, &c);
}

static int group_blocks(const struct gather *g)
{
    int pixels = g->row.to * g->column.to, blocks = 1;
    while (blocks < GROUP_BLOCKS && pixels * blocks < GROUP_PIXELS)
        blocks *= 2;
    return blocks;
}

static void gather_run(struct gather *g, int lo, int hi)
{
    int together = group_blocks(g);
    for (int at = lo; at < hi; at += together) {
        int end = at + together < hi ? at + together : hi;
        for (struct run r = run_at(&g->row, 0); r.count; r = run_next(&g->row, r))
            for (struct run c = run_at(&g->column, 0); c.count; c = run_next(&g->column, c))
                gather_area(g, r, c, at, end);
    }
}

#endif
