/* span_need.c - backwards: how low a bit may be, and which numbers matter; and what has come of it. */
#include "worker/quant/span_parts.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

static void ask(struct spans *s, const struct node *n, int64_t c, const struct span *asked)
{
    for (int k = 0; k < n->inputs; k++) {
        const int v = n->input[k];
        if (v < 0 || !s->at[v])
            continue;
        const bool own = span_own(s->graph, n) || span_how(n) == SPAN_ADD;
        for (int64_t i = own ? c : 0; i < (own ? c + 1 : span_channels(s->graph, v)); i++) {
            struct span *a = &s->at[v][i];
            a->need = asked->need > a->need ? asked->need : a->need;
            a->under = fmin(a->under, asked->under);
            a->over = fmax(a->over, asked->over);
        }
    }
}

/* Of the sum of a mean, as a part of it. Where nothing is negative, a sum that is cut off may round: it only
 * grows. */
static double mean_most(const struct span *a)
{
    return a->low >= 0 ? fmin(a->most, a->over) : a->most;
}

/* What channel c of the output asks of the inputs. */
static struct span asked(const struct spans *s, const struct node *n, int64_t c)
{
    const struct span y = s->at[n->output[0]][c];
    double ends[2], step;
    struct span a = { .under = -INFINITY, .over = INFINITY, .need = y.need };

    switch (span_how(n)) {
    case SPAN_QUANTIZER: /* a code further off, and it is cut off whatever was rounded */
        step = span_step(s->graph, (int)(n - s->graph->node));
        a.under = y.low - step;
        a.over = y.high + step;
        a.need = span_exponent(step) - SPAN_RATIO;
        break;
    case SPAN_CLIP:
        span_clip(s->graph, n, ends);
        a.under = fmax(y.under, ends[0]);
        a.over = fmin(y.over, ends[1]);
        break;
    case SPAN_MOVE:
        a.under = y.under;
        a.over = y.over;
        break;
    case SPAN_MEAN:
        a.over = y.low >= 0 ? y.over * span_taken(s->graph, n) : INFINITY;
        a.need += span_exponent(span_taken(s->graph, n));
        break;
    default:
        break;
    }
    return a;
}

/* What an output needs for itself. A sum of two that is cut off may round, for it keeps its side. */
static double own_most(const struct node *n, const struct span *a)
{
    switch (span_how(n)) {
    case SPAN_LAYER:
    case SPAN_QUANTIZER:
        return a->most;
    case SPAN_ADD:
        return n->inputs > 2 ? a->most : fmax(fmin(a->high, a->over), fmin(-a->low, -a->under));
    case SPAN_MEAN:
        return mean_most(a);
    default:
        return 0; /* numbers that were there before */
    }
}

static void ask_back(struct spans *s, const struct node *n)
{
    const int y = n->output[0];

    for (int64_t c = 0; c < span_channels(s->graph, y); c++) {
        struct span *a = &s->at[y][c];
        const double most = own_most(n, a);
        if (most > 0 && span_exponent(most) - SPAN_BITS > a->need)
            a->need = span_exponent(most) - SPAN_BITS;
        if (span_how(n) != SPAN_LAYER) {
            const struct span back = asked(s, n, c);
            ask(s, n, c, &back);
        }
    }
}

static void set_ends(struct spans *s, int v, double under, double over)
{
    for (int64_t c = 0; v >= 0 && s->at[v] && c < span_channels(s->graph, v); c++) {
        s->at[v][c].need = ANY_BIT;
        s->at[v][c].under = under;
        s->at[v][c].over = over;
    }
}

/* Nothing is asked yet; what leaves the network, or goes into a node that rounds, is not cut off. */
static void open_ends(struct spans *s)
{
    const struct graph *g = s->graph;

    for (int v = 0; v < g->values; v++)
        set_ends(s, v, INFINITY, -INFINITY);
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; !s->known[g->node[i].output[0]] && k < g->node[i].inputs; k++)
            set_ends(s, g->node[i].input[k], -INFINITY, INFINITY);
    for (int i = 0; i < g->outputs; i++)
        set_ends(s, g->output[i], -INFINITY, INFINITY);
}

void spans_measure(struct spans *s)
{
    const struct graph *g = s->graph;

    for (int i = 0; i < g->nodes; i++) {
        s->why[i] = NULL;
        s->known[g->node[i].output[0]] = span_measure(s, i);
    }
    open_ends(s);
    for (int i = g->nodes; i-- > 0;)
        if (s->known[g->node[i].output[0]])
            ask_back(s, &g->node[i]);
}

/* Is the bias whole multiples of the products, and these exact in a float? */
static bool bias_fits(const struct graph *g, const struct node *n, int64_t c, double unit)
{
    if (span_bias(n) < 0)
        return true;
    const struct value_codes *b = g->value[span_bias(n)].codes;
    return b && !b->planes && (double)b->scale[b->axis < 0 ? 0 : c] == unit;
}

bool spans_fit(const struct spans *s, int node)
{
    const struct graph *g = s->graph;
    const struct node *n = &g->node[node];
    const char *why;
    const int quantizer = span_how(n) == SPAN_LAYER ? span_layer(g, node, &why) : -1;

    if (!s->known[n->output[0]] || (span_how(n) == SPAN_LAYER && quantizer < 0))
        return false;
    for (int64_t c = 0; c < span_channels(g, n->output[0]); c++) {
        if (s->at[n->output[0]][c].bit < s->at[n->output[0]][c].need)
            return false;
        if (quantizer >= 0 && !bias_fits(g, n, c, span_unit(g, n, quantizer, c)))
            return false;
    }
    return true;
}

int spans_new(const struct graph *g, struct spans *s, struct err *e)
{
    *s = (struct spans){ .graph = g,
                         .at = mem_array((size_t)g->values, sizeof *s->at),
                         .known = mem_array((size_t)g->values, sizeof *s->known),
                         .why = mem_array((size_t)g->nodes + 1, sizeof *s->why) };
    bool room = s->at && s->known && s->why;

    for (int v = 0; room && v < g->values; v++)
        if (g->value[v].kind == VALUE_ACT || g->value[v].kind == VALUE_INPUT)
            room = (s->at[v] = mem_array((size_t)span_channels(g, v), sizeof **s->at)) != NULL;
    if (room)
        return 0;
    spans_free(s);
    return err_set(e, ERR_NOMEM, "out of memory");
}

void spans_free(struct spans *s)
{
    for (int v = 0; s->at && v < s->graph->values; v++)
        free(s->at[v]);
    free(s->at);
    free((void *)s->known);
    free((void *)s->why);
    *s = (struct spans){ 0 };
}
