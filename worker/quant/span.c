/* span.c - what operators make of spans, forwards. */
#include "worker/quant/span_parts.h"

#include <float.h>
#include <math.h>

static bool is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool has(const struct node *n, int input)
{
    return input >= 0 && input < n->inputs && n->input[input] >= 0;
}

/* The one number of an input; the setup of its operator has seen that it is one. */
static double number(const struct graph *g, const struct node *n, int input)
{
    const struct value *v = &g->value[n->input[input]];

    return v->kind == VALUE_PARAM ? (double)g->param[v->offset] : tensor_number(v->constant, 0);
}

int64_t span_channels(const struct graph *g, int value)
{
    const struct shape *s = &g->value[value].shape;

    return s->rank > 0 ? s->dim[0] : 1;
}

int span_last_bit(double x)
{
    int exponent;
    int64_t bits = (int64_t)ldexp(frexp(x, &exponent), 53);

    return exponent - 53 + (bits ? __builtin_ctzll((unsigned long long)bits) : 0);
}

int span_exponent(double x)
{
    int exponent;

    return frexp(fabs(x), &exponent) == 0.5 ? exponent - 1 : exponent;
}

/* Files come from strangers. */
static bool sane(double scale)
{
    return scale >= FLT_MIN && scale < 1e30;
}

static bool sane_step(const struct graph *g, int quantizer)
{
    const struct value *step = &g->value[g->node[quantizer].input[1]];

    return step->kind == VALUE_PARAM && shape_count(&step->shape) == 1 && sane(span_step(g, quantizer));
}

static bool sane_scales(const struct value_codes *c)
{
    for (int64_t i = 0; i < c->channels; i++)
        if (!sane((double)c->scale[i]))
            return false;
    return true;
}

double span_step(const struct graph *g, int quantizer)
{
    return (double)g->param[g->value[g->node[quantizer].input[1]].offset];
}

/* --- layers --- */

static bool turned(const struct node *n)
{
    return is(n, "MatMul") || (is(n, "Gemm") && !node_int(n, "transB", 0));
}

struct span_rows span_rows(const struct graph *g, const struct node *n)
{
    const struct shape *w = &g->value[n->input[n->op->weight]].shape;
    const int axis = turned(n) ? w->rank - 1 : 0;
    const int64_t outputs = w->dim[axis], each = shape_count(w) / outputs;

    return axis ? (struct span_rows){ outputs, each, 1, outputs, axis }
                : (struct span_rows){ outputs, each, each, 1, 0 };
}

int span_bias(const struct node *n)
{
    return has(n, n->op->bias) ? n->input[n->op->bias] : -1;
}

int span_layer(const struct graph *g, int node, const char **why)
{
    const struct node *n = &g->node[node];
    const struct value *w = &g->value[n->input[n->op->weight]], *y = &g->value[n->output[0]];
    const int quantizer = g->value[n->input[0]].producer, bias = span_bias(n);

    *why = NULL;
    if (!is(n, "Conv") && !is(n, "Gemm") && !is(n, "MatMul"))
        *why = "its way of adding up is not known to be exact";
    else if (w->kind != VALUE_PARAM || graph_only_reader(g, n->input[n->op->weight]) != node)
        *why = "its weights are not its own";
    else if (!w->codes)
        *why = "its weights are floating point";
    else if (w->codes->planes)
        *why = "its weights lie on a basis";
    else if (!sane_scales(w->codes))
        *why = "its scales are no positive numbers";
    else if (quantizer < 0 || !is(&g->node[quantizer], "QuantdFakeQuant") || !sane_step(g, quantizer))
        *why = "its input is not quantized by one step";
    else if (is(n, "Gemm") &&
             (node_int(n, "transA", 0) || node_float(n, "alpha", 1) != 1 || node_float(n, "beta", 1) != 1))
        *why = "it has factors of its own";
    else if (w->shape.rank < 2 || y->shape.rank != (is(n, "Conv") ? w->shape.rank - 1 : 1) ||
             span_channels(g, n->output[0]) != span_rows(g, n).outputs ||
             (w->codes->axis >= 0 && w->codes->axis != span_rows(g, n).axis))
        *why = "its outputs are not its channels";
    else if (bias >= 0 && (g->value[bias].kind != VALUE_PARAM || graph_only_reader(g, bias) != node ||
                           shape_count(&g->value[bias].shape) != span_rows(g, n).outputs))
        *why = "its bias is not its own";
    return *why ? -1 : quantizer;
}

