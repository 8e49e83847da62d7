/* maxpool.c - MaxPool: the largest of each window, the first one when several are equal. Per output and lane it
 * keeps which tap won, as an integer of real's width so that comparing makes a mask. */
#include "worker/op/setup.h"
#include "worker/op/window.h"

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "auto_pad", "ceil_mode",     "dilations", "kernel_shape",
                                         "pads",     "storage_order", "strides",   NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 1, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    struct window win = { 0 };
    if (r < 0 || !x)
        return ERR_UNSUPPORTED;
    r = window_setup(n, x, &win, e);
    struct window *w = r == 0 ? setup_state(n, sizeof *w, e) : NULL;
    if (!w)
        return r < 0 ? r : ERR_NOMEM;
    *w = win;
    setup_output(g, n, &(struct shape){ 3, { w->C, w->OH, w->OW } });
    return 0;
}

static size_t keep(const struct graph *g, const struct node *n)
{
    return setup_block(g, n->output[0]) * sizeof(real_mask);
}

/* Where output pixel (oh, ow) begins in the padded image: input row and column, maybe outside. */
struct corner {
    int h, w;
};

static struct corner corner_of(const struct window *w, int oh, int ow)
{
    return (struct corner){ oh * w->stride_h - w->top, ow * w->stride_w - w->left };
}

/* The offset of a tap's pixel in one channel's image, -1 in the padding. */
static ptrdiff_t tap_offset(const struct window *w, struct corner at, int tap)
{
    int h = at.h + tap / w->KW * w->dilation_h, c = at.w + tap % w->KW * w->dilation_w;
    return h >= 0 && h < w->H && c >= 0 && c < w->W ? ((ptrdiff_t)h * w->W + c) * LANES : -1;
}

static void forward_pixel(const struct window *w, const real *image, struct corner at, real *y, real_mask *won)
{
    real best[LANES];
    real_mask tap_of[LANES] = { 0 };
    for (int l = 0; l < LANES; l++)
        best[l] = (real)-INFINITY;
    for (int tap = 0; tap < w->KH * w->KW; tap++) {
        ptrdiff_t offset = tap_offset(w, at, tap);
        if (offset < 0)
            continue;
        const real *x = image + offset;
        for (int l = 0; l < LANES; l++) {
            bool more = !(x[l] <= best[l]); /* a NaN wins and shows itself */
            tap_of[l] = more ? tap : tap_of[l];
            best[l] = more ? x[l] : best[l];
        }
    }
    memcpy(y, best, sizeof best);
    if (won)
        memcpy(won, tap_of, sizeof tap_of);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct window *w = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    real_mask *kept = s->kept[n - s->graph->node];
    (void)thread;
    for (int b = lo; b < hi; b++) {
        const real *image = s->x[n->input[0]] + b * in;
        real *y = s->x[n->output[0]] + b * out;
        real_mask *won = kept ? kept + b * out : NULL;
        for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
            for (int oh = 0; oh < w->OH; oh++)
                for (int ow = 0; ow < w->OW; ow++, y += LANES) {
                    forward_pixel(w, image, corner_of(w, oh, ow), y, won);
                    won = won ? won + LANES : NULL;
                }
    }
}

static void backward_pixel(const struct window *w, real *image, struct corner at, const real *dy,
                           const real_mask *won)
{
    for (int tap = 0; tap < w->KH * w->KW; tap++) {
        ptrdiff_t offset = tap_offset(w, at, tap);
        if (offset < 0)
            continue;
        real *dx = image + offset;
        for (int l = 0; l < LANES; l++)
            dx[l] += won[l] == tap ? dy[l] : 0;
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct window *w = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    const real_mask *kept = s->kept[n - s->graph->node];
    (void)thread;
    if (!s->g[n->input[0]])
        return;
    for (int b = lo; b < hi; b++) {
        real *image = s->g[n->input[0]] + b * in;
        const real *dy = s->g[n->output[0]] + b * out;
        const real_mask *won = kept + b * out;
        for (int c = 0; c < w->C; c++, image += (ptrdiff_t)w->H * w->W * LANES)
            for (int oh = 0; oh < w->OH; oh++)
                for (int ow = 0; ow < w->OW; ow++, dy += LANES, won += LANES)
                    backward_pixel(w, image, corner_of(w, oh, ow), dy, won);
    }
}

const struct op op_maxpool = {
    .name = "MaxPool",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .keep = keep,
    .forward = forward,
    .backward = backward,
};
