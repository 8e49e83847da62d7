/* maxpool.c - MaxPool and GlobalMaxPool: the largest of each window, the first one when several are equal.
 * Per output and lane it keeps which tap won, as an integer of real's width so that comparing makes a mask.
 */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"
#include "worker/op/window.h"

static int setup_windows(struct graph *g, struct node *n, const struct window *win, struct err *e)
{
    struct window *w = setup_state(n, sizeof *w, e);
    if (!w)
        return ERR_NOMEM;
    *w = *win;
    setup_output(g, n, &(struct shape){ 3, { w->C, w->OH, w->OW } });
    return 0;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "auto_pad", "ceil_mode",     "dilations", "kernel_shape",
                                         "pads",     "storage_order", "strides",   NULL };
    struct window w;
    int r = window_setup_pool(g, n, known, &w, e);
    return r < 0 ? r : setup_windows(g, n, &w, e);
}

static int setup_global(struct graph *g, struct node *n, struct err *e)
{
    struct window w;
    int r = window_setup_global(g, n, &w, e);
    return r < 0 ? r : setup_windows(g, n, &w, e);
}

static size_t keep(const struct graph *g, const struct node *n)
{
    return setup_block(g, n->output[0]) * sizeof(real_mask);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct window *w = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    real_mask *kept = s->kept[n - s->graph->node];
    (void)thread;
    for (int b = lo; b < hi; b++) {
        const real *image = s->x[n->input[0]] + b * in;
        size_t at = b * out;
        for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
            for (int oh = 0; oh < w->OH; oh++)
                for (int ow = 0; ow < w->OW;) {
                    struct window_run r = window_run(w, oh, ow);
                    s->kernels->pool->max(&r.taps, image + r.corner, r.step, s->x[n->output[0]] + at,
                                          kept ? kept + at : NULL, r.pixels);
                    ow += r.pixels;
                    at += (size_t)r.pixels * LANES;
                }
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct window *w = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    const real_mask *kept = s->kept[n - s->graph->node];
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++) {
        real *image = s->g[n->input[0]] + b * in;
        size_t at = b * out;
        for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
            for (int oh = 0; oh < w->OH; oh++)
                for (int ow = 0; ow < w->OW;) {
                    struct window_run r = window_run(w, oh, ow);
                    s->kernels->pool->max_back(&r.taps, image + r.corner, r.step, s->g[n->output[0]] + at,
                                               kept + at, r.pixels);
                    ow += r.pixels;
                    at += (size_t)r.pixels * LANES;
                }
    }
}

#define MAXPOOL                                                                                              \
    .weight = -1, .bias = -1, .teardown = setup_teardown, .keep = keep, .forward = forward,                  \
    .backward = backward

const struct op op_maxpool = { .name = "MaxPool", .setup = setup, MAXPOOL };
const struct op op_global_max_pool = { .name = "GlobalMaxPool", .setup = setup_global, MAXPOOL };
