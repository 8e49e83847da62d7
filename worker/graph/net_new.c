#include "worker/graph/net_parts.h"

#include "base/mem.h"
#include "worker/kernels/kernels.h"

#include <assert.h>
#include <stdlib.h>

int net_bytes(const struct graph *g, const struct net_options *o, size_t *bytes, struct err *e)
{
    struct plan plan;
    int r = plan_make(g, o, &plan, e);
    if (r < 0)
        return r;
    *bytes = plan.bytes;
    plan_free(&plan);
    return 0;
}

static int allocate(struct net *n, struct err *e)
{
    const struct plan *p = &n->plan;
    size_t values = (size_t)n->graph->values;
    n->step.x = mem_array(values, sizeof *n->step.x);
    n->step.g = mem_array(values, sizeof *n->step.g);
    n->step.tail = p->tail;
    n->step.code = mem_array(values, sizeof *n->step.code);
    n->step.coded = mem_array(values, sizeof *n->step.coded);
    n->step.kept = mem_array((size_t)n->graph->nodes, sizeof *n->step.kept);
    for (int i = 0; i < 2; i++)
        n->step.room[i] = mem_array((size_t)n->graph->nodes, sizeof *n->step.room[i]);
    n->step.scratch = mem_array((size_t)p->threads, sizeof *n->step.scratch);
    n->step.fresh = mem_array((size_t)n->graph->nodes, sizeof *n->step.fresh);
    n->zero = mem_array((size_t)n->graph->nodes, sizeof *n->zero);
    n->watched = mem_array(values, sizeof *n->watched);
    n->arena = mem_aligned(64, p->arena);
    n->scratch = mem_aligned(64, p->scratch * (size_t)p->threads);
    n->constants = mem_aligned(64, p->constants * sizeof(real));
    n->gradients = mem_aligned(64, p->gradients * sizeof(real));
    if (!n->step.x || !n->step.g || !n->step.code || !n->step.coded || !n->step.room[0] || !n->step.room[1] ||
        !n->step.kept || !n->step.scratch || !n->step.fresh || !n->zero || !n->watched || !n->arena ||
        !n->scratch || !n->constants || !n->gradients)
        return err_set(e, ERR_NOMEM, "Out of memory: the network needs %zu bytes", p->bytes);
    return 0;
}

/* Constants become real numbers once, so that operators see them as parameters. */
static void convert_constants(struct net *n)
{
    real *to = n->constants;
    for (int v = 0; v < n->graph->values; v++) {
        const struct value *value = &n->graph->value[v];
        if (value->kind != VALUE_CONST)
            continue;
        int64_t count = shape_count(&value->shape);
        for (int64_t i = 0; i < count; i++)
            to[i] = (real)tensor_number(value->constant, i);
        n->step.x[v] = to;
        to += (count + 15) / 16 * 16;
    }
}

/* Is this the only one among what node i reads that uses this memory? */
static bool is_only(const struct net *n, int i, int value)
{
    const struct node *node = &n->graph->node[i];
    int root = n->plan.root[value], same = 0, other = n->plan.tail[i].other;
    for (int k = 0; k < node->inputs; k++)
        same += node->input[k] >= 0 && n->plan.root[node->input[k]] == root;
    return same + (other >= 0 && n->plan.root[other] == root) == 1;
}

/* Is the gradient of this value there, and first written when position `turn` goes backward? */
static bool is_first(const struct net *n, int turn, int value)
{
    return value >= 0 && n->graph->value[value].kind != VALUE_PARAM && n->step.g[value] &&
           n->plan.first_writer[n->plan.root[value]] == turn;
}

/* Gradients that the node at this position is the first to put something into. */
static void find_first(struct net *n, int turn)
{
    int i = n->plan.runs[turn];
    if (i < 0)
        return;
    const struct node *node = &n->graph->node[i];
    struct tail *tail = &n->plan.tail[i];
    for (int k = 0; k < node->inputs; k++) {
        if (!is_first(n, turn, node->input[k]))
            continue;
        bool writes = n->plan.op[i]->backward_writes >> k & 1 && is_only(n, i, node->input[k]);
        *(writes ? &n->step.fresh[i] : &n->zero[i]) |= 1u << k;
    }
    if (is_first(n, turn, tail->other))
        tail->other_fresh = is_only(n, i, tail->other);
}

