/* replace.c - the inputs of layers, past the quantizers that a model came with. */
#include "worker/quant/replace.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The node that makes a value, if it is an `op`; NULL otherwise. */
static const struct node *made_by(const struct graph *g, int value, const char *op)
{
    const int i = value >= 0 ? g->value[value].producer : -1;

    return i >= 0 && strcmp(g->node[i].op->name, op) == 0 ? &g->node[i] : NULL;
}

static int input_of(const struct node *n, int i)
{
    return i < n->inputs ? n->input[i] : -1;
}

/* Number i of a parameter or a constant; of what is computed nothing is known. */
static double number_of(const struct graph *g, int value, int64_t i)
{
    const struct value *v = &g->value[value];

    if (v->kind == VALUE_PARAM)
        return (double)g->param[v->offset + (size_t)i];
    return v->kind == VALUE_CONST ? tensor_number(v->constant, i) : NAN;
}

/* Is input i of both nodes the same number, or the same numbers, or nothing? */
static bool agree(const struct graph *g, const struct node *a, const struct node *b, int i)
{
    const int x = input_of(a, i), y = input_of(b, i);

    if (x == y)
        return true;
    if (x < 0 || y < 0 || !shape_equal(&g->value[x].shape, &g->value[y].shape))
        return false;
    for (int64_t k = 0; k < shape_count(&g->value[x].shape); k++)
        if (number_of(g, x, k) != number_of(g, y, k))
            return false;
    return true;
}

/* A quantizer of activations: what it reads, and to how many levels it rounds that. */
struct quantizer_found {
    int source;
    double levels;
};

/* QuantizeLinear, a Clip of its codes or none, DequantizeLinear with the same scale and zero point. */
static bool find_codes(const struct graph *g, int value, struct quantizer_found *f)
{
    const struct node *to = made_by(g, value, "DequantizeLinear");
    const struct node *clip = to ? made_by(g, to->input[0], "Clip") : NULL;
    const struct node *from = to ? made_by(g, (clip ? clip : to)->input[0], "QuantizeLinear") : NULL;

    if (!from || !agree(g, from, to, 1) || !agree(g, from, to, 2))
        return false;
    *f = (struct quantizer_found){ from->input[0], 256 };
    if (clip && input_of(clip, 1) >= 0 && input_of(clip, 2) >= 0)
        f->levels = number_of(g, clip->input[2], 0) - number_of(g, clip->input[1], 0) + 1;
    return true;
}

/* QuantdLevels whose levels lie between their thresholds; any other steps are a function of their own. */
static bool find_levels(const struct graph *g, int value, struct quantizer_found *f)
{
    const struct node *n = made_by(g, value, "QuantdLevels");

    if (!n)
        return false;
    const int64_t count = shape_count(&g->value[n->input[2]].shape);
    *f = (struct quantizer_found){ n->input[0], (double)count };
    for (int64_t k = 0; k + 1 < count; k++) {
        const double border = number_of(g, n->input[1], k);
        if (border < number_of(g, n->input[2], k) || border > number_of(g, n->input[2], k + 1))
            return false;
    }
    return true;
}

int before_quantizers(const struct graph *g, int value, int levels)
{
    struct quantizer_found f;

    while ((find_codes(g, value, &f) || find_levels(g, value, &f)) && f.levels >= levels)
        value = f.source;
    return value;
}

/* Would layers that read one value through several quantizers, or with and without, share one? */
static bool shared(const struct graph *g, const struct layer *layers, const int *before, int count, int i)
{
    for (int k = 0; k < count; k++)
        if (before[k] == before[i] && g->node[layers[k].node].input[0] != g->node[layers[i].node].input[0])
            return true;
    return false;
}

int replace_quantizers(struct graph *g, const struct quant_layer_plan *plan, int count, int *replaced,
                       struct err *e)
{
    struct layer *layers = NULL;
    int found, status = graph_layers(g, &layers, &found, e);
    int *before = mem_array((size_t)count + 1, sizeof *before);
    bool *moves = mem_array((size_t)count + 1, sizeof *moves);

    *replaced = 0;
    if (!status && (!before || !moves))
        status = err_set(e, ERR_NOMEM, "out of memory");
    count = status ? 0 : found < count ? found : count;
    for (int i = 0; i < count; i++)
        before[i] = plan[i].activation.bits == 32 ? -1
                                                  : before_quantizers(g, g->node[layers[i].node].input[0],
                                                                      1 << plan[i].activation.bits);
    for (int i = 0; i < count; i++)
        moves[i] = before[i] >= 0 && !shared(g, layers, before, count, i);
    for (int i = 0; i < count; i++) {
        int *input = &g->node[layers[i].node].input[0];
        *replaced += moves[i] && *input != before[i];
        *input = moves[i] ? before[i] : *input;
    }
    free(layers);
    free(before);
    free(moves);
    return status || *replaced == 0 ? status : graph_finish(g, e);
}
