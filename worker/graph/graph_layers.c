/* graph_layers.c - what a user calls a layer: a node with a weight. */
#include "base/mem.h"
#include "worker/graph/graph.h"
#include "worker/op/op.h"

#include <stdlib.h>
#include <string.h>

/* "conv1.weight" -> "conv1"; any other weight: the node's name. Kept in the node, which owns it. */
static const char *layer_name(struct node *n, const struct value *weight)
{
    static const char ending[] = ".weight";
    size_t length = strlen(weight->name), tail = sizeof ending - 1;
    if (length <= tail || strcmp(weight->name + length - tail, ending))
        return n->name;
    if (n->layer && strncmp(n->layer, weight->name, length - tail) == 0 && !n->layer[length - tail])
        return n->layer; /* a list made before goes on pointing to it */
    free(n->layer);
    n->layer = mem_printf("%.*s", (int)(length - tail), weight->name);
    return n->layer;
}

/* The PARAM that is input i of the node, -1 when there is none. */
static int param_input(const struct graph *g, const struct node *n, int i)
{
    if (i < 0 || i >= n->inputs || n->input[i] < 0 || g->value[n->input[i]].kind != VALUE_PARAM)
        return -1;
    return n->input[i];
}

int graph_only_reader(const struct graph *g, int value)
{
    int reader = -1, reads = 0;

    for (int i = 0; i < g->outputs; i++)
        reads += g->output[i] == value;
    for (int at = 0; at < g->nodes; at++)
        for (int i = 0; i < g->node[at].inputs; i++)
            if (g->node[at].input[i] == value) {
                reader = at;
                reads++;
            }
    return reads == 1 ? reader : -1;
}

int graph_layers(struct graph *g, struct layer **layers, int *count, struct err *e)
{
    int found = 0;
    struct layer *list = mem_array((size_t)g->nodes + 1, sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "Out of memory for the list of layers");
    for (int i = 0; i < g->nodes; i++) {
        struct node *n = &g->node[i];
        int weight = param_input(g, n, n->op->weight);
        if (weight < 0)
            continue;
        struct layer *l = &list[found++];
        *l = (struct layer){ .node = i, .weight = weight, .bias = param_input(g, n, n->op->bias) };
        l->name = layer_name(n, &g->value[weight]);
        l->parameters = shape_count(&g->value[weight].shape);
        if (l->bias >= 0)
            l->parameters += shape_count(&g->value[l->bias].shape);
        l->macs = n->op->macs ? n->op->macs(g, n) : 0;
        if (!l->name) {
            free(list);
            return err_set(e, ERR_NOMEM, "Out of memory for the list of layers");
        }
    }
    *layers = list;
    *count = found;
    return 0;
}
