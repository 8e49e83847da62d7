/* avgpool.c - AveragePool and GlobalAveragePool: the mean of each window, over the pixels that are there or,
 * with count_include_pad, over the padding too (but not over what ceil_mode lets hang beyond it). */
#include "worker/op/setup.h"
#include "worker/op/window.h"

struct average {
    struct window w;
    bool count_padding;
};

static int setup_output_of(struct graph *g, struct node *n, const struct window *w, bool count_padding,
                           struct err *e)
{
    struct average *a = setup_state(n, sizeof *a, e);
    if (!a)
        return ERR_NOMEM;
    *a = (struct average){ *w, count_padding };
    setup_output(g, n, &(struct shape){ 3, { w->C, w->OH, w->OW } });
    return 0;
}

static int setup_average(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "auto_pad",     "ceil_mode", "count_include_pad", "dilations",
                                         "kernel_shape", "pads",      "strides",           NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 1, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    struct window w = { 0 };
    if (!x)
        return ERR_UNSUPPORTED;
    r = window_setup(n, x, &w, e);
    return r < 0 ? r : setup_output_of(g, n, &w, node_int(n, "count_include_pad", 0) != 0, e);
}

static int setup_global(struct graph *g, struct node *n, struct err *e)
{
    struct window w;
    int r = window_setup_global(g, n, &w, e);
    return r < 0 ? r : setup_output_of(g, n, &w, false, e);
}

/* Called for every output pixel: where its window begins in the image (maybe outside), the spans of taps and
 * the factor 1 / pixels. */
typedef void pixel_fn(const struct window *w, real *corner, real *out, struct span v, struct span h,
                      real factor);

static void each_pixel(const struct average *a, real *image, real *out, pixel_fn *pixel)
{
    const struct window *w = &a->w;
    for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
        for (int oh = 0; oh < w->OH; oh++) {
            struct span v = window_rows(w, oh);
            for (int ow = 0; ow < w->OW; ow++, out += LANES) {
                struct span h = window_columns(w, ow);
                int count = a->count_padding ? v.padded * h.padded : (v.hi - v.lo) * (h.hi - h.lo);
                pixel(w, image + ((ptrdiff_t)v.at * w->W + h.at) * LANES, out, v, h,
                      count > 0 ? 1 / (real)count : 0);
            }
        }
}

static void forward_pixel(const struct window *w, real *x, real *y, struct span v, struct span h, real factor)
{
    real sum[LANES] = { 0 };
    for (int kh = v.lo; kh < v.hi; kh++)
        for (int kw = h.lo; kw < h.hi; kw++) {
            const real *at = x + ((ptrdiff_t)kh * w->dilation_h * w->W + kw * w->dilation_w) * LANES;
            for (int l = 0; l < LANES; l++)
                sum[l] += at[l];
        }
    for (int l = 0; l < LANES; l++)
        y[l] = sum[l] * factor;
}

static void backward_pixel(const struct window *w, real *dx, real *dy, struct span v, struct span h,
                           real factor)
{
    for (int kh = v.lo; kh < v.hi; kh++)
        for (int kw = h.lo; kw < h.hi; kw++) {
            real *at = dx + ((ptrdiff_t)kh * w->dilation_h * w->W + kw * w->dilation_w) * LANES;
            for (int l = 0; l < LANES; l++)
                at[l] += dy[l] * factor;
        }
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi; b++)
        each_pixel(n->state, s->x[n->input[0]] + b * in, s->x[n->output[0]] + b * out, forward_pixel);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        each_pixel(n->state, s->g[n->input[0]] + b * in, s->g[n->output[0]] + b * out, backward_pixel);
}

#define AVERAGE .weight = -1, .bias = -1, .teardown = setup_teardown, .forward = forward, .backward = backward

const struct op op_average_pool = { .name = "AveragePool", .setup = setup_average, AVERAGE };
const struct op op_global_average_pool = { .name = "GlobalAveragePool", .setup = setup_global, AVERAGE };
