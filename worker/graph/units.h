/* units.h - output channels and hidden units that stand alone: whoever removes one of them, or changes their
 * order, knows every parameter that has to follow.
 *
 *      conv1 ──► [BatchNormalization] ──► Relu ──► MaxPool ──► conv2
 *      weight[u] bias[u]   4 x [u]                              weight[:, u]
 *
 * A layer's units are listed when everything between it and the layers that read it works on each channel by
 * itself. Channels that are added to others, joined, or counted in groups are not. */
#ifndef WORKER_GRAPH_UNITS_H
#define WORKER_GRAPH_UNITS_H

#include "worker/graph/graph.h"

enum { UNIT_SLICES = 24, UNIT_PATH = 24 };

/* Of this parameter, unit u owns the elements [u * span, (u + 1) * span) along the axis. */
struct unit_slice {
    int value, axis;
    int64_t span;
    int node; /* that reads it */
};

struct units {
    int node; /* the layer that makes them */
    int64_t count;
    struct unit_slice slice[UNIT_SLICES]; /* first its own: weight, then bias and normalization */
    int own, slices;                      /* behind `own`: weights of the layers that read the units */
    int path[UNIT_PATH], path_length;     /* the nodes between, in order of execution */
    bool forked;                          /* the readers stand behind different parts of the path */
};

/* All such layers of a finished graph, in its order. free(*list). */
int units_find(const struct graph *g, struct units **list, int *count, struct err *e);

/* Where the elements of one unit lie in graph->param. */
struct unit_extent {
    int64_t outer, inner, step; /* outer pieces of inner numbers each, their starts step apart */
    size_t first;
};
struct unit_extent unit_extent(const struct graph *g, const struct unit_slice *s, int64_t unit);

/* The units' number becomes that of keep[count] that are true (at least one); the graph must be finished
 * again. A hollow graph changes its shapes alone. Parameters keep their places: gaps stay between them. */
void units_keep(struct graph *g, const struct units *u, const bool *keep);

/* The same for the first `count` units; false, and nothing is changed, when there are not so many (or no
 * memory). */
bool units_keep_first(struct graph *g, const struct units *u, int64_t count);

#endif
