/* maxpool.c - MaxPool and GlobalMaxPool: the largest of each window, the first one when several are equal.
 * Per output and lane it keeps which tap won, as an integer of real's width so that comparing makes a mask.
 */
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
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 1, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    struct window w = { 0 };
    if (!x)
        return ERR_UNSUPPORTED;
    r = window_setup(n, x, &w, e);
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

/* The offset in one channel's image of the pixel under tap (kh, kw). */
static ptrdiff_t tap_offset(const struct window *w, struct span v, struct span h, int kh, int kw)
{
    return ((ptrdiff_t)(v.at + kh * w->dilation_h) * w->W + h.at + kw * w->dilation_w) * LANES;
}

/* A vector that every machine has: the compiler takes comparisons of wider ones apart, number by number. */
typedef real pack __attribute__((vector_size(16), may_alias));
typedef real_mask pack_mask __attribute__((vector_size(16), may_alias));
enum { PACKS = LANES * sizeof(real) / sizeof(pack) };

static void forward_pixel(const struct window *w, const real *image, struct span v, struct span h, real *y,
                          real_mask *won)
{
    pack best[PACKS];
    pack_mask tap_of[PACKS];
    for (int i = 0; i < PACKS; i++) {
        best[i] = (pack){ 0 } - (real)INFINITY;
        tap_of[i] = (pack_mask){ 0 };
    }
    for (int kh = v.lo; kh < v.hi; kh++)
        for (int kw = h.lo; kw < h.hi; kw++) {
            const pack *x = (const pack *)(image + tap_offset(w, v, h, kh, kw));
            pack_mask tap = (pack_mask){ 0 } + (kh * w->KW + kw);
            for (int i = 0; i < PACKS; i++) {
                pack_mask less = x[i] <= best[i]; /* false for a NaN: it wins and shows itself */
                best[i] = (pack)((less & (pack_mask)best[i]) | (~less & (pack_mask)x[i]));
                tap_of[i] = (less & tap_of[i]) | (~less & tap);
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
            for (int oh = 0; oh < w->OH; oh++) {
                struct span v = window_rows(w, oh);
                for (int ow = 0; ow < w->OW; ow++, y += LANES) {
                    forward_pixel(w, image, v, window_columns(w, ow), y, won);
                    won = won ? won + LANES : NULL;
                }
            }
    }
}

static void backward_pixel(const struct window *w, real *image, struct span v, struct span h, const real *dy,
                           const real_mask *won)
{
    const lanes g = *(const lanes *)dy;
    const lanes_mask tap_of = *(const lanes_mask *)won;
    for (int kh = v.lo; kh < v.hi; kh++)
        for (int kw = h.lo; kw < h.hi; kw++) {
            lanes_mask hit = tap_of == (lanes_mask){ 0 } + (kh * w->KW + kw);
            *(lanes *)(image + tap_offset(w, v, h, kh, kw)) += (lanes)(hit & (lanes_mask)g);
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
            for (int oh = 0; oh < w->OH; oh++) {
                struct span v = window_rows(w, oh);
                for (int ow = 0; ow < w->OW; ow++, dy += LANES, won += LANES)
                    backward_pixel(w, image, v, window_columns(w, ow), dy, won);
            }
    }
}

#define MAXPOOL                                                                                              \
    .weight = -1, .bias = -1, .teardown = setup_teardown, .keep = keep, .forward = forward,                  \
    .backward = backward

const struct op op_maxpool = { .name = "MaxPool", .setup = setup, MAXPOOL };
const struct op op_global_max_pool = { .name = "GlobalMaxPool", .setup = setup_global, MAXPOOL };
