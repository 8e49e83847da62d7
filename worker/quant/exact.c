#include "worker/quant/exact.h"

#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/quant/quant.h"
#include "worker/quant/span.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEP_BITS = 4,    /* most of an activation's step: 1 / step brings halves back to halves, in doubles, for
                         any odd number below 16 */
    SCALE_BITS = 12,  /* most of a scale: more changes nothing */
    SPARED_BITS = 4,  /* left to scales, before steps get a second bit */
    MANY_CODES = 64,  /* a coarser step costs these less than values beyond the last one do */
    MOST_COARSE = 40, /* a scale this many powers of two larger leaves nothing of a weight */
    PASSES = 12       /* other scales have other worst cases, which may need a power of two more */
};

/* What rounding may add to the squares of a layer's weights, as a share of them; else it stays as it was. */
#define MOST_ERROR 0.01

/* A layer as it came. */
struct plan {
    int node, quantizer;     /* quantizer -1: left alone */
    struct value_codes *was; /* owned */
    real *bias;              /* owned; NULL: it has none */
    int *need;               /* owned, [output]: exponents, only growing */
    double *error, *square;  /* owned, [output]: of the weights, in their own unit */
};

struct exact {
    struct graph *g;
    struct spans spans;
    struct plan *plan;
    int plans;
};

static const struct node *node_of(const struct exact *x, const struct plan *p)
{
    return &x->g->node[p->node];
}

static struct value *weight_of(const struct exact *x, const struct plan *p)
{
    const struct node *n = node_of(x, p);

    return &x->g->value[n->input[n->op->weight]];
}

static struct value *bias_of(const struct exact *x, const struct plan *p)
{
    const struct node *n = node_of(x, p);
    const int at = n->op->bias >= 0 && n->op->bias < n->inputs ? n->input[n->op->bias] : -1;

