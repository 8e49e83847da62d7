/* replace.c - the inputs of layers, past the quantizers that a model came with. */
#include "worker/quant/replace.h"

#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

/* The node that makes a value, if it is an `op`; NULL otherwise. */
static const struct node *made_by(const struct graph *g, int value, const char *op)
{
    const int i = g->value[value].producer;

    return i >= 0 && strcmp(g->node[i].op->name, op) == 0 ? &g->node[i] : NULL;
}

/* What a quantizer reads whose output is `value`; the value itself where there is none. */
static int before_quantizer(const struct graph *g, int value)
{
    const struct node *n = made_by(g, value, "QuantdLevels"), *whole = made_by(g, value, "DequantizeLinear");

    if (whole) {
        const struct node *clip = made_by(g, whole->input[0], "Clip");
        n = made_by(g, clip ? clip->input[0] : whole->input[0], "QuantizeLinear");
    }
    return n ? n->input[0] : value;
}

/* A file may have several in a row. */
static int before_quantizers(const struct graph *g, int value)
{
    for (int before; (before = before_quantizer(g, value)) != value;)
        value = before;
    return value;
}

int replace_quantizers(struct graph *g, const struct quant_layer_plan *plan, int count, int *replaced,
                       struct err *e)
{
    struct layer *layers = NULL;
    int found, status = graph_layers(g, &layers, &found, e);

    *replaced = 0;
    for (int i = 0; !status && i < found && i < count; i++) {
        int *input = &g->node[layers[i].node].input[0];
        const int came = *input;
        if (plan[i].activation.bits != 32)
            *input = before_quantizers(g, came);
        *replaced += *input != came;
    }
    free(layers);
    return status || *replaced == 0 ? status : graph_finish(g, e);
}
