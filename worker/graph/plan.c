#include "worker/graph/plan.h"

#include "base/mem.h"
#include "worker/graph/chain.h"
#include "worker/graph/precision.h"
#include "worker/graph/space.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"

#include <stdlib.h>

/* Something that needs `size` bytes from one time to another, both included. */
struct piece {
    size_t size, *offset;
    int birth, death;
    int next_born, next_dying; /* lists per time, -1 ends */
};

struct planner {
    const struct graph *g;
    const struct net_options *o;
    struct plan *p;
    int *turn;          /* per node: the position at which it runs */
    int *heir;          /* per root: whose gradient its own becomes, in place, when it goes backward; -1 */
    bool *inherits;     /* per root: its gradient is such a one */
    int *last;          /* per root: last time its activation is read */
    bool *ends;         /* per root: a graph output uses it */
    bool *code, *plain; /* per value: precision_choose() */
    int *last_code;     /* per value: last time its codes are read */
    struct piece *piece;
    int pieces;
};

static int forward_time(int node)
{
    return node + 1;
}

static int backward_time(const struct graph *g, int node)
{
    return 2 * g->nodes + 1 - node;
}

static int end_time(const struct planner *w)
{
    return w->o->train ? 2 * w->g->nodes + 2 : w->g->nodes + 1;
}

static bool is_activation(const struct value *v)
{
    return v->kind == VALUE_INPUT || v->kind == VALUE_ACT;
}

static bool is_output(const struct graph *g, int v)
{
    for (int i = 0; i < g->outputs; i++)
        if (g->output[i] == v)
            return true;
    return false;
}

bool plan_is_alias(const struct plan *p, const struct node *n)
{
    return n->op->pass_shape_only && p->root[n->output[0]] != n->output[0];
}

static int planner_init(struct planner *w, const struct graph *g, const struct net_options *o, struct plan *p,
                        struct err *e)
{
    size_t values = (size_t)g->values, nodes = (size_t)g->nodes;
    *w = (struct planner){ .g = g, .o = o, .p = p };
    *p = (struct plan){ .blocks = (o->batch + LANES - 1) / LANES,
                        .threads = o->pool ? pool_threads(o->pool) : 1 };
    p->root = mem_array(values, sizeof *p->root);
    p->wanted = mem_array(values, sizeof *p->wanted);
    p->lasting = mem_array(values, sizeof *p->lasting);
    p->x = mem_array(values, sizeof *p->x);
    p->g = mem_array(values, sizeof *p->g);
    p->kept = mem_array(nodes, sizeof *p->kept);
    p->first_writer = mem_array(values, sizeof *p->first_writer);
    p->tail = mem_array(nodes, sizeof *p->tail);
    p->runs = mem_array(nodes, sizeof *p->runs);
    p->gone = mem_array(values, sizeof *p->gone);
    w->turn = mem_array(nodes, sizeof *w->turn);
    w->heir = mem_array(values, sizeof *w->heir);
    w->inherits = mem_array(values, sizeof *w->inherits);
    w->last = mem_array(values, sizeof *w->last);
    p->code = mem_array(values, sizeof *p->code);
    p->op = mem_array(nodes, sizeof *p->op);
    p->room[0] = mem_array(nodes, sizeof *p->room[0]);
    p->room[1] = mem_array(nodes, sizeof *p->room[1]);
    w->ends = mem_array(values, sizeof *w->ends);
    w->code = mem_array(values, sizeof *w->code);
    w->plain = mem_array(values, sizeof *w->plain);
    w->last_code = mem_array(values, sizeof *w->last_code);
    w->piece = mem_array(3 * values + 3 * nodes, sizeof *w->piece);
    if (!p->root || !p->wanted || !p->lasting || !p->x || !p->g || !p->kept || !p->first_writer || !p->tail ||
        !p->runs || !p->gone || !w->turn || !w->heir || !w->inherits || !w->last || !w->ends || !w->piece ||
        !p->code || !p->op || !p->room[0] || !p->room[1] || !w->code || !w->plain || !w->last_code)
        return err_set(e, ERR_NOMEM, "Out of memory for the plan of the network");
    for (int v = 0; v < g->values; v++) {
        p->root[v] = v;
        p->x[v] = p->g[v] = p->code[v] = PLAN_NONE;
        p->first_writer[v] = w->heir[v] = -1;
    }
    for (int i = 0; i < g->nodes; i++)
        p->kept[i] = p->room[0][i] = p->room[1][i] = PLAN_NONE;
    return 0;
}

