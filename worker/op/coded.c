#include "worker/op/coded.h"

#include "worker/kernels/int8.h"
#include "worker/op/setup.h"

/* Front of the room of the forward stages; behind it the packed weights and arrays of outputs. */
struct integer {
    struct int8_conv conv;
    int8_t *weight;
    int32_t *start;
    double *factor, *shift;
};

const struct conv *coded_conv(const struct node *n)
{
    return n->op->conv(n);
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t coded_room(const struct node *n)
{
    const struct conv *c = coded_conv(n);
    const size_t outputs = (size_t)quads(c->O) * QUAD;
    return round_up(sizeof(struct integer)) + round_up(int8_packed(c)) +
           round_up(outputs * (sizeof(int32_t) + 2 * sizeof(double)));
}

size_t coded_scratch(const struct node *n, const struct kernels *k, size_t backward)
{
    const struct int8_conv c = { .conv = *coded_conv(n) };
    size_t forward = k->int8->scratch(&c);
    return forward > backward ? forward : backward;
}

int coded_items(const struct graph *g, const struct node *n)
{
    (void)g;
    return (coded_conv(n)->O + KERNELS_OUTPUTS - 1) / KERNELS_OUTPUTS;
}

/* The quantizer that made the input. */
static const struct node *quantizer(const struct step *s, const struct node *n)
{
    return &s->graph->node[s->graph->value[n->input[0]].producer];
}

real coded_step(const struct step *s, const struct node *n)
{
    return s->x[quantizer(s, n)->input[1]][0];
}

int coded_zero(const struct step *s, const struct node *n)
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
    const struct conv *c = coded_conv(n);
    const struct coded_weight *w = &s->coded[n->input[1]];
    const ptrdiff_t row = (ptrdiff_t)c->C * c->KH * c->KW;
    const real step = coded_step(s, n), *bias = setup_has(n, 2) ? s->x[n->input[2]] : NULL;
    for (int o = 0; o < quads(c->O) * QUAD; o++) {
        at->start[o] = at->conv.zero && o < c->O ? -at->conv.zero * row_sum(w->code + o * row, row) : 0;
        at->factor[o] = o < c->O ? (double)(step * w->scale[w->scales == 1 ? 0 : o]) : 0;
        at->shift[o] = o < c->O && bias ? (double)bias[o] : 0;
    }
}

/* Weights are packed once for all threads, by whoever has the first item. */
void coded_forward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = coded_conv(n);
    struct integer *at = s->room[0][n - s->graph->node];
    const size_t outputs = (size_t)quads(c->O) * QUAD;
    (void)hi, (void)thread;
    if (lo)
        return;
    *at = (struct integer){ .conv = { .conv = *c, .zero = (uint8_t)coded_zero(s, n) } };
    at->weight = (int8_t *)at + round_up(sizeof *at);
    at->factor = (double *)(at->weight + round_up(int8_packed(c)));
    at->shift = at->factor + outputs;
    at->start = (int32_t *)(at->shift + outputs);
    int8_pack(&at->conv, s->coded[n->input[1]].code, at->weight);
    fill_outputs(s, n, at);
}

void coded_forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct integer *at = s->room[0][n - s->graph->node];
    const struct int8_in x = int8_dense_in(&at->conv.conv, s->code[n->input[0]]);
    struct int8_out y = int8_dense_out(&at->conv.conv, INT8_REALS, s->x[n->output[0]]);
    y.start = at->start;
    y.factor = at->factor;
    y.shift = at->shift;
    s->kernels->int8->conv(&at->conv, &x, at->weight, &y, lo, hi, s->scratch[thread]);
}
