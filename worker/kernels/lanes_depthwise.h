/* lanes_depthwise.h - convolution where each channel is a group of its own: a few products per pixel. A strip
 * of rows of one channel is copied with zeros around it, which stays near; then all pixels of a phase (lanes_
 * gather.h) see the same taps and there are no edges. Forward and data gradient gather; the weight gradient
 * sums, tap by tap, products of two rectangles.
 *
 * Included by lanes_conv.c and lanes_weight.h only. */
#ifndef WORKER_KERNELS_LANES_DEPTHWISE_H
#define WORKER_KERNELS_LANES_DEPTHWISE_H

#include "worker/kernels/lanes_gather.h"

enum {
    DEPTH_PIXELS = PARTS > 4 ? 2 : 8 / PARTS, /* side by side: independent sums */
    DEPTH_ROWS = PARTS == 1 ? 3 : 1, /* rows and columns of taps, of a weight gradient, side by side */
    DEPTH_COLUMNS = 3,
    DEPTH_BYTES = 22 << 10 /* of a strip's copy */
};

static bool is_depthwise(const struct conv *c)
{
    return c->groups == c->C && c->groups == c->O;
}

/* Zeros in front of the source, so that no tap reaches further. */
static int axis_before(const struct axis *a)
{
    int reach = a->back ? ((a->taps - 1) * a->dilation - a->pad + a->stride - 1) / a->stride : a->pad;
    return reach > 0 ? reach : 0;
}

/* How much of the padded source `count` destinations see; the first one's number is a multiple of the step.
 */
static int axis_seen(const struct axis *a, int count)
{
    return a->back ? axis_before(a) + (count - 1 + a->pad) / a->stride + 1
                   : (count - 1) * a->stride + (a->taps - 1) * a->dilation + 1;
}

/* Where the padded source is that tap k takes to destination d, a phase; -1: none. */
static int axis_padded(const struct axis *a, int d, int k)
{
    int at = a->back ? d + a->pad - k * a->dilation : d * a->stride + k * a->dilation;
    if (a->back && at % a->stride)
        return -1;
    return a->back ? at / a->stride + axis_before(a) : at;
}

static int axis_phases(const struct axis *a)
{
    return axis_step(a) < a->to ? axis_step(a) : a->to;
}

/* Strips of `rows` destination rows; a copy's rows are `width` pixels. */
struct strips {
    const struct axis *row, *column;
    int rows, width;
    real *copy;
};

static struct strips strips_of(const struct axis *row, const struct axis *column)
{
    struct strips s = { row, column, row->to, axis_seen(column, column->to), NULL };
    const int step = axis_step(row);
    const size_t bytes = (size_t)s.width * LANES * sizeof(real);
    while (s.rows > step && axis_seen(row, s.rows) * bytes > DEPTH_BYTES)
        s.rows = (s.rows / 2 + step - 1) / step * step;
    return s;
}

static size_t strips_bytes(const struct strips *s)
{
    return (size_t)axis_seen(s->row, s->rows) * s->width * LANES * sizeof(real);
}

/* The source plane at x, as destination rows from `first` on see it. Margins at the sides are zero already.
 */
static void strip_load(const struct strips *s, const real *x, int first, int rows)
{
    const int before = axis_before(s->row), left = axis_before(s->column);
    const int start = (s->row->back ? first / s->row->stride : first * s->row->stride) - before;
    const int fit = s->width - left < s->column->from ? s->width - left : s->column->from;
    const ptrdiff_t count = (ptrdiff_t)(fit > 0 ? fit : 0) * LANES, from = (ptrdiff_t)s->column->from * LANES;
    const ptrdiff_t ahead =
        rows * axis_move(s->row) / axis_step(s->row) * from; /* the next strip, or plane */
    real *to = s->copy + (ptrdiff_t)left * LANES;
    for (int i = 0, end = axis_seen(s->row, rows); i < end; i++, to += (ptrdiff_t)s->width * LANES) {
        const bool inside = start + i >= 0 && start + i < s->row->from;
        const real *row = x + (start + i) * from;
        for (ptrdiff_t k = 0; k < count; k += LANES) {
            EACH (p, PARTS)
                store(to + k + p * VEC, inside ? load(row + k + p * VEC) : (vec){ 0 });
            __builtin_prefetch(row + ahead + k, 0, 2);
        }
    }
}