static void planner_deinit(struct planner *w)
{
    free(w->turn);
    free(w->heir);
    free(w->inherits);
    free(w->last);
    free(w->ends);
    free(w->code);
    free(w->plain);
    free(w->last_code);
    free(w->piece);
}

/* A node that only changes the shape shares its input's memory, unless two graph outputs would meet there:
 * the caller fills their gradients one by one. */
static void find_roots(struct planner *w)
{
    const struct graph *g = w->g;
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        if (!n->op->pass_shape_only)
            continue;
        int root = w->p->root[n->input[0]], out = n->output[0];
        if (is_output(g, root))
            w->ends[root] = true;
        if (is_output(g, out) && w->ends[root])
            continue;
        w->p->root[out] = root;
        if (is_output(g, out))
            w->ends[root] = true;
    }
    for (int i = 0; i < g->outputs; i++)
        w->ends[w->p->root[g->output[i]]] = true;
}

/* Gradients are wanted of trainable parameters and of all that is computed from them. */
static void find_wanted(struct planner *w)
{
    const struct graph *g = w->g;
    if (!w->o->train)
        return;
    for (int v = 0; v < g->values; v++)
        w->p->wanted[v] = (g->value[v].kind == VALUE_PARAM && g->value[v].trainable) ||
                          (g->value[v].kind == VALUE_INPUT && w->o->input_gradient);
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        bool any = false;
        for (int k = 0; k < n->inputs; k++)
            any |= n->input[k] >= 0 && w->p->wanted[n->input[k]];
        for (int k = 0; k < n->outputs; k++)
            w->p->wanted[n->output[k]] = any;
    }
}

static void read_at(struct planner *w, int v, int time)
{
    if (v < 0 || !is_activation(&w->g->value[v]))
        return;
    int root = w->p->root[v];
    if (w->last[root] < time)
        w->last[root] = time;
}

/* A layer on codes reads them when it goes forward and for the gradient of its weight. */
static void read_codes(struct planner *w, const struct node *n, int turn)
{
    int *last = &w->last_code[n->input[0]];
    int time = w->o->train && w->p->wanted[n->output[0]] ? backward_time(w->g, turn) : forward_time(turn);
    *last = *last < time ? time : *last;
}

static int find_chains(struct planner *w)
{
    struct plan *p = w->p;
    int r = chain_find(w->g, w->o->train, w->o->apart, p->wanted, p->tail, w->turn, p->gone);
    for (int i = 0; i < w->g->nodes; i++)
        p->runs[i] = -1;
    for (int i = w->g->nodes - 1; i >= 0 && r == 0; i--) { /* the head of a chain comes last: it stays */
        p->runs[w->turn[i]] = i;
        if (p->tail[i].quant >= 0 && w->g->node[i].op->role == TAIL_RELU)
            p->op[i] = p->op[p->tail[i].quant];
    }
    return r;
}

static void find_lives(struct planner *w)
{
    const struct graph *g = w->g;
    for (int i = 0; i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        int turn = w->turn[i];
        for (int k = 0; k < n->outputs; k++)
            read_at(w, n->output[k], w->o->train ? g->nodes + 1 : forward_time(turn));
        for (int k = 0; k < n->inputs; k++)
            read_at(w, n->input[k], forward_time(turn));
        if (w->p->op[i]->reads_codes)
            read_codes(w, n, turn);
        if (!w->p->wanted[n->output[0]] || plan_is_alias(w->p, n))
            continue;
        for (int k = 0; k < n->inputs; k++) {
            if (w->p->op[i]->backward_needs_inputs >> k & 1)
                read_at(w, n->input[k], backward_time(g, turn));
            int *first = n->input[k] < 0 ? NULL : &w->p->first_writer[w->p->root[n->input[k]]];
            if (first && *first < turn)
                *first = turn;
        }
        for (int k = 0; k < n->outputs; k++)
            if (w->p->op[i]->backward_needs_outputs >> k & 1)
                read_at(w, n->output[k], backward_time(g, turn));
        if (w->o->hints && n->op->weight >= 0)
            read_at(w, n->output[0], backward_time(g, turn));
    }
    read_at(w, g->input, end_time(w));
    for (int v = 0; v < g->values; v++) {
        if (w->ends[v]) {
            read_at(w, v, end_time(w));
            w->p->first_writer[v] = -1;
        }
        w->p->lasting[v] = w->last[v] >= g->nodes + 1 && !w->p->gone[v];
    }
}

