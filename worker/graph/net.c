#include "worker/graph/net.h"

#include "base/clock.h"
#include "base/mem.h"
#include "worker/graph/plan.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"

#include <assert.h>
#include <stdlib.h>

struct net {
    struct graph *graph;
    struct plan plan;
    struct pool *pool; /* borrowed; NULL: the caller's thread alone */
    struct step step;  /* its pointer tables are owned */
    char *arena, *scratch;
    real *gradients, *constants;
    uint32_t *zero; /* per node: inputs whose gradients its backward starts, but can\'t write; owned */
    real **watched; /* per value: own memory of a watched root, owned */
    double (*profile)[NET_STAGES]; /* borrowed, NULL: nobody asks */
    int turns;                     /* of a forward pass: the plan's, or as many as net_stop left */
    int done;                      /* the last one that ran */
    bool train;
};

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

void net_backward(struct net *n)
{
    assert(n->train && n->step.blocks);
    run(n, zero_part, &(struct zeroing){ n->gradients, LANES }, (int)(n->plan.gradients / LANES));
    bool gathered = false;
    for (int turn = next_backward(n, n->graph->nodes); turn >= 0;) {
        int i = n->plan.runs[turn], next = next_backward(n, turn);
        if (!gathered)
            run_stage(n, i, NET_BACKWARD_GATHER);
        run_stage(n, i, NET_BACKWARD_PREPARE);
        run_stage(n, i, NET_BACKWARD_REDUCE);
        gathered = run_stages(n, i, NET_BACKWARD, next < 0 ? -1 : n->plan.runs[next], NET_BACKWARD_GATHER);
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
