/* graph_resize.c - the same network for samples of another size. */
#include "worker/graph/graph.h"

int graph_set_input(struct graph *g, const struct shape *sample, struct err *e)
{
    const struct shape before = g->value[g->input].shape;

    if (g->finished && shape_equal(&before, sample))
        return 0;
    g->value[g->input].shape = *sample;
    const int status = graph_finish(g, e);
    if (status == 0)
        return 0;
    g->value[g->input].shape = before;
    return graph_finish(g, NULL) == 0 ? status : ERR_INTERNAL;
}