static int add_piece(struct planner *w, size_t block_bytes, size_t *offset, int birth, int death)
{
    struct piece *q = &w->piece[w->pieces++];
    *q = (struct piece){ .offset = offset, .birth = birth, .death = death };
    return size_mul(block_bytes, (size_t)w->p->blocks, &q->size) ? 0 : ERR_TOO_LARGE;
}

/* When is the gradient of this root first written? -1: never. */
static int gradient_birth(const struct planner *w, int v)
{
    if (!w->p->wanted[v])
        return -1;
    if (w->ends[v])
        return w->g->nodes + 1;
    int writer = w->p->first_writer[v];
    return writer < 0 ? -1 : backward_time(w->g, writer);
}

/* Is this chain the only one to begin the gradient of what it adds, an activation of its own? */
static bool begins_other(const struct planner *w, int head, int root)
{
    const struct node *n = &w->g->node[head];
    for (int k = 0; k < n->inputs; k++)
        if (n->input[k] >= 0 && w->p->root[n->input[k]] == root)
            return false;
    return w->g->value[root].kind == VALUE_ACT && w->p->wanted[root] && !w->ends[root] &&
           w->p->first_writer[root] == w->turn[head];
}

/* What passes a ReLU goes into both summands in front of it. Where a chain is the first to give it to the
 * other one, that one's gradient is the sum's, in the same memory (batchnorm.c). */
static void find_heirs(struct planner *w)
{
    struct plan *p = w->p;
    for (int i = 0; i < w->g->nodes && w->o->train; i++) {
        const struct tail *tail = &p->tail[i];
        int sum = tail->number >= 0 ? tail->number : tail->out, other = tail->other;
        if (other < 0 || p->root[sum] != sum || w->ends[sum] || !begins_other(w, i, p->root[other]))
            continue;
        w->heir[sum] = p->root[other];
        w->inherits[p->root[other]] = true;
    }
}

/* The activation of a root, as numbers and as codes, and its gradient. */
static int add_value(struct planner *w, int v)
{
    const struct graph *g = w->g;
    const struct value *value = &g->value[v];
    const size_t bytes = (size_t)shape_count(&value->shape) * LANES * sizeof(real);
    const int made = value->producer < 0 ? 0 : forward_time(w->turn[value->producer]);
    const int birth = w->inherits[v] ? -1 : gradient_birth(w, v);
    int r = 0, last = v;
    while (w->heir[last] >= 0)
        last = w->heir[last];
    const int producer = g->value[last].producer;
    if (w->code[v])
        r = add_piece(w, precision_code_bytes(&value->shape), &w->p->code[v], made, w->last_code[v]);
    if (r == 0 && (w->plain[v] || !w->code[v]))
        r = add_piece(w, bytes, &w->p->x[v], made, w->last[v]);
    if (r == 0 && birth >= 0)
        r = add_piece(w, bytes, &w->p->g[v], birth,
                      producer < 0 ? end_time(w) : backward_time(g, w->turn[producer]));
    return r;
}

/* What a node keeps for its backward stages, and what its threads share. */
static int add_node(struct planner *w, int i)
{
    const struct node *n = &w->g->node[i];
    const struct op *op = w->p->op[i];
    const int forth = forward_time(w->turn[i]), back = backward_time(w->g, w->turn[i]);
    const size_t kept = w->o->train && op->keep ? op->keep(w->g, n) : 0;
    int r = kept ? add_piece(w, (kept + 63) / 64 * 64, &w->p->kept[i], forth, back) : 0;
    for (int k = 0; op->room && r == 0 && k < (w->o->train ? 2 : 1); k++) {
        r = add_piece(w, 0, &w->p->room[k][i], k ? back : forth, k ? back : forth);
        w->piece[w->pieces - 1].size = op->room(w->g, n, w->p->blocks, k);
    }
    return r;
}

static int add_pieces(struct planner *w)
{
    int r = 0;
    for (int v = 0; v < w->g->values && r == 0; v++)
        if (is_activation(&w->g->value[v]) && w->p->root[v] == v && !w->p->gone[v])
            r = add_value(w, v);
    for (int i = 0; i < w->g->nodes && r == 0; i++)
        r = add_node(w, i);
    return r;
}