/* P destinations; the sources of the next one are `move` numbers on, itself `hop`. */
INLINE void depth_pixels(const struct product_step *step, int taps, const real *x, ptrdiff_t move,
                         const real *w, real start, bool add, real *y, ptrdiff_t hop, const int P)
{
    vec sum[DEPTH_PIXELS][PARTS];
    EACH (j, P)
        EACH (p, PARTS)
            sum[j][p] = all(start);
    if (add)
        EACH (j, P)
            EACH (p, PARTS)
                sum[j][p] = load(y + j * hop + p * VEC);
    for (const struct product_step *s = step, *end = s + taps; s < end; s++) {
        const real *at = x + s->x;
        real scalar = w[s->w];
        EACH (j, P)
            EACH (p, PARTS)
                sum[j][p] += scalar * load(at + j * move + p * VEC);
    }
    EACH (j, P)
        EACH (p, PARTS)
            store(y + j * hop + p * VEC, sum[j][p]);
}

typedef void depth_fn(const struct product_step *step, int taps, const real *x, ptrdiff_t move, const real *w,
                      real start, bool add, real *y, ptrdiff_t hop);

#define DEPTH(P)                                                                                             \
    static void depth_##P(const struct product_step *step, int taps, const real *x, ptrdiff_t move,          \
                          const real *w, real start, bool add, real *y, ptrdiff_t hop)                       \
    {                                                                                                        \
        depth_pixels(step, taps, x, move, w, start, add, y, hop, P);                                         \
    }

DEPTH(1)
DEPTH(2)
#if defined(__AVX2__)
DEPTH(3)
DEPTH(4)
#endif
#if defined(__AVX512F__)
DEPTH(5)
DEPTH(6)
DEPTH(7)
DEPTH(8)
#endif

static depth_fn *const depth_table[DEPTH_PIXELS] = {
    depth_1, depth_2,
#if defined(__AVX2__)
    depth_3, depth_4,
#endif
#if defined(__AVX512F__)
    depth_5, depth_6, depth_7, depth_8,
#endif
};

/* Destinations of one phase of rows and one of columns, all of which see the same taps. */
struct phase {
    int row, column, taps;
    const struct product_step *step;
};

/* All phases, in memory of the caller; steps are from the copy's start. Returns their number. */
static int phases_fill(const struct strips *s, struct phase *phase, struct product_step *step)
{
    int count = 0;
    for (int i = 0; i < axis_phases(s->row); i++)
        for (int j = 0; j < axis_phases(s->column); j++) {
            struct phase *f = &phase[count++];
            *f = (struct phase){ i, j, 0, step };
            for (int kh = 0; kh < s->row->taps; kh++)
                for (int kw = 0; kw < s->column->taps; kw++) {
                    int h = axis_padded(s->row, i, kh), w = axis_padded(s->column, j, kw);
                    if (h < 0 || w < 0)
                        continue;
                    *step++ = (struct product_step){ ((ptrdiff_t)h * s->width + w) * LANES,
                                                     (ptrdiff_t)kh * s->column->taps + kw };
                    f->taps++;
                }
        }
    return count;
}

/* A phase of the strip that is loaded: `rows` rows of the destination plane at y. */
static void depth_phase(const struct strips *s, const struct phase *f, int rows, const real *w, real start,
                        bool add, real *y)
{
    const ptrdiff_t move = (ptrdiff_t)axis_move(s->column) * LANES,
                    hop = (ptrdiff_t)axis_step(s->column) * LANES;
    const int columns = (s->column->to - f->column + axis_step(s->column) - 1) / axis_step(s->column);
    const int pieces = (columns + DEPTH_PIXELS - 1) / DEPTH_PIXELS;
    const real *from = s->copy;
    for (int i = f->row; i < rows; i += axis_step(s->row)) {
        real *to = y + ((ptrdiff_t)i * s->column->to + f->column) * LANES;
        for (int k = 0, j = 0; k < pieces; k++) {
            int end = columns * (k + 1) / pieces;
            depth_table[end - j - 1](f->step, f->taps, from + j * move, move, w, start, add, to + j * hop,
                                     hop);
            j = end;
        }
        from += (ptrdiff_t)axis_move(s->row) * s->width * LANES;
    }
}

