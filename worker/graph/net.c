#include "worker/graph/net_parts.h"

#include "base/clock.h"

#include <assert.h>

enum { NEAR = 1 << 19 }; /* bytes of a value that stay near from one node's pass to the next one's */

typedef void stage_fn(const struct step *s, const struct node *n, int lo, int hi, int thread);

/* One stage of one node, for the pool; after some blocks each the gather of the node that comes next. */
struct stage {
    stage_fn *fn;
    const struct step *step;
    const struct node *node;
    uint32_t zero; /* inputs whose gradients are to be set to zero first */
    stage_fn *gather;
    const struct node *next;
    int near;                             /* blocks between two gathers */
    double (*clock)(const struct net *n); /* NULL: nobody asks */
    const struct net *net;
    double gathered; /* seconds of the first thread in gather */
};

static void zero_block(const struct stage *t, int block)
{
    for (int k = 0; k < t->node->inputs; k++) {
        if (!(t->zero >> k & 1))
            continue;
        size_t count = (size_t)shape_count(&t->step->graph->value[t->node->input[k]].shape) * LANES;
        memset(t->step->g[t->node->input[k]] + block * count, 0, count * sizeof(real));
    }
}

static void gather(struct stage *t, int lo, int hi, int thread)
{
    double begin = t->clock && thread == 0 ? t->clock(t->net) : 0;
    t->gather(t->step, t->next, lo, hi, thread);
    if (t->clock && thread == 0)
        t->gathered += t->clock(t->net) - begin;
}

static void stage_part(void *arg, int lo, int hi, int thread)
{
    struct stage *t = arg;
    int near = t->zero ? 1 : t->gather ? t->near : hi - lo;
    for (int b = lo; b < hi; b += near) { /* the zeros are still near, too, when they are read */
        int end = hi - b < near ? hi : b + near;
        if (t->zero)
            zero_block(t, b);
        t->fn(t->step, t->node, b, end, thread);
        if (t->gather)
            gather(t, b, end, thread);
    }
}

static void run(struct net *n, pool_fn *fn, void *arg, int items)
{
    if (n->pool)
        pool_run(n->pool, fn, arg, items);
    else if (items > 0)
        fn(arg, 0, items, 0);
}

static double stage_clock(const struct net *n)
{
    return n->plan.threads == 1 ? clock_cpu_s() : (double)clock_mono_ns() * 1e-9;
}

static stage_fn *stage_of(const struct op *op, enum net_stage which)
{
    stage_fn *const of[NET_STAGES] = {
        [NET_FORWARD_GATHER] = op->forward_gather,
        [NET_FORWARD_REDUCE] = op->forward_reduce,
        [NET_FORWARD] = op->forward,
        [NET_BACKWARD_GATHER] = op->backward_gather,
        [NET_BACKWARD_PREPARE] = op->backward_prepare,
        [NET_BACKWARD_REDUCE] = op->backward_reduce,
        [NET_BACKWARD] = op->backward,
    };
    return of[which];
}

static int near_blocks(const struct net *n, const struct node *node)
{
    size_t bytes = (size_t)shape_count(&n->graph->value[node->input[0]].shape) * LANES * sizeof(real);
    return bytes < NEAR ? (int)(NEAR / bytes) : 1;
}

/* One stage of node i, where it has that stage; block by block the gather of the next one. Did that run? */
static bool run_stages(struct net *n, int i, enum net_stage which, int next, enum net_stage gathers)
{
    const struct node *node = &n->graph->node[i];
    const struct op *op = n->plan.op[i];
    bool reduces = which == NET_FORWARD_REDUCE || which == NET_BACKWARD_REDUCE;
    int blocks = which == NET_BACKWARD_PREPARE ? (n->step.blocks + 1) / 2 : n->step.blocks;
    struct stage stage = { .fn = stage_of(op, which),
                           .step = &n->step,
                           .node = node,
                           .zero = which == NET_BACKWARD ? n->zero[i] : 0,
                           .clock = n->profile ? stage_clock : NULL,
                           .net = n };
    if (!stage.fn)
        return false;
    if (next >= 0) {
        stage.next = &n->graph->node[next];
        stage.gather = stage_of(n->plan.op[next], gathers);
        stage.near = near_blocks(n, stage.next);
    }
    double begin = n->profile ? stage_clock(n) : 0;
    run(n, stage_part, &stage, reduces ? op->items(n->graph, node) : blocks);
    if (n->profile)
        n->profile[i][which] += stage_clock(n) - begin - stage.gathered;
    if (n->profile && stage.gather)
        n->profile[next][gathers] += stage.gathered;
    return stage.gather != NULL;
}

static void run_stage(struct net *n, int i, enum net_stage which)
{
    run_stages(n, i, which, -1, which);
}

real *net_input(struct net *n)
{
    return n->step.x[n->graph->input];
}

real *net_input_gradient(struct net *n)
{
    return n->step.g[n->graph->input];
}

int net_blocks(const struct net *n)
{
    return n->plan.blocks;
}