static void wire(struct net *n)
{
    const struct plan *p = &n->plan;
    for (int v = 0; v < n->graph->values; v++) {
        const struct value *value = &n->graph->value[v];
        if (value->kind == VALUE_PARAM) {
            n->step.x[v] = n->graph->param + value->offset;
            if (p->wanted[v])
                n->step.g[v] = n->gradients + value->offset;
            continue;
        }
        if (p->x[v] != PLAN_NONE)
            n->step.x[v] = (real *)(n->arena + p->x[v]);
        if (p->code[v] != PLAN_NONE)
            n->step.code[v] = (uint8_t *)(n->arena + p->code[v]);
        if (p->g[v] != PLAN_NONE)
            n->step.g[v] = (real *)(n->arena + p->g[v]);
    }
    for (int i = 0; i < n->graph->nodes; i++) {
        n->step.kept[i] = p->kept[i] == PLAN_NONE ? NULL : n->arena + p->kept[i];
        for (int k = 0; k < 2; k++)
            n->step.room[k][i] = p->room[k][i] == PLAN_NONE ? NULL : n->arena + p->room[k][i];
    }
    for (int t = 0; t < p->threads; t++)
        n->step.scratch[t] = n->scratch + (size_t)t * p->scratch;
    for (int i = 0; i < n->graph->nodes; i++)
        find_first(n, i);
    convert_constants(n);
}

int net_new(struct graph *g, const struct net_options *o, struct net **net, struct err *e)
{
    assert(g->finished);
    struct net *n = mem_alloc(sizeof *n);
    if (!n)
        return err_set(e, ERR_NOMEM, "Out of memory for the network");
    n->graph = g;
    n->pool = o->pool;
    n->train = o->train;
    n->hints = o->hints;
    n->turns = g->nodes;
    n->step =
        (struct step){ .graph = g, .kernels = o->kernels ? o->kernels : kernels_best(), .seed = o->seed };
    int r = plan_make(g, o, &n->plan, e);
    if (r == 0 && o->limit && n->plan.bytes > o->limit)
        r = err_set(e, ERR_MEMORY, "The network needs %zu bytes for batches of %d; the limit is %zu",
                    n->plan.bytes, o->batch, o->limit);
    if (r == 0)
        r = allocate(n, e);
    if (r < 0) {
        net_free(n);
        return r;
    }
    wire(n);
    *net = n;
    return 0;
}

void net_free(struct net *n)
{
    if (!n)
        return;
    for (int v = 0; n->watched && v < n->graph->values; v++)
        free(n->watched[v]);
    free(n->watched);
    free(n->step.x);
    free(n->step.g);
    free(n->step.code);
    free(n->step.coded);
    free(n->step.room[0]);
    free(n->step.room[1]);
    free(n->step.kept);
    free(n->step.fresh);
    free(n->zero);
    free(n->step.scratch);
    free(n->arena);
    free(n->scratch);
    free(n->constants);
    free(n->gradients);
    plan_free(&n->plan);
    free(n);
}

void net_set_weight(struct net *n, int value, const real *weight)
{
    const struct value *v = &n->graph->value[value];
    assert(v->kind == VALUE_PARAM);
    n->step.x[value] = weight ? (real *)weight : n->graph->param + v->offset;
}

void net_set_codes(struct net *n, int value, const int8_t *code, const real *scale, int scales)
{
    n->step.coded[value] = (struct coded_weight){ code, scale, scales };
}

void net_watch(struct net *n, int value)
{
    int root = n->plan.root[value];
    const struct value *v = &n->graph->value[root];
    if (n->plan.x[root] == PLAN_NONE || n->plan.lasting[root] || n->watched[root])
        return;
    size_t bytes = (size_t)shape_count(&v->shape) * LANES * sizeof(real);
    real *own = size_mul(bytes, (size_t)n->plan.blocks, &bytes) ? mem_aligned(64, bytes) : NULL;
    if (!own)
        return;
    n->watched[root] = own;
    for (int i = 0; i < n->graph->values; i++)
        if (n->plan.root[i] == root)
            n->step.x[i] = own;
}