/* Walk through the step's times: what is born takes room, then what dies gives its room back. */
static int place_pieces(struct planner *w)
{
    struct space space = { 0 };
    int times = end_time(w) + 1, r = 0;
    int *born = mem_array((size_t)times, sizeof *born), *dying = mem_array((size_t)times, sizeof *dying);
    if (!born || !dying)
        r = ERR_NOMEM;
    for (int t = 0; t < times && r == 0; t++)
        born[t] = dying[t] = -1;
    for (int i = w->pieces - 1; i >= 0 && r == 0; i--) {
        struct piece *q = &w->piece[i];
        q->next_born = born[q->birth];
        born[q->birth] = i;
        q->next_dying = dying[q->death];
        dying[q->death] = i;
    }
    for (int t = 0; t < times && r == 0; t++) {
        for (int i = born[t]; i >= 0 && r == 0; i = w->piece[i].next_born)
            r = space_take(&space, w->piece[i].size, w->piece[i].offset);
        for (int i = dying[t]; i >= 0 && r == 0; i = w->piece[i].next_dying)
            r = space_give(&space, *w->piece[i].offset, w->piece[i].size);
    }
    w->p->arena = space.peak;
    space_free(&space);
    free(born);
    free(dying);
    return r;
}

static void share_with_roots(struct planner *w)
{
    struct plan *p = w->p;
    for (int v = 0; v < w->g->values; v++)
        for (int last = v; !w->inherits[v] && w->heir[last] >= 0; last = w->heir[last])
            p->g[w->heir[last]] = p->g[v];
    for (int v = 0; v < w->g->values; v++) {
        p->x[v] = p->x[p->root[v]];
        p->g[v] = p->g[p->root[v]];
    }
}

static void find_scratch(struct planner *w)
{
    const struct kernels *k = w->o->kernels ? w->o->kernels : kernels_best();
    for (int i = 0; i < w->g->nodes; i++) {
        const struct node *n = &w->g->node[i];
        const struct op *op = w->p->op[i];
        size_t bytes = op->scratch ? op->scratch(w->g, n, k) : 0;
        if (bytes > w->p->scratch)
            w->p->scratch = bytes;
    }
    w->p->scratch = (w->p->scratch + 63) / 64 * 64;
    w->p->gradients = w->o->train ? w->g->param_count : 0;
    for (int v = 0; v < w->g->values; v++)
        if (w->g->value[v].kind == VALUE_CONST)
            w->p->constants += ((size_t)shape_count(&w->g->value[v].shape) + 15) / 16 * 16;
}

static int add_bytes(size_t count, size_t size, size_t *sum)
{
    size_t bytes;
    return size_mul(count, size, &bytes) && size_add(*sum, bytes, sum) ? 0 : ERR_TOO_LARGE;
}

int plan_make(const struct graph *g, const struct net_options *o, struct plan *p, struct err *e)
{
    struct planner w = { 0 };
    *p = (struct plan){ 0 };
    if (o->batch < 1 || o->batch > PLAN_BATCH)
        return err_set(e, ERR_INVALID, "A batch of %d samples: 1 to %d are possible", o->batch, PLAN_BATCH);
    int r = planner_init(&w, g, o, p, e);
    if (r < 0)
        goto out;
    find_roots(&w);
    precision_choose(g, o, p->op, w.code, w.plain);
    find_wanted(&w);
    r = find_chains(&w);
    if (r == 0) {
        find_lives(&w);
        find_heirs(&w);
        r = add_pieces(&w);
    }
    if (r == 0)
        r = place_pieces(&w);
    if (r < 0) {
        err_set(e, r,
                r == ERR_NOMEM ? "Out of memory for the plan of the network" : "The network is too large");
        goto out;
    }
    share_with_roots(&w);
    find_scratch(&w);
    if (add_bytes(p->arena, 1, &p->bytes) < 0 || add_bytes(p->scratch, (size_t)p->threads, &p->bytes) < 0 ||
        add_bytes(p->constants + p->gradients, sizeof(real), &p->bytes) < 0)
        r = err_set(e, ERR_TOO_LARGE, "The network is too large");
out:
    planner_deinit(&w);
    if (r < 0)
        plan_free(p);
    return r;
}

void plan_free(struct plan *p)
{
    free(p->root);
    free(p->wanted);
    free(p->lasting);
    free(p->x);
    free(p->g);
    free(p->kept);
    free(p->first_writer);
    free(p->code);
    free(p->op);
    free(p->room[0]);
    free(p->room[1]);
    free(p->tail);
    free(p->runs);
    free(p->gone);
    *p = (struct plan){ 0 };
}
