/* coded_pairs.c - a layer on codes that goes backward on bf16 (worker/kernels/bf16.h), in which codes are
 * exact and the output's gradient is rounded. */
#include "worker/kernels/bf16.h"
#include "worker/op/coded.h"
#include "worker/op/setup.h"

static size_t room(const struct graph *g, const struct node *n, int blocks, bool backward)
{
    (void)g;
    return backward ? bf16_room(coded_conv(n), blocks).bytes : coded_room(n);
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    (void)g;
    return coded_scratch(n, k, k->bf16->scratch(coded_conv(n)));
}

static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const struct bf16 *k = s->kernels->bf16;
    const struct coded_weight *w = &s->coded[n->input[1]];
    void *to = s->room[1][n - s->graph->node];
    int twos = (s->blocks + 1) / 2, groups = (c->C + 7) / 8;
    (void)thread;
    k->pack_dy(c, s->blocks, s->g[n->output[0]], w->scale, w->scales, to, s->g[n->input[0]] != NULL, lo, hi);
    if (s->g[n->input[1]]) {
        const struct coded x = { s->code[n->input[0]], coded_zero(s, n) };
        k->pack_x(c, s->blocks, &x, to, lo, hi);
    }
    if (s->g[n->input[0]]) {
        int first = (int)((int64_t)groups * lo / twos) * 8, end = (int)((int64_t)groups * hi / twos) * 8;
        k->pack_weights(c, s->blocks, w->code, to, first, end < c->C ? end : c->C);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    const void *from = s->room[1][n - s->graph->node];
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    int first = lo * KERNELS_OUTPUTS, end = hi * KERNELS_OUTPUTS < c->O ? hi * KERNELS_OUTPUTS : c->O;
    if (dw)
        s->kernels->bf16->weight(c, s->blocks, from, coded_step(s, n), dw, first, end, s->scratch[thread]);
    if (dbias)
        s->kernels->bf16->bias(c, s->blocks, from, dbias, first, end);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    real *dx = s->g[n->input[0]];
    if (dx)
        s->kernels->bf16->data(coded_conv(n), s->blocks, s->room[1][n - s->graph->node], dx,
                               !step_fresh(s, n, 0), lo, hi, s->scratch[thread]);
}

const struct op op_coded_pairs = {
    CODED,
    .scratch = scratch,
    .room = room,
    .backward_prepare = backward_prepare,
    .backward_reduce = backward_reduce,
    .backward = backward,
};
