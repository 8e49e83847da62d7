/* compile.c - from a graph with QuantizeLinear and DequantizeLinear to steps on integers. Nodes are walked in
 * order; the sums of a layer stay open until it is known what becomes of them, so that normalization, a
 * residual sum, ReLU and the quantizer behind them all end up in the layer's own step. */
#include "worker/engine/compile.h"

#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/op/setup.h"
#include "worker/op/window.h"

#include <stdlib.h>

static int do_quantize(struct compile *c, const struct node *n)
{
    struct known *in = &c->known[n->input[0]];
    struct quantizer q;
    int t = NOTHING, bad = compile_quantizer(c, n, &q);
    if (bad)
        return bad;
    if (in->form == KNOWN_CODES && in->quantizer.scale == q.scale && in->quantizer.zero == q.zero &&
        in->quantizer.low >= q.low && in->quantizer.high <= q.high) {
        c->known[n->output[0]] = *in;
        return 0;
    }
    if (in->form == KNOWN_SUMS) {
        bad = compile_close(c, n->input[0], !compile_reader(c, n->input[0]), &q, &t);
    } else {
        const bool input = in->form == KNOWN_INPUT;
        bad = input ? 0 : compile_numbers(c, n->input[0]);
        t = bad ? bad : compile_codes(c, n->output[0], &q);
        struct engine_step *s =
            t < 0 ? NULL : program_add_step(c->p, input ? &step_input : &step_codes, n, c->e);
        if (!s)
            return bad ? bad : ERR_NOMEM;
        s->in = input ? NOTHING : in->tensor;
        s->codes = t;
        s->quantizer = q;
        s->number_bound = input ? 0 : c->p->tensor[in->tensor].bound;
    }
    compile_set_codes(c, n->output[0], t, &q);
    return bad;
}

/* The value moves on to the node's output; sums that somebody else reads too are closed. */
static int pass_on(struct compile *c, const struct node *n)
{
    const int from = n->input[0];
    if (c->known[from].form == KNOWN_SUMS && !compile_reader(c, from)) {
        const int bad = compile_numbers(c, from);
        if (bad)
            return bad;
    }
    if (c->known[from].form == KNOWN_NUMBERS && compile_keeps_shape(c, c->known[from].tensor, n->output[0]))
        return ERR_UNSUPPORTED;
    c->known[n->output[0]] = c->known[from];
    if (c->known[from].form == KNOWN_SUMS)
        c->known[from] = (struct known){ .form = KNOWN_NOT, .tensor = NOTHING };
    return 0;
}

static int do_normalize(struct compile *c, const struct node *n)
{
    if (!compile_reader(c, n->input[0]))
        return compile_refuse(c, "The sums that are normalized are read by somebody else, too");
    const int bad = compile_normalize(c, n);
    return bad ? bad : pass_on(c, n);
}

static int do_dequantize(struct compile *c, const struct node *n)
{
    const struct known *in = &c->known[n->input[0]];
    struct quantizer q;
    int bad = compile_scale(c, n, &q);
    if (bad)
        return bad;
    if (in->form != KNOWN_CODES || in->quantizer.zero != q.zero)
        return compile_refuse(c, "It does not stand behind a QuantizeLinear with the same zero point");
    bad = pass_on(c, n);
    c->known[n->output[0]].quantizer.scale = q.scale;
    return bad;
}

/* clip(x, low, high) in values. */
static int clip_to(struct compile *c, const struct node *n, double low, double high)
{
    const struct known *in = &c->known[n->input[0]];
    const struct quantizer *q = &in->quantizer;
    struct engine_step *s;
    if (in->form == KNOWN_CODES && (q->low - q->zero) * q->scale >= low &&
        (q->high - q->zero) * q->scale <= high)
        return pass_on(c, n);
    if (in->form == KNOWN_SUMS && compile_reader(c, n->input[0])) {
        s = in->sums;
        s->low = fmin(fmax(s->low, low), high);
        s->high = fmax(fmin(s->high, high), low);
        return pass_on(c, n);
    }
    int bad = compile_numbers(c, n->input[0]);
    if (!bad)
        bad = compile_numbers_step(c, &step_add, n, in->tensor, n->output[0], c->p->tensor[in->tensor].bound,
                                   &s);
    if (bad)
        return bad;
    s->low = low;
    s->high = high;
    return 0;
}

static int do_relu(struct compile *c, const struct node *n)
{
    return clip_to(c, n, 0, INFINITY);
}