    return at < 0 ? NULL : &x->g->value[at];
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

static void plan_free(struct plan *p)
{
    value_codes_free(p->was);
    free(p->bias);
    free(p->need);
    free(p->error);
    free(p->square);
}

static int plan_new(struct exact *x, int node, struct err *e)
{
    const char *why;
    struct plan *p = &x->plan[x->plans];

    *p = (struct plan){ .node = node, .quantizer = span_layer(x->g, node, &why) };
    if (p->quantizer < 0)
        return 0;
    const struct value *w = weight_of(x, p), *b = bias_of(x, p);
    const size_t outputs = (size_t)span_rows(x->g, node_of(x, p)).outputs;
    x->plans++;
    p->was = value_codes_copy(w->codes, (size_t)shape_count(&w->shape));
    p->bias = b ? mem_array(outputs, sizeof *p->bias) : NULL;
    p->need = mem_array(outputs, sizeof *p->need);
    p->error = mem_array(outputs, sizeof *p->error);
    p->square = mem_array(outputs, sizeof *p->square);
    if (!p->was || (b && !p->bias) || !p->need || !p->error || !p->square)
        return no_memory(e);
    if (b)
        memcpy(p->bias, x->g->param + b->offset, outputs * sizeof *p->bias);
    for (size_t c = 0; c < outputs; c++)
        p->need[c] = INT16_MIN;
    return 0;
}

/* --- steps --- */

/* The nearest multiple of a power of two with so many bits; where it is one bit and codes are many, the next
 * one above, since values beyond the last code would cost more than coarser codes. */
static double rounded_step(double step, int bits, bool many)
{
    const double grid = ldexp(1, span_exponent(step) - bits);
    const double below = floor(step / grid) * grid, above = ceil(step / grid) * grid;

    if (bits == 1 && many)
        return step > below * 1.0625 ? above : below;
    return step * step < below * above ? below : above;
}

/* How many bits step and scale may have together in a layer, on average over its outputs. */
static double room_of(const struct exact *x, const struct plan *p)
{
    const int y = node_of(x, p)->output[0];
    const int64_t outputs = span_channels(x->g, y);
    double bits = 0;

    for (int64_t c = 0; c < outputs; c++) {
        const double scale = (double)p->was->scale[p->was->axis < 0 ? 0 : c];
        bits += log2(span_step(x->g, p->quantizer) * scale) - x->spans.at[y][c].need;
    }
    return bits / (double)outputs;
}

/* All quantizers, by the layers that read them; `room` is for each node. */
static int choose_steps(struct exact *x, struct err *e)
{
    double *room = mem_array((size_t)x->g->nodes + 1, sizeof *room);

    if (!room)
        return no_memory(e);
    for (int i = 0; i < x->g->nodes; i++)
        room[i] = strcmp(x->g->node[i].op->name, "QuantdFakeQuant") == 0 && !x->spans.why[i] ? STEP_BITS : 0;
    for (const struct plan *p = x->plan; p < x->plan + x->plans; p++) {
        const double bits = fmax(room_of(x, p) - SPARED_BITS, 1);
        room[p->quantizer] = fmin(room[p->quantizer], bits);
    }
    for (int i = 0; i < x->g->nodes; i++) {
        const struct node *n = &x->g->node[i];
        const bool many = node_int(n, "high", 0) - node_int(n, "low", 0) >= MANY_CODES;
        if (room[i] > 0)
            x->g->param[x->g->value[n->input[1]].offset] =
                (real)rounded_step(span_step(x->g, i), (int)room[i], many);
    }
    free(room);
    return 0;
}

/* --- scales --- */

/* Squares of what the weights of an output change by, with their codes or with codes anew. */
static double changed(const struct plan *p, const struct span_rows *r, int64_t c, double was, double is,
                      bool anew)
{
    double sum = 0;

    for (int64_t i = 0; i < r->each; i++) {
        const double code = p->was->code[c * r->next + i * r->step];
        const double d = code * was - (anew ? rint(code * was / is) : code) * is;
        sum += d * d;
    }
    return sum;
}

/* The scale of output c, a multiple of 2^grid, and its codes. */
static void round_scale(struct plan *p, const struct span_rows *r, int64_t c, int grid,
                        struct value_codes *to)
{
    const double was = (double)p->was->scale[p->was->axis < 0 ? 0 : c];
    const int least = span_exponent(was) - SCALE_BITS, most = span_exponent(was) + MOST_COARSE;
    const double unit = ldexp(1, grid < least ? least : grid > most ? most : grid);
    const double nearest = fmax(rint(was / unit), 1) * unit, above = fmax(ceil(was / unit), 1) * unit;
    const double keep = changed(p, r, c, was, nearest, false), anew = changed(p, r, c, was, above, true);
    const double is = anew < keep ? above : nearest;

