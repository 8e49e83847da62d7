/* lanes_bf16.c - the backward pass of coded convolutions on bf16 pairs, for one instruction set (KERNEL_SET).
 *
 * data:    columns are pixels of dx, planes are pairs of output channels. Pixels are taken together by which
 *          taps reach them, so nothing is multiplied that lies beside the image.
 * weight:  lanes_bf16_weight.h. Packing: lanes_bf16_pack.h. */
#ifndef QUANTD_DOUBLE

#include "worker/kernels/kernels.h"
#include "worker/kernels/lanes_bf16_pack.h"
#include "worker/kernels/lanes_bf16_weight.h"
#include "worker/kernels/lanes_pairs.h"

/* Which taps reach a position on one axis of the image: `count` from `first` in equal steps. The first comes
 * from position `from` of the output. kind: the first position that is reached alike. */
struct reached {
    int first, count, from, kind;
};

struct axis {
    int size, pad, taps, stride, dilation, outputs;
    int tap_step, out_step; /* between taps that reach the same position; between what they come from */
    struct reached *at;     /* [size] */
};

static struct reached reached_at(const struct axis *a, int position)
{
    struct reached r = { 0 };
    for (int k = 0; k < a->taps; k++) {
        int at = position + a->pad - k * a->dilation;
        if (at < 0 || at % a->stride || at / a->stride >= a->outputs)
            continue;
        if (!r.count++) {
            r.first = k;
            r.from = at / a->stride;
        }
    }
    return r;
}

static void axis_fill(struct axis *a)
{
    a->tap_step = 1;
    while (a->tap_step * a->dilation % a->stride)
        a->tap_step++;
    a->out_step = a->tap_step * a->dilation / a->stride;
    for (int i = 0; i < a->size; i++) {
        struct reached r = reached_at(a, i);
        while (r.kind < i && (a->at[r.kind].first != r.first || a->at[r.kind].count != r.count))
            r.kind++;
        a->at[i] = r;
    }
}

struct data_pass {
    const struct conv *c;
    const bf16_pair *dy;
    real *dx;
    int lo, hi;
    struct axis row, column;
    struct pair_tap *tap;
    struct pair_sum sum;
    struct pair_columns columns;
};

enum { PANEL_PIXELS = 32 }; /* of fewer, planes are near enough to each other */

/* Bytes of the panel, which begins behind the tables on a line of its own. */
static size_t data_panel(const struct conv *c)
{
    return c->KH * c->KW == 1 && c->OH * c->OW >= PANEL_PIXELS
               ? (size_t)(c->O + 1) / 2 * PAIR_COLUMNS * VEC_BYTES
               : 0;
}

static size_t data_tables(const struct conv *c)
{
    return (((size_t)c->H + c->W) * sizeof(struct reached) + (size_t)c->KH * c->KW * sizeof(struct pair_tap) +
            sizeof(struct data_pass) + 63) /
           64 * 64;
}

static size_t scratch_bytes(const struct conv *c)
{
    size_t data = data_tables(c) + data_panel(c);
    return data > weight_scratch(c) ? data : weight_scratch(c);
}

/* The taps of pixels that are reached like this; offsets are from the output pixel of the first one. */
static int fill_taps(const struct data_pass *d, struct reached row, struct reached column)
{
    int taps = 0;
    for (int i = 0; i < row.count; i++)
        for (int j = 0; j < column.count; j++) {
            int kh = row.first + i * d->row.tap_step, kw = column.first + j * d->column.tap_step;
            d->tap[taps++] = (struct pair_tap){
                -((ptrdiff_t)i * d->row.out_step * d->c->OW + j * d->column.out_step) * LANES,
                ((ptrdiff_t)kh * d->c->KW + kw) * OUTS,
            };
        }
    return taps;
}

static void push(struct data_pass *d, const bf16_pair *x, real *y)
{
    if (d->columns.count + PARTS > PAIR_CHUNK)
        pair_run(&d->sum, &d->columns, 0, d->sum.outs);
    for (int part = 0; part < PARTS; part++) {
        d->columns.x[d->columns.count] = x + part * VEC;
        d->columns.y[d->columns.count++] = y + part * VEC;
    }
}

/* All pixels of one kind. */
static void data_kind(struct data_pass *d, int row_kind, int column_kind)
{
    const struct conv *c = d->c;
    ptrdiff_t in = (ptrdiff_t)c->C * c->H * c->W * LANES;
    ptrdiff_t out = (ptrdiff_t)(c->O + 1) / 2 * c->OH * c->OW * LANES;
    d->sum.taps = fill_taps(d, d->row.at[row_kind], d->column.at[column_kind]);
    for (int b = d->lo; b < d->hi && (d->sum.taps || !d->sum.add); b++)
        for (int ih = row_kind; ih < c->H; ih++) {
            struct reached row = d->row.at[ih];
            for (int iw = column_kind; iw < c->W && row.kind == row_kind; iw++) {
                struct reached column = d->column.at[iw];
                if (column.kind == column_kind)
                    push(d, d->dy + b * out + ((ptrdiff_t)row.from * c->OW + column.from) * LANES,
                         d->dx + b * in + ((ptrdiff_t)ih * c->W + iw) * LANES);
            }
        }
    if (d->columns.count)
        pair_run(&d->sum, &d->columns, 0, d->sum.outs);
}

static void data(const struct conv *c, int blocks, const void *room, real *dx, bool add, int lo, int hi,
                 void *scratch)
{
    struct bf16_room at = bf16_room(c, blocks);
    struct reached *reached = scratch;
    ptrdiff_t planes = (c->O + 1) / 2, taps = (ptrdiff_t)c->KH * c->KW;
    struct data_pass *d = (struct data_pass *)(reached + c->H + c->W);
    *d = (struct data_pass){
        .c = c,
        .dy = (const bf16_pair *)((const char *)room + at.dy_channels),
        .dx = dx,
        .lo = lo,
        .hi = hi,
        .row = { c->H, c->top, c->KH, c->stride_h, c->dilation_h, c->OH, 0, 0, reached },
        .column = { c->W, c->left, c->KW, c->stride_w, c->dilation_w, c->OW, 0, 0, reached + c->H },
        .tap = (struct pair_tap *)(d + 1),
        .sum = { .planes = (int)planes,
                 .outs = c->C,
                 .x_plane = (ptrdiff_t)c->OH * c->OW * LANES,
                 .w_plane = taps * OUTS,
                 .w_group = planes * taps * OUTS,
                 .w = (const bf16_pair *)((const char *)room + at.weights),
                 .y_row = (ptrdiff_t)c->H * c->W * LANES,
                 .scale = 1,
                 .add = add,
                 .panel = data_panel(c) ? (bf16_pair *)((char *)scratch + data_tables(c)) : NULL },
    };
    d->sum.tap = d->tap;
    axis_fill(&d->row);
    axis_fill(&d->column);
    for (int ih = 0; ih < c->H; ih++)
        for (int iw = 0; iw < c->W && d->row.at[ih].kind == ih; iw++)
            if (d->column.at[iw].kind == iw)
                data_kind(d, ih, iw);
}

const struct bf16 SYMBOL(bf16_, KERNEL_SET) = {
#if defined(__AVX512BF16__)
    .fast = true,
#endif
    .scratch = scratch_bytes,
    .pack_dy = pack_dy,
    .pack_x = pack_x,
    .pack_weights = pack_weights,
    .data = data,
    .weight = weight,
    .bias = bias,
};

#endif