static int do_clip(struct compile *c, const struct node *n)
{
    const struct node *before =
        c->g->value[n->input[0]].producer < 0 ? NULL : &c->g->node[c->g->value[n->input[0]].producer];
    double low = node_float(n, "min", -INFINITY), high = node_float(n, "max", INFINITY);
    int bad = 0;
    if (before && compile_is(before, "QuantizeLinear")) /* read_quantizer has seen it */
        return compile_reader(c, n->input[0]) ? pass_on(c, n)
                                              : compile_refuse(c, "Codes that are clipped for some");
    if (setup_has(n, 1))
        bad = setup_scalar(c->g, n, 1, &low, c->e);
    if (!bad && setup_has(n, 2))
        bad = setup_scalar(c->g, n, 2, &high, c->e);
    return bad ? bad : clip_to(c, n, low, high);
}

/* Open sums that can still take an addend. */
static bool takes_more(const struct compile *c, int value)
{
    const struct known *k = &c->known[value];
    return k->form == KNOWN_SUMS && compile_reader(c, value) && k->sums->more == NOTHING &&
           k->sums->low == -INFINITY && k->sums->high == INFINITY;
}

/* Sums that are not written in the shape of their value. */
static bool flat_sums(const struct compile *c, int value)
{
    const struct conv *conv = &c->known[value].sums->whole;
    const struct picture p = picture_of(&c->g->value[value].shape);
    return conv->O != p.C || conv->OH != p.H || conv->OW != p.W;
}

static int add_constant(struct compile *c, const struct node *n, int sums, int constant)
{
    const struct value *v = &c->g->value[constant];
    struct engine_step *s = c->known[sums].sums;
    if (v->kind != VALUE_PARAM || !takes_more(c, sums) || shape_count(&v->shape) != s->k.conv.O ||
        sums != n->input[0])
        return compile_refuse(c, "Only one number per output of a layer can be added");
    for (int o = 0; o < s->k.conv.O; o++)
        s->shift[o] += (double)c->g->param[v->offset + (size_t)o];
    return pass_on(c, n);
}

static int do_add(struct compile *c, const struct node *n)
{
    if (n->inputs != 2)
        return compile_refuse(c, "Only two values can be added");
    int a = n->input[0], b = n->input[1];
    const struct value *va = &c->g->value[a], *vb = &c->g->value[b];
    if (va->kind != VALUE_ACT || vb->kind != VALUE_ACT)
        return va->kind == VALUE_ACT ? add_constant(c, n, a, b) : add_constant(c, n, b, a);
    if (!shape_equal(&va->shape, &vb->shape))
        return compile_refuse(c, "Values of different shapes can't be added");
    if (!takes_more(c, b) && takes_more(c, a)) {
        a = n->input[1];
        b = n->input[0];
    }
    int bad = compile_numbers(c, a);
    if (!bad && takes_more(c, b) && !flat_sums(c, b)) {
        c->known[b].sums->more = c->known[a].tensor;
        c->known[n->output[0]] = c->known[b];
        c->known[b] = (struct known){ .form = KNOWN_NOT, .tensor = NOTHING };
        return 0;
    }
    if (!bad)
        bad = compile_numbers(c, b);
    if (bad)
        return bad;
    const int ta = c->known[a].tensor, tb = c->known[b].tensor;
    struct engine_step *s;
    bad = compile_numbers_step(c, &step_add, n, ta, n->output[0],
                               c->p->tensor[ta].bound + c->p->tensor[tb].bound, &s);
    if (!bad)
        s->more = tb;
    return bad;
}

/* A pool of tiles is one whose windows don't leave their tile. */
static int pool_of(struct compile *c, const struct node *n, const struct activation *in,
                   struct engine_step *s)
{
    const struct window *w = s->window = n->state;
    if (!c->p->tiled)
        return 0;
    const bool inside =
        (w->KH - 1) * w->dilation_h < w->stride_h && (w->KW - 1) * w->dilation_w < w->stride_w;
    if (!inside || w->top || w->left || w->bottom || w->right || tile_side(w->OH) * w->stride_h != in->H ||
        tile_side(w->OW) * w->stride_w != in->W)
        return compile_refuse(c, "Its windows go over tiles");
    s->tile = mem_alloc(sizeof *s->tile);
    if (!s->tile)
        return err_set(c->e, ERR_NOMEM, "out of memory");
    *s->tile = *w;
    s->tile->H = in->H;
    s->tile->W = in->W;
    s->tile->OH = tile_side(w->OH);
    s->tile->OW = tile_side(w->OW);
    s->window = s->tile;
    return 0;
}

