/* avgpool.c - AveragePool and GlobalAveragePool: the mean of each window, over the pixels that are there or,
 * with count_include_pad, over the padding too (but not over what ceil_mode lets hang beyond it). */
#include "worker/kernels/kernels.h"
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
    struct window w;
    int r = window_setup_pool(g, n, known, &w, e);
    return r < 0 ? r : setup_output_of(g, n, &w, node_int(n, "count_include_pad", 0) != 0, e);
}

static int setup_global(struct graph *g, struct node *n, struct err *e)
{
    struct window w;
    int r = window_setup_global(g, n, &w, e);
    return r < 0 ? r : setup_output_of(g, n, &w, false, e);
}

/* Called for every run of windows: the image from the first window's corner on, the output, 1 / pixels. */
typedef void run_fn(const struct kernels *k, const struct window_run *r, real *image, real *out, real factor);

static void each_run(const struct kernels *k, const struct average *a, real *image, real *out, run_fn *fn)
{
    const struct window *w = &a->w;
    for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
        for (int oh = 0; oh < w->OH; oh++)
            for (int ow = 0; ow < w->OW;) {
                struct window_run r = window_run(w, oh, ow);
                int count = a->count_padding ? r.v.padded * r.h.padded : r.taps.rows * r.taps.columns;
                fn(k, &r, image + r.corner, out, count > 0 ? 1 / (real)count : 0);
                ow += r.pixels;
                out += (ptrdiff_t)r.pixels * LANES;
            }
}

static void forward_run(const struct kernels *k, const struct window_run *r, real *x, real *y, real factor)
{
    k->pool->mean(&r->taps, x, r->step, y, factor, r->pixels);
}

static void backward_run(const struct kernels *k, const struct window_run *r, real *dx, real *dy, real factor)
{
    k->pool->mean_back(&r->taps, dx, r->step, dy, factor, r->pixels);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi; b++)
        each_run(s->kernels, n->state, s->x[n->input[0]] + b * in, s->x[n->output[0]] + b * out, forward_run);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        each_run(s->kernels, n->state, s->g[n->input[0]] + b * in, s->g[n->output[0]] + b * out,
                 backward_run);
}

#define AVERAGE .weight = -1, .bias = -1, .teardown = setup_teardown, .forward = forward, .backward = backward

const struct op op_average_pool = { .name = "AveragePool", .setup = setup_average, AVERAGE };
const struct op op_global_average_pool = { .name = "GlobalAveragePool", .setup = setup_global, AVERAGE };