/* The position after this one where something runs; -1: none. */
static int next_forward(const struct net *n, int turn)
{
    while (++turn < n->turns) {
        int i = n->plan.runs[turn];
        if (i >= 0 && !plan_is_alias(&n->plan, &n->graph->node[i]) &&
            shape_count(&n->graph->value[n->graph->node[i].output[0]].shape))
            return turn;
    }
    return -1;
}

/* From that position on. */
static void forward(struct net *n, int turn)
{
    bool gathered = false;
    while (turn >= 0) {
        int i = n->plan.runs[turn], next = next_forward(n, turn);
        if (!gathered)
            run_stage(n, i, NET_FORWARD_GATHER);
        run_stage(n, i, NET_FORWARD_REDUCE);
        gathered = run_stages(n, i, NET_FORWARD, next < 0 ? -1 : n->plan.runs[next], NET_FORWARD_GATHER);
        n->done = turn;
        turn = next;
    }
}

void net_forward(struct net *n, int samples, bool training, uint64_t tick)
{
    struct step *s = &n->step;
    assert(samples >= 1 && samples <= n->plan.blocks * LANES && (n->train || !training));
    s->samples = samples;
    s->blocks = (samples + LANES - 1) / LANES;
    s->training = training;
    s->tick = tick;
    forward(n, next_forward(n, -1));
}

void net_continue(struct net *n)
{
    forward(n, next_forward(n, n->done));
}

const real *net_output(const struct net *n, int index)
{
    return n->step.x[n->graph->output[index]];
}

real *net_output_gradient(struct net *n, int index)
{
    return n->step.g[n->graph->output[index]];
}

/* Memory to set to zero, cut into equal parts. */
struct zeroing {
    real *at;
    size_t part;
};

static void zero_part(void *arg, int lo, int hi, int thread)
{
    const struct zeroing *z = arg;
    (void)thread;
    memset(z->at + (size_t)lo * z->part, 0, (size_t)(hi - lo) * z->part * sizeof *z->at);
}

/* Does a gradient arrive at one of its outputs, or at the end of its tail? */
static bool has_gradient(const struct net *n, int i)
{
    const struct node *node = &n->graph->node[i];
    for (int k = 0; k < node->outputs; k++) {
        int v = k ? node->output[k] : n->plan.tail[i].out;
        if (n->step.g[v] && shape_count(&n->graph->value[v].shape))
            return true;
    }
    return false;
}

/* The position before this one where something goes backward; -1: none. */
static int next_backward(const struct net *n, int turn)
{
    while (--turn >= 0) {
        int i = n->plan.runs[turn];
        if (i >= 0 && has_gradient(n, i) && !plan_is_alias(&n->plan, &n->graph->node[i]))
            return turn;
    }
    return -1;
}

/* What the node at this position makes, when net_meet is to see its gradient; -1. */
static int met_value(const struct net *n, int turn)
{
    const struct node *node = turn < 0 ? NULL : &n->graph->node[n->plan.runs[turn]];
    if (!n->meet || !node || node->op->weight < 0)
        return -1;
    return net_value(n, node->output[0]) && net_gradient(n, node->output[0]) ? node->output[0] : -1;
}

void net_backward(struct net *n)
{
    assert(n->train && n->step.blocks);
    run(n, zero_part, &(struct zeroing){ n->gradients, LANES }, (int)(n->plan.gradients / LANES));
    bool gathered = false;
    for (int turn = next_backward(n, n->graph->nodes); turn >= 0;) {
        int i = n->plan.runs[turn], next = next_backward(n, turn), value = met_value(n, turn);
        if (value >= 0)
            n->meet(n->meet_arg, value);
        if (!gathered)
            run_stage(n, i, NET_BACKWARD_GATHER);
        run_stage(n, i, NET_BACKWARD_PREPARE);
        run_stage(n, i, NET_BACKWARD_REDUCE);
        bool alone = next < 0 || met_value(n, next) >= 0; /* that gradient isn't complete yet */
        gathered = run_stages(n, i, NET_BACKWARD, alone ? -1 : n->plan.runs[next], NET_BACKWARD_GATHER);
        turn = next;
    }
}

real *net_gradients(struct net *n)
{
    return n->gradients;
}

const real *net_value(const struct net *n, int value)
{
    int root = n->plan.root[value], last = n->plan.runs[n->done];
    bool stopped = n->turns < n->graph->nodes && n->graph->value[value].producer == last;
    return stopped || n->plan.lasting[root] || n->watched[root] ? n->step.x[value] : NULL;
}

real *net_gradient(const struct net *n, int value)
{
    return n->step.g[value];
}

void net_meet(struct net *n, net_meet_fn *meet, void *arg)
{
    assert(n->train && n->hints);
    n->meet = meet;
    n->meet_arg = arg;
}

void net_stop(struct net *n, int value)
{
    for (int turn = 0; turn < n->graph->nodes; turn++)
        if (n->plan.runs[turn] == n->graph->value[value].producer)
            n->turns = turn + 1;
}

void net_profile(struct net *n, double (*seconds)[NET_STAGES])
{
    n->profile = seconds;
}
