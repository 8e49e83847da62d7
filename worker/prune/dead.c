#include "worker/prune/dead.h"

#include "base/mem.h"
#include "worker/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool all_zero(const struct graph *g, const struct unit_slice *s, int64_t unit)
{
    const struct unit_extent x = unit_extent(g, s, unit);

    for (int64_t o = 0; o < x.outer; o++)
        for (int64_t i = 0; i < x.inner; i++)
            if (g->param[x.first + (size_t)(o * x.step + i)] != 0)
                return false;
    return true;
}

static bool padded(const struct node *n)
{
    const struct attr *pads = node_attr(n, "pads"), *automatic = node_attr(n, "auto_pad");

    if (automatic && strcmp(automatic->s, "NOTSET") != 0 && strcmp(automatic->s, "VALID") != 0)
        return true;
    for (size_t i = 0; pads && i < pads->count; i++)
        if (pads->ints[i])
            return true;
    return false;
}

/* Does a constant pass this node as it is? */
static bool transparent(const struct node *n)
{
    return is(n, "MaxPool") || is(n, "GlobalMaxPool") || is(n, "GlobalAveragePool") || is(n, "Flatten") ||
           is(n, "Identity") || is(n, "Dropout") ||
           (is(n, "AveragePool") && (!padded(n) || !node_int(n, "count_include_pad", 0)));
}

/* What the unit's constant c is behind the node; false when it is not known here. */
static bool pass(const struct graph *g, const struct node *n, int64_t unit, double *c)
{
    if (transparent(n))
        return true;
    if (is(n, "Relu")) {
        *c = *c > 0 ? *c : 0;
        return true;
    }
    if (!is(n, "BatchNormalization"))
        return false;
    double p[4];
    for (int i = 0; i < 4; i++)
        p[i] = (double)g->param[g->value[n->input[i + 1]].offset + (size_t)unit];
    *c = p[0] * (*c - p[2]) / sqrt(p[3] + node_float(n, "epsilon", 1e-5)) + p[1];
    return true;
}

static int bias_of(const struct graph *g, const struct node *n)
{
    const int b = n->op->bias;

    return b >= 0 && b < n->inputs && n->input[b] >= 0 && g->value[n->input[b]].kind == VALUE_PARAM
               ? n->input[b]
               : -1;
}

/* Can every reader take a constant into its bias? */
static bool readers_fold(const struct graph *g, const struct units *u)
{
    for (int i = u->own; i < u->slices; i++) {
        const struct node *n = &g->node[u->slice[i].node];
        if (bias_of(g, n) < 0 || padded(n) || node_float(n, "alpha", 1) != 1 || node_float(n, "beta", 1) != 1)
            return false;
    }
    return true;
}

/* bias[o] += c * sum of the unit's weights in output o. */
static void fold(struct graph *g, const struct units *u, int64_t unit, double c)
{
    for (int i = u->own; i < u->slices; i++) {
        const struct unit_slice *s = &u->slice[i];
        const struct unit_extent x = unit_extent(g, s, unit);
        real *bias = g->param + g->value[bias_of(g, &g->node[s->node])].offset;
        const int64_t outputs = s->axis ? x.outer : x.inner / s->span;
        for (int64_t o = 0; o < outputs; o++) {
            double sum = 0;
            for (int64_t k = 0; k < (s->axis ? x.inner : s->span); k++)
                sum += (double)g->param[x.first + (size_t)(s->axis ? o * x.step + k : k * outputs + o)];
            bias[o] = (real)((double)bias[o] + c * sum);
        }
    }
}

static double bias_value(const struct graph *g, const struct units *u, int64_t unit)
{
    const int bias = bias_of(g, &g->node[u->node]);

    return bias < 0 ? 0 : (double)g->param[g->value[bias].offset + (size_t)unit];
}

/* May the unit go? Its constant has then been given to the readers. */
static bool bury(struct graph *g, const struct units *u, int64_t unit)
{
    bool unread = true;

    for (int i = u->own; i < u->slices; i++)
        unread &= all_zero(g, &u->slice[i], unit);
    if (unread)
        return true;
    if (u->forked || !all_zero(g, &u->slice[0], unit))
        return false;
    double c = bias_value(g, u, unit);
    for (int i = 0; i < u->path_length; i++)
        if (!pass(g, &g->node[u->path[i]], unit, &c))
            return false;
    if (c != 0 && !readers_fold(g, u))
        return false;
    if (c != 0)
        fold(g, u, unit, c);
    return true;
}

static int remove_from(struct graph *g, const struct units *u, int64_t *removed, struct err *e)
{
    bool *keep = mem_array((size_t)u->count, sizeof *keep);
    int64_t left = u->count;

    if (!keep)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < u->count; i++) {
        keep[i] = left == 1 || !bury(g, u, i);
        left -= !keep[i];
    }
    if (left < u->count)
        units_keep(g, u, keep);
    *removed += u->count - left;
    free(keep);
    return 0;
}

int dead_remove(struct graph *g, int64_t *removed, struct err *e)
{
    int64_t before = -1;
    int status = 0;

    *removed = 0;
    while (!status && before != *removed) {
        struct units *list = NULL;
        int count = 0;
        before = *removed;
        status = units_find(g, &list, &count, e);
        for (int i = 0; !status && i < count && before == *removed; i++)
            status = remove_from(g, &list[i], removed, e);
        free(list);
        if (!status && !g->finished)
            status = graph_finish(g, e);
    }
    return status;
}

int dead_fold_biases(struct graph *g, struct err *e)
{
    struct units *list = NULL;
    int count = 0;
    const int status = units_find(g, &list, &count, e);

    for (int i = 0; !status && i < count; i++) {
        const struct units *u = &list[i];
        const int bias = bias_of(g, &g->node[u->node]);
        bool clear = bias >= 0 && !u->forked && readers_fold(g, u);
        for (int k = 0; k < u->path_length; k++)
            clear &= transparent(&g->node[u->path[k]]);
        for (int64_t unit = 0; clear && unit < u->count; unit++) {
            real *b = g->param + g->value[bias].offset + unit;
            fold(g, u, unit, (double)*b);
            *b = 0;
        }
    }
    free(list);
    return status;
}
