#include "worker/graph/chain.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct search {
    const struct graph *g;
    int *readers; /* per value: inputs of nodes that read it, graph outputs too */
    int *reader;  /* per value: the last node that reads it */
};

static int count_readers(struct search *s)
{
    const struct graph *g = s->g;
    s->readers = mem_array((size_t)g->values, sizeof *s->readers);
    s->reader = mem_array((size_t)g->values, sizeof *s->reader);
    if (!s->readers || !s->reader)
        return ERR_NOMEM;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++) {
            int v = g->node[i].input[k];
            if (v < 0)
                continue;
            s->readers[v]++;
            s->reader[v] = i;
        }
    for (int i = 0; i < g->outputs; i++)
        s->readers[g->output[i]]++;
    return 0;
}

/* Of a node of role TAIL_RELU; 0: with its constants it is no ReLU. */
static real relu_ceiling(const struct node *n)
{
    return n->op->ceiling ? n->op->ceiling(n) : INFINITY;
}

/* The node that alone reads the value, if it has that role and makes something of the same shape; -1. */
static int follower(const struct search *s, int value, enum tail_role role)
{
    const struct graph *g = s->g;
    const struct node *n = &g->node[s->reader[value]];
    if (s->readers[value] != 1 || n->op->role != role ||
        !shape_equal(&g->value[value].shape, &g->value[n->output[0]].shape))
        return -1;
    return s->reader[value];
}

/* The ReLU behind the value; -1. */
static int relu_behind(const struct search *s, int value)
{
    int relu = follower(s, value, TAIL_RELU);
    return relu >= 0 && relu_ceiling(&s->g->node[relu]) > 0 ? relu : -1;
}

/* The other summand of an addition, when it is an activation of the same shape; -1. */
static int other_input(const struct graph *g, const struct node *add, int value)
{
    int other = add->inputs == 2 ? add->input[add->input[0] == value] : -1;
    if (other < 0 || other == value)
        return -1;
    const struct value *v = &g->value[other];
    bool activation = v->kind == VALUE_ACT || v->kind == VALUE_INPUT;
    return activation && shape_equal(&v->shape, &g->value[value].shape) ? other : -1;
}

/* What is found, arrays of the caller. */
struct found {
    struct tail *tail;
    int *turn;
    bool *gone, *taken; /* taken: nodes within a chain */
};

/* The chain of this head goes on to the next node. */
static void extend(const struct search *s, const struct found *f, int head, int next)
{
    struct tail *tail = &f->tail[head];
    f->gone[tail->out] = true;
    f->taken[next] = true;
    f->turn[next] = next;
    f->turn[head] = next;
    tail->out = s->g->node[next].output[0];
}

/* The first quantizer among several readers of the value; -1. */
static int quantizer_beside(const struct search *s, int value)
{
    const struct graph *g = s->g;
    for (int i = 0; s->readers[value] > 1 && i < g->nodes; i++)
        if (g->node[i].op->role == TAIL_QUANT && g->node[i].input[0] == value)
            return i;
    return -1;
}

/* A sum that others read, and its codes: made together, before the others run. */
static void find_beside(const struct search *s, const struct found *f, int head)
{
    struct tail *tail = &f->tail[head];
    int quant = quantizer_beside(s, tail->out);
    if (quant < 0)
        return;
    tail->number = tail->out;
    tail->quant = quant;
    tail->out = s->g->node[quant].output[0];
    f->taken[quant] = true;
    f->turn[quant] = f->turn[head];
}

static void find_tail(const struct search *s, const struct found *f, int head)
{
    const struct graph *g = s->g;
    struct tail *tail = &f->tail[head];
    int add = follower(s, tail->out, TAIL_ADD);
    if (add >= 0 && !f->taken[add] && other_input(g, &g->node[add], tail->out) >= 0) {
        tail->other = other_input(g, &g->node[add], tail->out);
        extend(s, f, head, add);
    }
    int relu = relu_behind(s, tail->out);
    if (relu >= 0) {
        tail->relu = true;
        tail->ceiling = relu_ceiling(&g->node[relu]);
        extend(s, f, head, relu);
        if (add >= 0)
            f->turn[add] = relu;
    }
    if (tail->other >= 0)
        find_beside(s, f, head);
    int quant = tail->other < 0 ? follower(s, tail->out, TAIL_QUANT) : -1;
    if (quant >= 0) {
        tail->quant = quant;
        extend(s, f, head, quant);
        if (relu >= 0)
            f->turn[relu] = quant;
    }
}

/* A ReLU without a head, in front of a quantizer. */
static void find_relu(const struct search *s, const struct found *f, int relu)
{
    struct tail *tail = &f->tail[relu];
    int quant = follower(s, tail->out, TAIL_QUANT);
    const real ceiling = relu_ceiling(&s->g->node[relu]);
    if (quant < 0 || !(ceiling > 0))
        return;
    tail->relu = true;
    tail->ceiling = ceiling;
    tail->quant = quant;
    extend(s, f, relu, quant);
}

int chain_find(const struct graph *g, bool train, bool apart, const bool *wanted, struct tail *tail,
               int *turn, bool *gone)
{
    struct search s = { .g = g };
    struct found f = { tail, turn, gone, mem_array((size_t)g->nodes, sizeof *f.taken) };
    int r = f.taken ? count_readers(&s) : ERR_NOMEM;
    for (int i = 0; i < g->nodes && r == 0; i++) {
        tail[i] = (struct tail){
            .out = g->node[i].output[0], .number = -1, .quant = -1, .other = -1, .ceiling = INFINITY
        };
        turn[i] = i;
    }
    for (int i = 0; i < g->nodes && r == 0 && !apart; i++) {
        const struct node *n = &g->node[i];
        if (!shape_count(&g->value[tail[i].out].shape) || (train && !wanted[n->input[0]]))
            continue;
        if (n->op->role == TAIL_HEAD)
            find_tail(&s, &f, i);
        else if (n->op->role == TAIL_RELU && !f.taken[i])
            find_relu(&s, &f, i);
    }
    free(s.readers);
    free(s.reader);
    free(f.taken);
    return r;
}
