/* lanes_tiles.c - convolution by Winograd's tiles, for one instruction set (KERNEL_SET), a strip at a time.
 *
 * Forward and data gradient: the points of all sources are written, 36 products of matrices follow
 * (lanes_product.h: scalars are the transformed weights, columns are tiles), and the sums are turned back
 * into pixels. A pixel's sums have one order, wherever strips begin: channels ascending, then, where tiles
 * overlap, tiles ascending. Weight gradient: lanes_tiles_weight.h. */
#include "worker/kernels/lanes_product.h"
#include "worker/kernels/lanes_tiles_weight.h"

/* The kernels that lead from `steps` source channels to `outs`: out o and step s share taps x taps at w[o *
 * w_out + s
 * * w_step]. Transformed they lie [point][outs / 4][steps][4], points `plane` apart. */
struct scalars {
    const real *w;
    int taps, outs, steps;
    ptrdiff_t w_out, w_step, plane;
};

static ptrdiff_t scalars_count(int outs, int steps)
{
    return ((ptrdiff_t)(outs + 3) / 4 * 4 * steps + LANES - 1) / LANES * LANES;
}

/* VEC scalars of every point, from the first on. */
INLINE void scalars_spread(const struct scalars *s, ptrdiff_t first, const int taps, real *to)
{
    real lane[LONGEST * LONGEST][VEC] __attribute__((aligned(VEC_BYTES)));
    vec tap[LONGEST][LONGEST], point[POINTS][POINTS];
    for (int v = 0; v < VEC; v++) {
        ptrdiff_t at = first + v, out = at / 4 / s->steps * 4 + at % 4, step = at / 4 % s->steps;
        bool inside = out < s->outs;
        const real *w = s->w + (inside ? out * s->w_out + step * s->w_step : 0);
        for (int i = 0; i < taps * taps; i++)
            lane[i][v] = inside ? w[i] : 0;
    }
    EACH (i, taps)
        EACH (j, taps)
            tap[i][j] = load(lane[i * taps + j]);
    to_points(LINE_VALUES, taps, tap, point);
    EACH (i, POINTS)
        EACH (j, POINTS)
            store(to + (i * POINTS + j) * s->plane + first, point[i][j] * (point_scale[i] * point_scale[j]));
}

static void scalars_fill(const struct scalars *s, real *to)
{
    for (ptrdiff_t i = 0; i < s->plane; i += VEC)
        if (s->taps == 3)
            scalars_spread(s, i, 3, to);
        else
            scalars_spread(s, i, 5, to);
}

/* One pass's part of the scratch. */
struct tile_room {
    struct scalars s;
    real *scalars, *source, *sum; /* source: of all steps; sum: of STRIP_OUTS outs */
    struct product_step *step;
};

static size_t tile_room_bytes(int outs, int steps)
{
    return (PLANES * (size_t)scalars_count(outs, steps) + (size_t)(steps + STRIP_OUTS) * CHANNEL_STRIDE) *
               sizeof(real) +
           ((size_t)steps * sizeof(struct product_step) + 63) / 64 * 64;
}

static struct tile_room tile_room(struct scalars s, void *scratch)
{
    s.plane = scalars_count(s.outs, s.steps);
    struct tile_room r = { .s = s, .scalars = scratch };
    r.source = r.scalars + PLANES * s.plane;
    r.sum = r.source + (ptrdiff_t)s.steps * CHANNEL_STRIDE;
    r.step = (struct product_step *)(r.sum + (ptrdiff_t)STRIP_OUTS * CHANNEL_STRIDE);
    for (int i = 0; i < s.steps; i++)
        r.step[i] = (struct product_step){ (ptrdiff_t)i * CHANNEL_STRIDE, (ptrdiff_t)i * 4 };
    scalars_fill(&s, r.scalars);
    return r;
}

/* Sums of outs [first, first + outs) at each point; first is a multiple of 4. */
static void tile_products(const struct tile_room *r, int first, int outs, int tiles)
{
    for (int point = 0; point < PLANES; point++) {
        struct columns columns = { 0 };
        const struct product p = {
            .step = r->step,
            .rounds = 1,
            .last = r->s.steps,
            .outs = outs,
            .w = r->scalars + point * r->s.plane + (ptrdiff_t)first * r->s.steps,
            .w_row = (ptrdiff_t)r->s.steps * 4,
            .packed = true,
            .y_row = CHANNEL_STRIDE,
        };
        for (int i = 0; i < tiles; i++)
            product_pixel(&p, &columns, r->source + i * TILE_STRIDE + point * LANES,
                          r->sum + i * TILE_STRIDE + point * LANES);
        product_run(&p, &columns);
    }
}

static void forward(const struct conv *c, const real *x, const real *w, const real *bias, real *y, int lo,
                    int hi, void *scratch)
{
    const ptrdiff_t taps = (ptrdiff_t)c->KH * c->KW, pixels = (ptrdiff_t)c->OH * c->OW * LANES;
    const struct tiling t = tiles_of(c);
    const struct tile_room r =
        tile_room((struct scalars){ w, c->KH, c->O, c->C, c->C * taps, taps, 0 }, scratch);
    struct strip s;
    for (ptrdiff_t at = (ptrdiff_t)lo * t.tiles, end = (ptrdiff_t)hi * t.tiles; at < end; at += s.count) {
        strip_take(&s, c, &t, at, end);
        strip_spread_input(&s, c, x, r.source);
        for (int o = 0; o < c->O; o += STRIP_OUTS) {
            int outs = c->O - o < STRIP_OUTS ? c->O - o : STRIP_OUTS;
            tile_products(&r, o, outs, s.count);
            strip_collect_output(&s, c, outs, bias ? bias + o : NULL, r.sum, y + o * pixels);
        }
    }
}

static void backward_data(const struct conv *c, const real *dy, const real *w, real *dx, bool add, int lo,
                          int hi, void *scratch)
{
    const ptrdiff_t taps = (ptrdiff_t)c->KH * c->KW, pixels = (ptrdiff_t)c->H * c->W * LANES;
    const struct tiling t = tiles_of(c);
    const struct tile_room r =
        tile_room((struct scalars){ w, c->KH, c->C, c->O, taps, c->C * taps, 0 }, scratch);
    struct strip s;
    if (!add)
        memset(dx + lo * c->C * pixels, 0, (size_t)((hi - lo) * c->C * pixels) * sizeof *dx);
    for (ptrdiff_t at = (ptrdiff_t)lo * t.tiles, end = (ptrdiff_t)hi * t.tiles; at < end; at += s.count) {
        strip_take(&s, c, &t, at, end);
        strip_spread_output(&s, c, c->O, dy, r.source);
        for (int i = 0; i < c->C; i += STRIP_OUTS) {
            int outs = c->C - i < STRIP_OUTS ? c->C - i : STRIP_OUTS;
            tile_products(&r, i, outs, s.count);
            strip_collect_input(&s, c, outs, r.sum, dx + i * pixels);
        }
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t scratch_bytes(const struct conv *c)
{
    return larger(larger(tile_room_bytes(c->O, c->C), tile_room_bytes(c->C, c->O)), weight_bytes(c));
}

const struct tiles SYMBOL(tiles_, KERNEL_SET) = {
    .scratch = scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = weight_gradient,
#ifndef QUANTD_DOUBLE
    .coded_weight = coded_weight_gradient,
#endif
};
