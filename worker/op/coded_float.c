/* coded_float.c - a layer on codes that goes backward in floating point. Winograd's tiles read the codes
 * themselves; for the weight gradient of other layers the input's numbers are made once more, and live no
 * longer than that. */
#include "worker/kernels/int8.h"
#include "worker/op/coded.h"
#include "worker/op/setup.h"
#include "worker/op/weight_pairs.h"

static size_t room(const struct graph *g, const struct node *n, int blocks, bool backward)
{
    if (!backward)
        return coded_room(n);
    return tiles_pay(coded_conv(n)) ? weight_pairs_bytes(coded_conv(n), blocks)
                                    : (size_t)blocks * setup_block(g, n->input[0]) * sizeof(real);
}

/* The tiles are used by sets whose own convolutions do without them, too. */
static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    const struct conv *c = coded_conv(n);
    const size_t own = k->conv_scratch(c), tiles = tiles_pay(c) ? k->tiles->scratch(c) : 0;
    (void)g;
    return coded_scratch(n, k, own > tiles ? own : tiles);
}

static const uint8_t *codes_of(const struct step *s, const struct node *n, int block)
{
    const struct conv *c = coded_conv(n);
    return s->code[n->input[0]] + (ptrdiff_t)block * quads(c->C) * c->H * c->W * PIXEL;
}

/* Numbers of the input's blocks [from, end). */
static void make_numbers(const struct step *s, const struct node *n, int from, int end)
{
    const struct conv *c = coded_conv(n);
    const ptrdiff_t pixels = (ptrdiff_t)c->H * c->W, plane = pixels * LANES;
    const real step = coded_step(s, n);
    const int zero = coded_zero(s, n);
    real *to = s->room[1][n - s->graph->node];
    for (int b = from; b < end; b++)
        for (int q = 0; q < c->C; q += QUAD)
            s->kernels->int8->numbers(to + ((ptrdiff_t)b * c->C + q) * plane,
                                      codes_of(s, n, b) + q / QUAD * pixels * PIXEL, plane,
                                      c->C - q < QUAD ? c->C - q : QUAD, (size_t)pixels, zero, step);
}

/* Outputs [lo, hi) of the gradient of blocks [from, end) by tiles. */
static void add_tiles(const struct step *s, const struct node *n, int from, int end, real *dw, int lo, int hi,
                      int thread)
{
    const struct conv *c = coded_conv(n);
    const struct coded x = { codes_of(s, n, from), coded_zero(s, n) };
    s->kernels->tiles->coded_weight(c, end - from, &x, coded_step(s, n),
                                    s->g[n->output[0]] + (ptrdiff_t)from * c->O * c->OH * c->OW * LANES, dw,
                                    lo, hi, s->scratch[thread]);
}

static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const int end = 2 * hi < s->blocks ? 2 * hi : s->blocks;
    if (!s->g[n->input[1]])
        return;
    if (!tiles_pay(c))
        make_numbers(s, n, 2 * lo, end);
    else if (tiles_part(c, s->blocks))
        for (int b = 2 * lo; b < end; b += 2)
            add_tiles(s, n, b, b + 2 < end ? b + 2 : end,
                      weight_pairs_clear(c, s->room[1][n - s->graph->node], b / 2), 0, c->O, thread);
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const void *room = s->room[1][n - s->graph->node];
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    const int first = lo * KERNELS_OUTPUTS, end = hi * KERNELS_OUTPUTS < c->O ? hi * KERNELS_OUTPUTS : c->O;
    if (dw && tiles_part(c, s->blocks))
        weight_pairs_add(c, room, s->blocks, dw, first, end);
    else if (dw && tiles_pay(c))
        add_tiles(s, n, 0, s->blocks, dw, first, end, thread);
    if (tiles_pay(c))
        dw = NULL;
    if (dw || dbias)
        s->kernels->conv_backward_weight(c, s->blocks, room, s->g[n->output[0]], dw, dbias, first, end,
                                         s->scratch[thread]);
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