    to->scale[c] = (float)is;
    p->error[c] = anew < keep ? anew : keep;
    p->square[c] = changed(p, r, c, was, 0, false);
    for (int64_t i = 0; i < r->each; i++) {
        const int64_t at = c * r->next + i * r->step;
        const double code = p->was->code[at];
        to->code[at] = (int32_t)(anew < keep ? rint(code * was / is) : code);
    }
}

static int set_codes(struct exact *x, struct plan *p, struct value_codes *c, struct err *e)
{
    struct value *w = weight_of(x, p), *b = bias_of(x, p);

    if (!c)
        return no_memory(e);
    value_codes_free(w->codes);
    w->codes = c;
    value_codes_numbers(c, &w->shape, x->g->param + w->offset);
    if (b) {
        memcpy(x->g->param + b->offset, p->bias, (size_t)shape_count(&b->shape) * sizeof *p->bias);
        value_codes_free(b->codes);
        b->codes = NULL;
    }
    return quant_bias_codes(x->g, node_of(x, p), e);
}

static int round_scales(struct exact *x, struct plan *p, struct err *e)
{
    const struct value *w = weight_of(x, p);
    const struct span_rows r = span_rows(x->g, node_of(x, p));
    const int bit = span_last_bit(span_step(x->g, p->quantizer));
    const struct value_codes like = { .bits = p->was->bits, .axis = r.axis, .channels = r.outputs };
    struct value_codes *c = value_codes_new(&like, (size_t)shape_count(&w->shape));

    for (int64_t o = 0; c && o < r.outputs; o++)
        round_scale(p, &r, o, p->need[o] - bit, c);
    return set_codes(x, p, c, e);
}

/* Is too much lost? An output that says little may change more than one that says much. */
static bool too_coarse(const struct exact *x, const struct plan *p)
{
    const int64_t outputs = span_rows(x->g, node_of(x, p)).outputs;
    double all = 0;
    bool bad = false;

    for (int64_t c = 0; c < outputs; c++)
        all += p->square[c];
    for (int64_t c = 0; c < outputs; c++)
        bad |= !(p->error[c] <= MOST_ERROR * fmax(p->square[c], all / (double)outputs));
    return bad;
}

/* What sums need by now; false: nothing new. */
static bool needs_grow(struct exact *x)
{
    bool grown = false;

    spans_measure(&x->spans);
    for (struct plan *p = x->plan; p < x->plan + x->plans; p++) {
        const int y = node_of(x, p)->output[0];
        for (int64_t c = 0; c < span_channels(x->g, y); c++) {
            const int need = x->spans.at[y][c].need;
            grown |= need > p->need[c];
            p->need[c] = need > p->need[c] ? need : p->need[c];
        }
    }
    return grown;
}

static int choose_scales(struct exact *x, struct err *e)
{
    int status = 0;

    for (int i = 0; i < PASSES && !status && needs_grow(x); i++)
        for (int k = 0; k < x->plans && !status; k++)
            status = round_scales(x, &x->plan[k], e);
    for (struct plan *p = x->plan; p < x->plan + x->plans && !status; p++)
        if (too_coarse(x, p)) {
            const size_t count = (size_t)shape_count(&weight_of(x, p)->shape);
            status = set_codes(x, p, value_codes_copy(p->was, count), e);
        }
    return status;
}

/* --- what has come of it --- */

/* Has what goes into this node been told of? */
static bool follows(const struct exact *x, const struct node *n)
{
    for (int k = 0; k < n->inputs; k++) {
        const int from = n->input[k] < 0 ? -1 : x->g->value[n->input[k]].producer;
        if (from >= 0 && !spans_fit(&x->spans, from))
            return true;
    }
    return false;
}

static void tell(const struct exact *x, struct exact_report *r, int node)
{
    const struct node *n = &x->g->node[node];
    const char *why = x->spans.why[node];

    if (!why && (!x->spans.known[n->output[0]] || (n->op->weight < 0 && follows(x, n))))
        return;
    r->faults++;
    if (r->tell)
        r->tell(r->of, n, why ? why : "its sums are too large for scales of so few bits");
}

int exact_scales(struct graph *g, struct exact_report *r, struct err *e)
{
    struct exact x = { .g = g, .plan = mem_array((size_t)g->nodes + 1, sizeof *x.plan) };
    int status = x.plan ? spans_new(g, &x.spans, e) : no_memory(e);

    for (int i = 0; i < g->nodes && !status; i++)
        if (g->node[i].op->weight >= 0)
            status = plan_new(&x, i, e);
    if (!status) {
        spans_measure(&x.spans);
        status = choose_steps(&x, e);
    }
    if (!status)
        status = choose_scales(&x, e);
    if (!status)
        spans_measure(&x.spans);
    r->layers = r->exact = r->faults = 0;
    for (int i = 0; i < g->nodes && !status; i++) {
        const bool fits = spans_fit(&x.spans, i), layer = g->node[i].op->weight >= 0;
        r->layers += layer;
        r->exact += layer && fits;
        if (!fits)
            tell(&x, r, i);
    }
    for (int i = 0; i < x.plans; i++)
        plan_free(&x.plan[i]);
    free(x.plan);
    if (x.spans.graph)
        spans_free(&x.spans);
    return status;
}
