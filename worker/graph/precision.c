#include "worker/graph/precision.h"

#include "worker/kernels/int8.h"
#include "worker/kernels/tiles.h"
#include "worker/op/op.h"

const char *const precision_list[] = { [PRECISION_FP32] = "fp32", [PRECISION_MIXED] = "mixed", NULL };

int precision_find(const char *name)
{
    for (int i = 0; precision_list[i]; i++)
        if (strcmp(precision_list[i], name) == 0)
            return i;
    return -1;
}

size_t precision_code_bytes(const struct shape *s)
{
    int64_t channels = s->rank ? s->dim[0] : 1, pixels = channels ? shape_count(s) / channels : 0;
    return (size_t)((channels + QUAD - 1) / QUAD) * (size_t)pixels * PIXEL;
}

/* A quantizer to bytes, with or without a sign. */
static bool makes_bytes(const struct graph *g, const struct node *n)
{
    if (strcmp(n->op->name, "QuantdFakeQuant") != 0)
        return false;
    int64_t low = node_int(n, "low", 0), high = node_int(n, "high", 0);
    int rank = g->value[n->output[0]].shape.rank;
    return (low >= 0 ? high <= 255 : low >= -128 && high <= 127) && (rank == 1 || rank == 3);
}

/* Sums of products of a byte and a weight must fit 32 bits. */
static bool runs_on_codes(const struct graph *g, const struct node *n)
{
    const struct conv *c = n->op->conv ? n->op->conv(n) : NULL;
    if (!c || c->groups != 1 || !g->value[n->input[1]].coded)
        return false;
    int producer = g->value[n->input[0]].producer;
    return producer >= 0 && makes_bytes(g, &g->node[producer]) &&
           (int64_t)c->C * c->KH * c->KW < INT32_MAX / (256 * 128);
}

void precision_choose(const struct graph *g, const struct net_options *o, const struct op **op, bool *code,
                      bool *plain)
{
    const struct kernels *k = o->kernels ? o->kernels : kernels_best();
    bool codes = o->codes && k->int8 && k->bf16;
    bool pairs = codes && o->precision == PRECISION_MIXED && k->bf16->fast;
    for (int v = 0; v < g->values; v++)
        code[v] = plain[v] = false;
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        bool coded = codes && runs_on_codes(g, n);
        op[i] = !coded                                       ? n->op
                : pairs && !tiles_beat_pairs(n->op->conv(n)) ? &op_coded_pairs
                                                             : &op_coded_float;
        for (int j = 0; j < n->inputs; j++)
            if (n->input[j] >= 0)
                *(coded && j == 0 ? &code[n->input[j]] : &plain[n->input[j]]) = true;
        if (coded)
            op[g->value[n->input[0]].producer] = &op_fakequant_coded;
    }
    for (int i = 0; i < g->outputs; i++)
        plain[g->output[i]] = true;
}
