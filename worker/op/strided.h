/* strided.h - copying between two layouts of the same numbers: each dimension has a step on either side.
 * Transpose, Slice, Pad, Concat and ReduceMean are this and a setup. Steps and bases count features (LANES
 * numbers each). */
#ifndef WORKER_OP_STRIDED_H
#define WORKER_OP_STRIDED_H

#include "worker/graph/graph.h"

struct strided {
    int rank;
    int64_t dim[GRAPH_RANK];
    ptrdiff_t from[GRAPH_RANK], to[GRAPH_RANK]; /* steps; 0 reads or writes the same feature again */
    ptrdiff_t from_base, to_base;
};

void strided_steps(const struct shape *s, ptrdiff_t step[GRAPH_RANK]);               /* row-major */
void strided_copy(const struct strided *s, const real *from, real *to);              /* to = from */
void strided_push(const struct strided *s, const real *from, real *to, real factor); /* to += factor * from */
void strided_pull(const struct strided *s, real *from, const real *to, real factor); /* from += factor * to */

#endif