static size_t depth_front(const struct axis *row, const struct axis *column)
{
    size_t phases = (size_t)axis_phases(row) * axis_phases(column) * sizeof(struct phase);
    return (phases + (size_t)row->taps * column->taps * sizeof(struct product_step) + 63) / 64 * 64;
}

/* Blocks [lo, hi) of all channels; g->x, g->y and g->p.w are those of channel 0. */
static void depth_run(const struct gather *g, int taps, int lo, int hi, void *scratch)
{
    const ptrdiff_t from = (ptrdiff_t)g->row.from * g->column.from * LANES,
                    to = (ptrdiff_t)g->row.to * g->column.to * LANES;
    struct strips s = strips_of(&g->row, &g->column);
    struct phase *phase = scratch;
    int phases = axis_phases(&g->row) * axis_phases(&g->column);
    phases_fill(&s, phase, (struct product_step *)(phase + phases));
    s.copy = (real *)((char *)scratch + depth_front(&g->row, &g->column));
    memset(s.copy, 0, strips_bytes(&s));
    for (ptrdiff_t plane = (ptrdiff_t)lo * g->channels; plane < (ptrdiff_t)hi * g->channels; plane++) {
        const ptrdiff_t channel = plane % g->channels;
        for (int first = 0; first < g->row.to; first += s.rows) {
            int rows = g->row.to - first < s.rows ? g->row.to - first : s.rows;
            strip_load(&s, g->x + plane * from, first, rows);
            for (int i = 0; i < phases; i++)
                depth_phase(&s, &phase[i], rows, g->p.w + channel * taps, g->p.bias ? g->p.bias[channel] : 0,
                            g->p.add, g->y + plane * to + (ptrdiff_t)first * g->column.to * LANES);
        }
    }
}

static struct axis depth_row(const struct conv *c, bool back)
{
    return (struct axis){
        back ? c->OH : c->H, back ? c->H : c->OH, c->KH, c->stride_h, c->dilation_h, c->top, back
    };
}

static struct axis depth_column(const struct conv *c, bool back)
{
    return (struct axis){
        back ? c->OW : c->W, back ? c->W : c->OW, c->KW, c->stride_w, c->dilation_w, c->left, back
    };
}