/* The sums of one output over the codes: in all orders, from all inputs. */
static struct span of_output(const struct graph *g, const struct node *n, const struct node *quantizer,
                             int64_t c, double unit)
{
    const struct value_codes *w = g->value[n->input[n->op->weight]].codes;
    const struct span_rows r = span_rows(g, n);
    const double least = (double)node_int(quantizer, "low", 0),
                 largest = (double)node_int(quantizer, "high", 0);
    const double below = least < 0 ? -least : 0, above = largest > 0 ? largest : 0;
    double up = 0, down = 0, bias = 0;

    for (int64_t i = 0; i < r.each; i++) {
        const int32_t code = w->code[c * r.next + i * r.step];
        up += code > 0 ? code * above : -code * below;
        down += code > 0 ? code * below : -code * above;
    }
    if (span_bias(n) >= 0)
        bias = (double)g->param[g->value[span_bias(n)].offset + (size_t)c] / unit;
    const double most_up = up + fmax(bias, 0), most_down = down + fmax(-bias, 0);
    return (struct span){ .low = (bias - down) * unit,
                          .high = (bias + up) * unit,
                          .most = fmax(most_up, most_down) * unit,
                          .bit = span_last_bit(unit) };
}

double span_unit(const struct graph *g, const struct node *n, int quantizer, int64_t c)
{
    const struct value_codes *w = g->value[n->input[n->op->weight]].codes;

    return span_step(g, quantizer) * (double)w->scale[w->axis < 0 ? 0 : c];
}

static bool measure_layer(struct spans *s, int node)
{
    const struct graph *g = s->graph;
    const struct node *n = &g->node[node];
    const int quantizer = span_layer(g, node, &s->why[node]);

    if (quantizer < 0)
        return false;
    for (int64_t c = 0; c < span_channels(g, n->output[0]); c++)
        s->at[n->output[0]][c] = of_output(g, n, &g->node[quantizer], c, span_unit(g, n, quantizer, c));
    return true;
}

/* --- what operators make of spans --- */

bool span_own(const struct graph *g, const struct node *n)
{
    static const char *const mixing[] = { "Transpose", "Pad", "Concat", "ReduceMean", NULL };

    for (const char *const *op = mixing; *op; op++)
        if (is(n, *op))
            return false;
    return span_channels(g, n->input[0]) == span_channels(g, n->output[0]);
}

static struct span joined(struct span a, const struct span *b)
{
    a.low = fmin(a.low, b->low);
    a.high = fmax(a.high, b->high);
    a.most = fmax(a.most, b->most);
    a.bit = b->bit < a.bit ? b->bit : a.bit;
    return a;
}

static struct span all_of(const struct spans *s, const struct node *n)
{
    struct span all = { .low = INFINITY, .high = -INFINITY, .bit = -ANY_BIT };

    for (int k = 0; k < n->inputs; k++)
        for (int64_t c = 0;
             n->input[k] >= 0 && s->at[n->input[k]] && c < span_channels(s->graph, n->input[k]); c++)
            all = joined(all, &s->at[n->input[k]][c]);
    return all;
}

static struct span of_channel(const struct spans *s, const struct node *n, int64_t c)
{
    return span_own(s->graph, n) ? s->at[n->input[0]][c] : all_of(s, n);
}

/* The same numbers elsewhere; Pad's margins are multiples of everything as long as they
 * are zeros. */
static bool measure_moved(struct spans *s, int node)
{
    const struct node *n = &s->graph->node[node];

    if (is(n, "Pad") && has(n, 2) && number(s->graph, n, 2) != 0) {
        s->why[node] = "it pads with other numbers than 0";
        return false;
    }
    for (int64_t c = 0; c < span_channels(s->graph, n->output[0]); c++) {
        struct span *a = &s->at[n->output[0]][c];
        *a = of_channel(s, n, c);
        a->low = is(n, "Pad") ? fmin(a->low, 0) : a->low;
        a->high = is(n, "Pad") ? fmax(a->high, 0) : a->high;
    }
    return true;
}

void span_clip(const struct graph *g, const struct node *n, double ends[2])
{
    ends[0] = is(n, "Relu") ? 0 : node_float(n, "min", -INFINITY);
    ends[1] = node_float(n, "max", INFINITY);
    for (int i = 0; i < 2; i++)
        if (has(n, i + 1))
            ends[i] = number(g, n, i + 1);
}

static bool measure_clip(struct spans *s, int node)
{
    const struct node *n = &s->graph->node[node];
    double ends[2];

    span_clip(s->graph, n, ends);
    measure_moved(s, node);
    for (int64_t c = 0; c < span_channels(s->graph, n->output[0]); c++) {
        struct span *a = &s->at[n->output[0]][c];
        a->low = fmin(fmax(a->low, ends[0]), ends[1]);
        a->high = fmin(fmax(a->high, ends[0]), ends[1]);
        a->most = fmax(fabs(a->low), fabs(a->high));
        for (int i = 0; i < 2; i++)
            if (isfinite(ends[i]) && ends[i] != 0 && span_last_bit(ends[i]) < a->bit)
                a->bit = span_last_bit(ends[i]);
    }
    return true;
}