static int do_max(struct compile *c, const struct node *n)
{
    struct known *in = &c->known[n->input[0]];
    const struct node *ahead = compile_ahead(c, n->output[0]);
    struct engine_step *s;
    int bad = 0, codes;
    if (in->form == KNOWN_SUMS && ahead && compile_reader(c, n->input[0])) {
        struct quantizer q;
        bad = compile_quantizer(c, ahead, &q);
        if (!bad)
            bad = compile_close(c, n->input[0], false, &q, &codes);
        if (!bad)
            compile_set_codes(c, n->input[0], codes, &q);
    }
    if (!bad && in->form != KNOWN_CODES)
        bad = compile_numbers(c, n->input[0]);
    if (bad)
        return bad;
    const int t = in->tensor;
    if (!compile_shaped(c, t, n->input[0]))
        return compile_refuse(c, "Its input is written in another shape");
    if (in->form == KNOWN_NUMBERS) {
        bad = compile_numbers_step(c, &step_max, n, t, n->output[0], c->p->tensor[t].bound, &s);
    } else {
        codes = compile_codes(c, n->output[0], &in->quantizer);
        s = codes < 0 ? NULL : program_add_step(c->p, &step_max, n, c->e);
        bad = s ? 0 : ERR_NOMEM;
        if (s) {
            s->in = t;
            s->codes = codes;
            compile_set_codes(c, n->output[0], codes, &in->quantizer);
        }
    }
    return bad ? bad : pool_of(c, n, &c->p->tensor[t], s);
}

/* Of the whole image. */
static int do_mean(struct compile *c, const struct node *n)
{
    const struct shape *x = &c->g->value[n->input[0]].shape, *y = &c->g->value[n->output[0]].shape;
    struct engine_step *s;
    if (x->rank != 3 || y->rank < 1 || y->dim[0] != x->dim[0] || shape_count(y) != x->dim[0])
        return compile_refuse(c, "Only means of whole channels are done on integers");
    const int bad = compile_numbers(c, n->input[0]);
    const int t = c->known[n->input[0]].tensor;
    if (!bad && !compile_shaped(c, t, n->input[0]))
        return compile_refuse(c, "Its input is written in another shape");
    return bad ? bad : compile_numbers_step(c, &step_mean, n, t, n->output[0], c->p->tensor[t].bound, &s);
}

/* Where each number of the output comes from, by `moved`: one more than its place in the input, 0: it is
 * none. */
