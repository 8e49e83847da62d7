/* coded_float.c - a layer on codes that goes backward in floating point. Winograd's tiles read the codes
 * themselves; for the weight gradient of other layers the input's numbers are made once more, and live no
 * longer than that. */
#include "worker/kernels/int8.h"
#include "worker/kernels/tiles.h"
#include "worker/op/coded.h"
#include "worker/op/setup.h"

static size_t room(const struct graph *g, const struct node *n, int blocks, bool backward)
{
    if (!backward)
        return coded_room(n);
    return tiles_pay(coded_conv(n)) ? 0 : (size_t)blocks * setup_block(g, n->input[0]) * sizeof(real);
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    (void)g;
    return coded_scratch(n, k, k->conv_scratch(coded_conv(n)));
}

static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const ptrdiff_t pixels = (ptrdiff_t)c->H * c->W, plane = pixels * LANES;
    const real step = coded_step(s, n);
    const int zero = coded_zero(s, n);
    real *to = s->room[1][n - s->graph->node];
    (void)thread;
    if (!s->g[n->input[1]] || tiles_pay(c))
        return;
    for (int b = 2 * lo; b < 2 * hi && b < s->blocks; b++)
        for (int q = 0; q < c->C; q += QUAD)
            s->kernels->int8->numbers(to + ((ptrdiff_t)b * c->C + q) * plane,
                                      s->code[n->input[0]] +
                                          ((ptrdiff_t)b * quads(c->C) + q / QUAD) * pixels * PIXEL,
                                      plane, c->C - q < QUAD ? c->C - q : QUAD, (size_t)pixels, zero, step);
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const real *dy = s->g[n->output[0]];
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    const int first = lo * KERNELS_OUTPUTS, end = hi * KERNELS_OUTPUTS < c->O ? hi * KERNELS_OUTPUTS : c->O;
    if (dw && tiles_pay(c)) {
        const struct coded x = { s->code[n->input[0]], coded_zero(s, n) };
        s->kernels->tiles->coded_weight(c, s->blocks, &x, coded_step(s, n), dy, dw, first, end,
                                        s->scratch[thread]);
        dw = NULL;
    }
    if (dw || dbias)
        s->kernels->conv_backward_weight(c, s->blocks, s->room[1][n - s->graph->node], dy, dw, dbias, first,
                                         end, s->scratch[thread]);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    real *dx = s->g[n->input[0]];
    if (dx)
        s->kernels->conv_backward_data(coded_conv(n), s->g[n->output[0]], s->x[n->input[1]], dx,
                                       !step_fresh(s, n, 0), lo, hi, s->scratch[thread]);
}

const struct op op_coded_float = {
    CODED,
    .scratch = scratch,
    .room = room,
    .backward_prepare = backward_prepare,
    .backward_reduce = backward_reduce,
    .backward = backward,
};