/* Bytes for each of the three directions. */
static size_t depth_bytes(const struct conv *c)
{
    size_t most = 0;
    for (int back = 0; is_depthwise(c) && back < 2; back++) {
        const struct axis row = depth_row(c, back), column = depth_column(c, back);
        const struct strips s = strips_of(&row, &column);
        size_t front = depth_front(&row, &column), sums = (size_t)c->C * c->KH * c->KW * LANES * sizeof(real);
        size_t bytes = (front > sums ? front : sums) + strips_bytes(&s);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Sums of R rows and T columns of taps over the strip that is loaded, in two chains where there are few of
 * them; x is where the first tap begins. */
INLINE void depth_sums(const struct strips *s, const real *x, const real *dy, int rows, vec *sum, const int R,
                       const int T)
{
    enum { CHAINS = PARTS == 1 ? 1 : 2 };
    const ptrdiff_t next = (ptrdiff_t)s->column->stride * LANES, row = (ptrdiff_t)s->width * LANES;
    const ptrdiff_t down = s->row->dilation * row, tap = (ptrdiff_t)s->column->dilation * LANES;
    const int columns = s->column->to;
    vec part[DEPTH_ROWS][DEPTH_COLUMNS][CHAINS][PARTS];
    memset(part, 0, sizeof part);
    for (int i = 0; i < rows; i++, x += s->row->stride * row, dy += (ptrdiff_t)columns * LANES) {
        int j = 0;
        for (; j + CHAINS <= columns; j += CHAINS)
            EACH (k, CHAINS)
                EACH (p, PARTS) {
                    vec g = load(dy + (ptrdiff_t)(j + k) * LANES + p * VEC);
                    EACH (r, R)
                        EACH (t, T)
                            part[r][t][k][p] += load(x + r * down + (j + k) * next + t * tap + p * VEC) * g;
                }
        for (; j < columns; j++)
            EACH (p, PARTS)
                EACH (t, T)
                    EACH (r, R)
                        part[r][t][0][p] += load(x + r * down + j * next + t * tap + p * VEC) *
                                            load(dy + (ptrdiff_t)j * LANES + p * VEC);
    }
    EACH (r, R)
        EACH (t, T)
            EACH (k, CHAINS)
                EACH (p, PARTS)
                    sum[(r * s->column->taps + t) * PARTS + p] += part[r][t][k][p];
}

/* All taps, some side by side. */
static void depth_taps(const struct strips *s, const real *dy, int rows, vec *sum)
{
    const struct axis *row = s->row, *column = s->column;
    for (int kh = 0; kh < row->taps;) {
        const int together = row->taps - kh < DEPTH_ROWS || column->taps < DEPTH_COLUMNS ? 1 : DEPTH_ROWS;
        for (int kw = 0; kw < column->taps;) {
            const real *x =
                s->copy + ((ptrdiff_t)kh * row->dilation * s->width + kw * column->dilation) * LANES;
            vec *to = sum + (kh * column->taps + kw) * PARTS;
            bool wide = column->taps - kw >= DEPTH_COLUMNS;
            if (wide && together == DEPTH_ROWS)
                depth_sums(s, x, dy, rows, to, DEPTH_ROWS, DEPTH_COLUMNS);
            else
                for (int r = 0; r < together; r++)
                    for (int t = 0; t < (wide ? DEPTH_COLUMNS : 1); t++)
                        depth_sums(
                            s, x + ((ptrdiff_t)r * row->dilation * s->width + t * column->dilation) * LANES,
                            dy, rows, to + (r * column->taps + t) * PARTS, 1, 1);
            kw += wide ? DEPTH_COLUMNS : 1;
        }
        kh += together;
    }
}

static void weight_depthwise(const struct conv *c, int blocks, const real *x, const real *dy, real *dw,
                             int lo, int hi, void *scratch)
{
    const struct axis row = depth_row(c, false), column = depth_column(c, false);
    const ptrdiff_t from = (ptrdiff_t)c->H * c->W * LANES, to = (ptrdiff_t)c->OH * c->OW * LANES;
    const int taps = c->KH * c->KW;
    struct strips s = strips_of(&row, &column);
    vec *sum = scratch;
    s.copy = (real *)scratch + (ptrdiff_t)(hi - lo) * taps * LANES;
    memset(s.copy, 0, strips_bytes(&s));
    memset(sum, 0, (size_t)(hi - lo) * taps * PARTS * sizeof *sum);
    for (int b = 0; b < blocks; b++)
        for (int i = lo; i < hi; i++)
            for (int first = 0; first < c->OH; first += s.rows) {
                int rows = c->OH - first < s.rows ? c->OH - first : s.rows;
                ptrdiff_t plane = (ptrdiff_t)b * c->C + i;
                strip_load(&s, x + plane * from, first, rows);
                depth_taps(&s, dy + plane * to + (ptrdiff_t)first * c->OW * LANES, rows,
                           sum + (ptrdiff_t)(i - lo) * taps * PARTS);
            }
    for (ptrdiff_t k = 0; k < (ptrdiff_t)(hi - lo) * taps; k++) {
        vec total = { 0 };
        EACH (p, PARTS)
            total += sum[k * PARTS + p];
        dw[(ptrdiff_t)lo * taps + k] += lanes_sum(total);
    }
}

#endif