static bool measure_add(struct spans *s, int node)
{
    const struct graph *g = s->graph;
    const struct node *n = &g->node[node];
    const int y = n->output[0];

    for (int k = 0; k < n->inputs; k++)
        if (!s->at[n->input[k]] || !shape_equal(&g->value[n->input[k]].shape, &g->value[y].shape)) {
            s->why[node] = "it adds what is no activation of the same shape";
            return false;
        }
    for (int64_t c = 0; c < span_channels(g, y); c++) {
        struct span sum = { .bit = -ANY_BIT };
        for (int k = 0; k < n->inputs; k++) {
            const struct span *a = &s->at[n->input[k]][c];
            sum.low += a->low;
            sum.high += a->high;
            sum.most += fmax(fabs(a->low), fabs(a->high));
            sum.bit = a->bit < sum.bit ? a->bit : sum.bit;
        }
        s->at[y][c] = sum;
    }
    return true;
}

double span_taken(const struct graph *g, const struct node *n)
{
    const struct shape *x = &g->value[n->input[0]].shape, *y = &g->value[n->output[0]].shape;
    const struct attr *kernel = node_attr(n, "kernel_shape"), *pads = node_attr(n, "pads");
    double count = 1;

    if (!is(n, "AveragePool"))
        return (double)shape_count(x) / (double)shape_count(y);
    for (size_t i = 0; pads && i < pads->count; i++)
        if (pads->ints[i])
            return 0;
    for (size_t i = 0; kernel && i < kernel->count; i++)
        count *= (double)kernel->ints[i];
    return node_int(n, "ceil_mode", 0) || node_attr(n, "auto_pad") || !kernel ? 0 : count;
}

static bool measure_mean(struct spans *s, int node)
{
    const struct node *n = &s->graph->node[node];
    const double count = span_taken(s->graph, n);

    if (count < 1 || span_exponent(count) != span_last_bit(count)) {
        s->why[node] = "its mean is not one of a power of two of numbers";
        return false;
    }
    for (int64_t c = 0; c < span_channels(s->graph, n->output[0]); c++) {
        struct span a = of_channel(s, n, c);
        a.most = fmax(fabs(a.low), fabs(a.high));
        a.bit -= span_exponent(count);
        s->at[n->output[0]][c] = a;
    }
    return true;
}

static bool measure_quantizer(struct spans *s, int node)
{
    const struct node *n = &s->graph->node[node];
    if (!sane_step(s->graph, node)) {
        s->why[node] = "its step is not one positive number";
        return false;
    }
    const double step = span_step(s->graph, node);
    const struct span a = {
        .low = (double)node_int(n, "low", 0) * step,
        .high = (double)node_int(n, "high", 0) * step,
        .most = fmax(fabs((double)node_int(n, "low", 0)), fabs((double)node_int(n, "high", 0))) * step,
        .bit = span_last_bit(step)
    };

    for (int64_t c = 0; c < span_channels(s->graph, n->output[0]); c++)
        s->at[n->output[0]][c] = a;
    return true;
}

static const struct {
    const char *op;
    enum span_how how;
} operators[] = {
    { "Conv", SPAN_LAYER },
    { "Gemm", SPAN_LAYER },
    { "MatMul", SPAN_LAYER },
    { "Relu", SPAN_CLIP },
    { "Clip", SPAN_CLIP },
    { "Add", SPAN_ADD },
    { "Sum", SPAN_ADD },
    { "MaxPool", SPAN_MOVE },
    { "GlobalMaxPool", SPAN_MOVE },
    { "Flatten", SPAN_MOVE },
    { "Reshape", SPAN_MOVE },
    { "Identity", SPAN_MOVE },
    { "Dropout", SPAN_MOVE },
    { "Slice", SPAN_MOVE },
    { "Pad", SPAN_MOVE },
    { "Transpose", SPAN_MOVE },
    { "Concat", SPAN_MOVE },
    { "DepthToSpace", SPAN_MOVE },
    { "SpaceToDepth", SPAN_MOVE },
    { "GlobalAveragePool", SPAN_MEAN },
    { "AveragePool", SPAN_MEAN },
    { "ReduceMean", SPAN_MEAN },
    { "QuantdFakeQuant", SPAN_QUANTIZER },
};

enum span_how span_how(const struct node *n)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (is(n, operators[i].op))
            return operators[i].how;
    return SPAN_ROUNDS;
}

bool span_measure(struct spans *s, int node)
{
    static bool (*const by[])(struct spans *, int) = {
        [SPAN_LAYER] = measure_layer, [SPAN_MOVE] = measure_moved, [SPAN_CLIP] = measure_clip,
        [SPAN_ADD] = measure_add,     [SPAN_MEAN] = measure_mean,  [SPAN_QUANTIZER] = measure_quantizer,
    };
    const struct node *n = &s->graph->node[node];
    const enum span_how how = span_how(n);

    if (how == SPAN_ROUNDS) {
        s->why[node] = "it rounds, in floating point";
        return false;
    }
    for (int k = 0; k < n->inputs && how != SPAN_LAYER && how != SPAN_QUANTIZER; k++)
        if (n->input[k] >= 0 && s->at[n->input[k]] && !s->known[n->input[k]])
            return false; /* what comes in is rounded already: that has been said */
    return by[how](s, node);
}
