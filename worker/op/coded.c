/* coded.c - a convolution or a fully connected layer on codes: its input comes from a QuantdFakeQuant, its
 * weight from a quantizer (step.coded). Forward on exact integers,
 *
 *      y = (sum of codes * weight codes) * (step * scale) + bias,
 *
 * the same sum as the exported integer network has; backward on bf16 (worker/kernels/bf16.h), in which codes
 * are exact and the output's gradient is rounded. Gradients are those of Conv: with respect to the quantized
 * input and the quantized weight. */
#include "worker/kernels/bf16.h"
#include "worker/kernels/int8.h"
#include "worker/op/setup.h"

/* Front of the room of the forward stages; behind it the packed weights and arrays of outputs. */
struct integer {
    struct int8_conv conv;
    int8_t *weight;
    int32_t *start;
    double *factor, *shift;
};

static const struct conv *conv_of(const struct node *n)
{
    return n->op->conv(n);
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t room(const struct graph *g, const struct node *n, int blocks, bool backward)
{
    const struct conv *c = conv_of(n);
    const size_t outputs = (size_t)quads(c->O) * QUAD;
    (void)g;
    if (backward)
        return bf16_room(c, blocks).bytes;
    return round_up(sizeof(struct integer)) + round_up(int8_packed(c)) +
           round_up(outputs * (sizeof(int32_t) + 2 * sizeof(double)));
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    const struct int8_conv c = { .conv = *conv_of(n) };
    size_t forward = k->int8->scratch(&c), backward = k->bf16->scratch(&c.conv);
    (void)g;
    return forward > backward ? forward : backward;
}

static int items(const struct graph *g, const struct node *n)
{
    (void)g;
    return (conv_of(n)->O + KERNELS_OUTPUTS - 1) / KERNELS_OUTPUTS;
}

/* The quantizer that made the input. */
static const struct node *quantizer(const struct step *s, const struct node *n)
{
    return &s->graph->node[s->graph->value[n->input[0]].producer];
}

static real step_of(const struct step *s, const struct node *n)
{
    return s->x[quantizer(s, n)->input[1]][0];
}

static int zero_of(const struct step *s, const struct node *n)
{
    return node_int(quantizer(s, n), "low", 0) < 0 ? 128 : 0;
}

static int32_t row_sum(const int8_t *code, ptrdiff_t count)
{
    int32_t sum = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        sum += code[i];
    return sum;
}

static void fill_outputs(const struct step *s, const struct node *n, struct integer *at)
{
    const struct conv *c = conv_of(n);
    const struct coded_weight *w = &s->coded[n->input[1]];
    const ptrdiff_t row = (ptrdiff_t)c->C * c->KH * c->KW;
    const real step = step_of(s, n), *bias = setup_has(n, 2) ? s->x[n->input[2]] : NULL;
    for (int o = 0; o < quads(c->O) * QUAD; o++) {
        at->start[o] = at->conv.zero && o < c->O ? -at->conv.zero * row_sum(w->code + o * row, row) : 0;
        at->factor[o] = o < c->O ? (double)(step * w->scale[w->scales == 1 ? 0 : o]) : 0;
        at->shift[o] = o < c->O && bias ? (double)bias[o] : 0;
    }
}

/* Weights are packed once for all threads, by whoever has the first item. */
static void forward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = conv_of(n);
    struct integer *at = s->room[0][n - s->graph->node];
    const size_t outputs = (size_t)quads(c->O) * QUAD;
    (void)hi, (void)thread;
    if (lo)
        return;
    *at = (struct integer){ .conv = { .conv = *c, .zero = (uint8_t)zero_of(s, n) } };
    at->weight = (int8_t *)at + round_up(sizeof *at);
    at->factor = (double *)(at->weight + round_up(int8_packed(c)));
    at->shift = at->factor + outputs;
    at->start = (int32_t *)(at->shift + outputs);
    int8_pack(&at->conv, s->coded[n->input[1]].code, at->weight);
    fill_outputs(s, n, at);
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct integer *at = s->room[0][n - s->graph->node];
    const struct int8_in x = int8_dense_in(&at->conv.conv, s->code[n->input[0]]);
    struct int8_out y = int8_dense_out(&at->conv.conv, INT8_REALS, s->x[n->output[0]]);
    y.start = at->start;
    y.factor = at->factor;
    y.shift = at->shift;
    s->kernels->int8->conv(&at->conv, &x, at->weight, &y, lo, hi, s->scratch[thread]);
}

static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = conv_of(n);
    const struct bf16 *k = s->kernels->bf16;
    const struct coded_weight *w = &s->coded[n->input[1]];
    void *to = s->room[1][n - s->graph->node];
    int twos = (s->blocks + 1) / 2, groups = (c->C + 7) / 8;
    (void)thread;
    k->pack_dy(c, s->blocks, s->g[n->output[0]], w->scale, w->scales, to, s->g[n->input[0]] != NULL, lo, hi);
    if (s->g[n->input[1]]) {
        const struct coded x = { s->code[n->input[0]], zero_of(s, n) };
        k->pack_x(c, s->blocks, &x, to, lo, hi);
    }
    if (s->g[n->input[0]]) {
        int first = (int)((int64_t)groups * lo / twos) * 8, end = (int)((int64_t)groups * hi / twos) * 8;
        k->pack_weights(c, s->blocks, w->code, to, first, end < c->C ? end : c->C);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = conv_of(n);
    const void *from = s->room[1][n - s->graph->node];
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    int first = lo * KERNELS_OUTPUTS, end = hi * KERNELS_OUTPUTS < c->O ? hi * KERNELS_OUTPUTS : c->O;
    if (dw)
        s->kernels->bf16->weight(c, s->blocks, from, step_of(s, n), dw, first, end, s->scratch[thread]);
    if (dbias)
        s->kernels->bf16->bias(c, s->blocks, from, dbias, first, end);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    real *dx = s->g[n->input[0]];
    if (dx)
        s->kernels->bf16->data(conv_of(n), s->blocks, s->room[1][n - s->graph->node], dx,
                               !step_fresh(s, n, 0), lo, hi, s->scratch[thread]);
}

const struct op op_coded = {
    .name = "coded layer",
    .weight = 1,
    .bias = 2,
    .scratch = scratch,
    .items = items,
    .room = room,
    .forward_reduce = forward_reduce,
    .forward = forward,
    .backward_prepare = backward_prepare,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_writes = 1,
};
