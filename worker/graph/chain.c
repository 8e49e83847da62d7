#include "worker/graph/chain.h"

#include "base/mem.h"

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

static void find_tail(const struct search *s, int head, bool *taken, struct tail *tail, int *turn, bool *gone)
{
    const struct graph *g = s->g;
    int last = head, add = follower(s, tail->out, TAIL_ADD);
    if (add >= 0 && !taken[add] && other_input(g, &g->node[add], tail->out) >= 0) {
        taken[add] = true;
        tail->other = other_input(g, &g->node[add], tail->out);
        gone[tail->out] = true;
        tail->out = g->node[add].output[0];
        last = add;
    }
    int relu = follower(s, tail->out, TAIL_RELU);
    if (relu >= 0) {
        tail->relu = true;
        gone[tail->out] = true;
        tail->out = g->node[relu].output[0];
        turn[last] = relu;
        last = relu;
    }
    turn[head] = last;
}

int chain_find(const struct graph *g, bool train, bool apart, const bool *wanted, struct tail *tail,
               int *turn, bool *gone)
{
    struct search s = { .g = g };
    bool *taken = mem_array((size_t)g->nodes, sizeof *taken);
    int r = taken ? count_readers(&s) : ERR_NOMEM;
    for (int i = 0; i < g->nodes && r == 0; i++) {
        tail[i] = (struct tail){ .out = g->node[i].output[0], .other = -1 };
        turn[i] = i;
    }
    for (int i = 0; i < g->nodes && r == 0 && !apart; i++) {
        const struct node *n = &g->node[i];
        if (n->op->role == TAIL_HEAD && shape_count(&g->value[tail[i].out].shape) &&
            (!train || wanted[n->input[0]]))
            find_tail(&s, i, taken, &tail[i], turn, gone);
    }
    free(s.readers);
    free(s.reader);
    free(taken);
    return r;
}