static int read_sources(struct compile *c, const real *moved, size_t count, struct engine_step *s)
{
    s->source = mem_array(count, sizeof *s->source);
    if (!s->source)
        return err_set(c->e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        s->source[i] = (int32_t)moved[i * LANES] - 1;
    return 0;
}

/* Tiles that are moved as they are: whole pixels. */
static int read_straight(struct compile *c, struct engine_step *s)
{
    int straight = 0;
    while (straight < s->gathers && patch_is_straight(&s->gather[straight]))
        straight++;
    if (straight < s->gathers)
        return 0;
    s->source = mem_array((size_t)s->gathers, sizeof *s->source);
    if (!s->source)
        return err_set(c->e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < s->gathers; i++)
        s->source[i] = s->gather[i].from[0] == NOWHERE ? -1 : (int32_t)s->gather[i].source;
    free(s->gather);
    s->gather = NULL;
    return 0;
}

/* What the operator does to numbers that say where they come from. */
static int trace_move(struct compile *c, const struct node *n, struct engine_step *s)
{
    const struct activation *in = &c->p->tensor[s->in], *out = &c->p->tensor[s->out];
    const size_t count = (size_t)in->C * in->height * in->width,
                 moved = (size_t)out->C * out->height * out->width;
    real **value = mem_array((size_t)c->g->values, sizeof *value);
    real *x = mem_aligned(64, count * LANES * sizeof *x), *y = mem_aligned(64, moved * LANES * sizeof *y);
    const struct step step = { .graph = c->g, .x = value };
    int bad = 0;
    if (!value || !x || !y) {
        bad = err_set(c->e, ERR_NOMEM, "out of memory");
    } else if (count > 1 << 24) { /* a real number counts so far */
        bad = compile_refuse(c, "There is too much to move");
    } else {
        for (size_t i = 0; i < count; i++)
            x[i * LANES] = (real)(i + 1);
        value[n->input[0]] = x;
        value[n->output[0]] = y;
        n->op->forward(&step, n, 0, 1, 0);
        bad = c->p->tiled ? tiles_move(in, out, y, &s->gather, &s->gathers, c->e)
                          : read_sources(c, y, moved, s);
        if (!bad && c->p->tiled)
            bad = read_straight(c, s);
    }
    free(value);
    free(x);
    free(y);
    return bad;
}

static int do_move(struct compile *c, const struct node *n)
{
    struct engine_step *s;
    double fill = 0;
    int bad = compile_is(n, "Pad") && setup_has(n, 2) ? setup_scalar(c->g, n, 2, &fill, c->e) : 0;
    if (!bad && fill != 0)
        return compile_refuse(c, "Only zeros can be padded");
    if (!bad)
        bad = compile_numbers(c, n->input[0]);
    const int t = c->known[n->input[0]].tensor;
    if (!bad)
        bad = compile_numbers_step(c, &step_move, n, t, n->output[0], c->p->tensor[t].bound, &s);
    return bad ? bad : trace_move(c, n, s);
}

/* At the end it would not change the order of classes. */
static int do_softmax(struct compile *c, const struct node *n)
{
    return n->output[0] == c->g->output[0] ? pass_on(c, n)
                                           : compile_refuse(c, "It is only left out at the end");
}

static void sums_free(struct engine_step *s)
{
    if (!s)
        return;
    step_deinit(s);
    free(s);
}

static const struct {
    const char *op;
    int (*compile)(struct compile *c, const struct node *n);
} operators[] = {
    { "QuantizeLinear", do_quantize },
    { "DequantizeLinear", do_dequantize },
    { "QuantdLevels", compile_levels },
    { "Conv", compile_layer },
    { "Gemm", compile_layer },
    { "MatMul", compile_layer },
    { "BatchNormalization", do_normalize },
    { "Relu", do_relu },
    { "Clip", do_clip },
    { "Add", do_add },
    { "Sum", do_add },
    { "MaxPool", do_max },
    { "GlobalMaxPool", do_max },
    { "GlobalAveragePool", do_mean },
    { "AveragePool", do_mean },
    { "ReduceMean", do_mean },
    { "Flatten", pass_on },
    { "Reshape", pass_on },
    { "Identity", pass_on },
    { "Dropout", pass_on },
    { "Slice", do_move },
    { "Pad", do_move },
    { "Transpose", do_move },
    { "DepthToSpace", do_move },
    { "SpaceToDepth", do_move },
    { "Softmax", do_softmax },
};

static int compile_node(struct compile *c, const struct node *n)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (compile_is(n, operators[i].op))
            return operators[i].compile(c, n);
    return compile_refuse(c, "There is no way to do it on integers");
}

/* The last layer's sums times their scale. */
static int do_output(struct compile *c)
{
    const int value = c->g->output[0];
    struct known *k = &c->known[value];
    if (k->form == KNOWN_SUMS && takes_more(c, value)) {
        struct engine_step *s = program_add_step(c->p, &step_conv, NULL, c->e);
        if (!s)
            return ERR_NOMEM;
        *s = *k->sums;
        s->form = INT8_REALS;
        c->p->result = (struct activation){
            .C = s->whole.O, .H = s->k.conv.OH, .W = s->k.conv.OW, .height = s->whole.OH, .width = s->whole.OW
        };
        free(k->sums);
        k->sums = NULL;
        k->form = KNOWN_NOT;
        return 0;
    }
    const int bad = compile_numbers(c, value);
    struct engine_step *s = bad ? NULL : program_add_step(c->p, &step_output, NULL, c->e);
    if (!s)
        return bad ? bad : ERR_NOMEM;
    s->in = k->tensor;
    c->p->result = c->p->tensor[s->in];
    return 0;
}

int program_compile(struct program *p, struct err *e)
{
    struct compile c = { p, p->graph, mem_array((size_t)p->graph->values, sizeof *c.known), e };
    int bad = c.known ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    if (!bad && p->graph->outputs != 1)
        bad = err_set(e, ERR_UNSUPPORTED, "The network has %d outputs, the integer engine gives one",
                      p->graph->outputs);
    if (!bad)
        c.known[p->graph->input].form = KNOWN_INPUT;
    for (int i = 0; i < p->graph->nodes && !bad; i++)
        if ((bad = compile_node(&c, &p->graph->node[i])))
            err_at(e, "node %s (%s)", p->graph->node[i].name, p->graph->node[i].op->name);
    if (!bad)
        bad = do_output(&c);
    for (int v = 0; c.known && v < p->graph->values; v++)
        sums_free(c.known[v].sums);
    free(c.known);
    return bad;
}
