#include "worker/bench_layers.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <stdio.h>
#include <stdlib.h>

struct bench_layers {
    struct net *net;
    const struct graph *graph;
    double (*now)[NET_STAGES], (*best)[NET_STAGES]; /* seconds, per node */
};

struct bench_layers *bench_layers_new(struct net *net, const struct graph *g)
{
    struct bench_layers *l = mem_alloc(sizeof *l);
    if (!l)
        return NULL;
    *l = (struct bench_layers){ .net = net, .graph = g };
    l->now = mem_array((size_t)g->nodes, sizeof *l->now);
    l->best = mem_array((size_t)g->nodes, sizeof *l->best);
    if (!l->now || !l->best) {
        bench_layers_free(l);
        return NULL;
    }
    for (int i = 0; i < g->nodes; i++)
        for (int s = 0; s < NET_STAGES; s++)
            l->best[i][s] = INFINITY;
    net_profile(net, l->now);
    return l;
}

void bench_layers_free(struct bench_layers *l)
{
    if (!l)
        return;
    net_profile(l->net, NULL);
    free(l->now);
    free(l->best);
    free(l);
}

/* What is gathered block by block belongs to the sums. */
static void join_gathers(double seconds[NET_STAGES])
{
    seconds[NET_FORWARD_REDUCE] += seconds[NET_FORWARD_GATHER];
    seconds[NET_BACKWARD_REDUCE] += seconds[NET_BACKWARD_GATHER];
    seconds[NET_FORWARD_GATHER] = seconds[NET_BACKWARD_GATHER] = 0;
}

static bool is_printed(int stage)
{
    return stage != NET_FORWARD_GATHER && stage != NET_BACKWARD_GATHER;
}

void bench_layers_step(struct bench_layers *l)
{
    for (int i = 0; i < l->graph->nodes; i++) {
        join_gathers(l->now[i]);
        for (int s = 0; s < NET_STAGES; s++) {
            l->best[i][s] = l->now[i][s] < l->best[i][s] ? l->now[i][s] : l->best[i][s];
            l->now[i][s] = 0;
        }
    }
}

/* "1.234", and where `flops` are done in it "1.234 (0.91)". */
static void print_stage(double seconds, double flops, double peak)
{
    if (seconds <= 0)
        printf(" %15s", "-");
    else if (flops > 0)
        printf(" %8.3f (%4.2f)", seconds * 1e3, flops / seconds * 1e-9 / peak);
    else
        printf(" %8.3f       ", seconds * 1e3);
}

/* Of an operator with weights the reduce stage of backward makes their gradient, the other the data's. */
static void print_times(const double seconds[NET_STAGES], double flops, double peak)
{
    double sum = 0;
    for (int s = 0; s < NET_STAGES; s++) {
        if (is_printed(s))
            print_stage(seconds[s], s == NET_FORWARD_REDUCE || s == NET_BACKWARD_PREPARE ? 0 : flops, peak);
        sum += seconds[s];
    }
    printf(" %8.3f\n", sum * 1e3);
}

static double flops_of(const struct graph *g, const struct node *n, int batch)
{
    return n->op->macs ? 2.0 * (double)n->op->macs(g, n) * batch : 0;
}

static void print_operators(const struct bench_layers *l, int batch, double peak)
{
    for (int k = 0; op_list[k]; k++) {
        double seconds[NET_STAGES] = { 0 }, flops = 0;
        int count = 0;
        for (int i = 0; i < l->graph->nodes; i++) {
            const struct node *n = &l->graph->node[i];
            if (n->op != op_list[k])
                continue;
            flops += flops_of(l->graph, n, batch);
            for (int s = 0; s < NET_STAGES; s++)
                seconds[s] += l->best[i][s];
            count++;
        }
        if (!count)
            continue;
        printf("all %-24.24s x%-14d", op_list[k]->name, count);
        print_times(seconds, flops, peak);
    }
}

void bench_layers_print(const struct bench_layers *l, int batch, double peak)
{
    printf("%-28s %-15s %15s %15s %15s %15s %15s %8s\n", "node", "operator", "forward sums", "forward",
           "backward first", "backward sums", "backward", "ms");
    for (int i = 0; i < l->graph->nodes; i++) {
        const struct node *n = &l->graph->node[i];
        printf("%-28.28s %-15.15s", n->name, n->op->name);
        print_times(l->best[i], flops_of(l->graph, n, batch), peak);
    }
    print_operators(l, batch, peak);
}
