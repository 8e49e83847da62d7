/* mark.c - who is doomed: ranks of single weights or of groups, over the network or layer by layer. */
#include "worker/prune/lamp.h"
#include "worker/prune/prune.h"
#include "worker/prune/rank.h"

#include <math.h>
#include <stdlib.h>

static size_t group_count(const struct prune_weight *w, enum prune_structure s)
{
    return s == PRUNE_SINGLE ? w->count : s == PRUNE_ROWS ? w->rows : w->columns;
}

static size_t group_of(const struct prune_weight *w, enum prune_structure s, size_t i)
{
    if (s == PRUNE_SINGLE)
        return i;
    if (w->turned)
        return s == PRUNE_ROWS ? i % w->rows : i / w->rows;
    return s == PRUNE_ROWS ? i / (w->columns * w->inner) : i / w->inner % w->columns;
}

/* May this layer lose groups at all? */
static bool may_lose(const struct prune_weight *w, enum prune_structure s)
{
    return s == PRUNE_SINGLE || (group_count(w, s) > 1 && !(s == PRUNE_ROWS && w->last));
}

/* The layer's scores into score[groups]: magnitude, or root mean square of a group. */
static void rate(const struct prune_weight *w, const struct graph *g, enum prune_structure s, float *score)
{
    const real *x = g->param + w->offset;
    const size_t groups = group_count(w, s);

    if (s == PRUNE_SINGLE) {
        for (size_t i = 0; i < w->count; i++)
            score[i] = (float)real_fabs(x[i]);
        return;
    }
    for (size_t i = 0; i < groups; i++)
        score[i] = 0;
    for (size_t i = 0; i < w->count; i++)
        score[group_of(w, s, i)] += (float)(x[i] * x[i]);
    for (size_t i = 0; i < groups; i++)
        score[i] = sqrtf(score[i] * (float)groups / (float)w->count);
}

/* Doom the groups whose scores are below value, and the first *ties of those equal to it. A layer never
 * loses its last group of a structure. score becomes negative for the doomed. */
static int64_t doom(struct prune_weight *w, enum prune_structure s, float *score, float value, size_t *ties)
{
    const size_t groups = group_count(w, s);
    size_t best = 0;
    int64_t marked = 0;

    for (size_t i = 1; i < groups; i++)
        best = score[i] > score[best] ? i : best;
    for (size_t i = 0; i < groups; i++) {
        const bool tie = score[i] == value && *ties;
        *ties -= tie;
        if ((tie || score[i] < value) && (s == PRUNE_SINGLE || i != best))
            score[i] = -1;
    }
    for (size_t i = 0; i < w->count; i++) {
        w->doomed[i] = score[group_of(w, s, i)] < 0;
        marked += w->doomed[i];
    }
    return marked;
}

static void spare(struct prune_weight *w)
{
    for (size_t i = 0; i < w->count; i++)
        w->doomed[i] = 0;
}

/* One layer of its own, or all layers that have no sparsity of their own? */
static bool within(const struct prune_weight *w, int layers)
{
    return layers == 1 || w->sparsity < 0;
}

/* Weights of one scope, among [first, end): as many groups as the share says. In a structure the groups of a
 * scope differ in size, but the share is that of groups: their scores are means, so that size says nothing.
 */
static int64_t mark_scope(struct prune *p, const struct graph *g, int first, int end, double share)
{
    const enum prune_structure s = p->rule.structure;
    size_t groups = 0, ties;
    int64_t marked = 0;
    float value;

    for (int i = first; i < end; i++)
        if (within(&p->weight[i], end - first) && may_lose(&p->weight[i], s)) {
            rate(&p->weight[i], g, s, p->rank + groups);
            if (p->rule.scope == PRUNE_ADAPTIVE)
                lamp_scores(p->rank + groups, group_count(&p->weight[i], s), p->order);
            groups += group_count(&p->weight[i], s);
        }
    rank_smallest(p->rank, groups, (size_t)(share * (double)groups), &value, &ties);
    groups = 0;
    for (int i = first; i < end; i++) {
        struct prune_weight *w = &p->weight[i];
        if (!within(w, end - first))
            continue;
        if (!may_lose(w, s)) {
            spare(w);
            continue;
        }
        marked += doom(w, s, p->rank + groups, value, &ties);
        groups += group_count(w, s);
    }
    return marked;
}

void prune_mark(struct prune *p, const struct graph *g, double part)
{
    p->marked = 0;
    if (p->rule.scope != PRUNE_LAYER)
        p->marked = mark_scope(p, g, 0, p->weights, part * p->rule.sparsity);
    for (int i = 0; i < p->weights; i++) {
        const double own = p->weight[i].sparsity;
        if (p->rule.scope == PRUNE_LAYER || own >= 0)
            p->marked += mark_scope(p, g, i, i + 1, part * (own < 0 ? p->rule.sparsity : own));
    }
}
