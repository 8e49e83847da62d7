/* compile_conv.c - layers with weights: their integers, packed, and what a sum is worth. */
#include "worker/engine/compile.h"

#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/op/setup.h"

#include <stdlib.h>

/* A matrix times all of an image is a convolution with a kernel as large as the image. */
static int conv_of_matrix(struct compile *c, const struct node *n, const struct activation *in,
                          struct conv *conv)
{
    const struct shape *w = &c->g->value[n->input[1]].shape;
    const bool turned = !node_int(n, "transB", 0);
    const int64_t K = w->dim[turned ? 0 : 1], N = w->dim[turned ? 1 : 0];
    if (node_int(n, "transA", 0) || node_float(n, "alpha", 1) != 1 || node_float(n, "beta", 1) != 1)
        return err_set(c->e, ERR_UNSUPPORTED, "Factors and a turned input are not done on integers");
    if (K != (int64_t)in->C * in->height * in->width)
        return err_set(c->e, ERR_UNSUPPORTED, "Only one row per sample is done on integers");
    *conv = (struct conv){ .C = in->C,
                           .H = in->height,
                           .W = in->width,
                           .O = (int)N,
                           .OH = 1,
                           .OW = 1,
                           .KH = in->height,
                           .KW = in->width,
                           .stride_h = 1,
                           .stride_w = 1,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .groups = 1 };
    return 0;
}

static bool is_conv(const struct node *n)
{
    return strcmp(n->op->name, "Conv") == 0;
}

/* The stored integers, outputs first; *axis: scales go by output. */
static int read_weights(struct compile *c, const struct node *n, const struct conv *conv, int8_t *w)
{
    const struct value *v = &c->g->value[n->input[1]];
    const struct value_codes *codes = v->codes;
    const bool turned = !is_conv(n) && !node_int(n, "transB", 0);
    const int64_t count = shape_count(&v->shape), K = count / conv->O;
    if (!codes)
        return err_set(c->e, ERR_UNSUPPORTED, "Its weights are stored as floating point");
    if (codes->planes && c->p->bits != BITS_ALWAYS)
        return err_set(c->e, ERR_UNSUPPORTED,
                       "Its weights are sums of a basis of %d numbers: engine bits runs it", codes->planes);
    if (codes->axis >= 0 && codes->axis != (turned ? 1 : 0))
        return err_set(c->e, ERR_UNSUPPORTED, "Weight scales must be one for all or one per output");
    for (int64_t i = 0; i < count; i++) {
        const int32_t code = codes->code[turned ? i % K * conv->O + i / K : i];
        if (code < INT8_MIN || code > INT8_MAX)
            return err_set(c->e, ERR_UNSUPPORTED, "A weight's integer is %d: it does not fit 8 bits", code);
        w[i] = (int8_t)code;
    }
    return 0;
}

static double weight_scale(const struct value_codes *codes, int output)
{
    return (double)codes->scale[codes->axis < 0 ? 0 : output];
}

/* The bias as integers of the sum where it was stored so, else in values. */
static void read_bias(const struct compile *c, const struct node *n, struct engine_step *s, int output)
{
    if (!setup_has(n, 2))
        return;
    const struct value *v = &c->g->value[n->input[2]];
    const struct value_codes *codes = v->codes && !v->codes->planes ? v->codes : NULL;
    const double scale = codes ? (double)codes->scale[codes->axis < 0 ? 0 : output] : 0;
    const double real_bias =
        codes ? codes->code[output] * scale : (double)c->g->param[v->offset + (size_t)output];
    if (codes && fabs(scale - s->factor[output]) <= 1e-6 * s->factor[output])
        s->start[output] = codes->code[output];
    else
        s->shift[output] = real_bias;
}

/* Start, bound and the correction for the code of zero. The bound is that of the codes that there are. */
static int measure(struct compile *c, struct engine_step *s, const int8_t *w, const struct quantizer *q)
{
    const struct conv *conv = &s->k.conv;
    const int low = q->zero < q->low ? q->zero : q->low, high = q->zero > q->high ? q->zero : q->high;
    const int64_t K = (int64_t)(conv->C / conv->groups) * conv->KH * conv->KW;
    for (int o = 0; o < conv->O; o++) {
        int64_t sum = 0, up = 0, down = 0, most = 0, start = s->start[o];
        for (int64_t i = 0; i < K; i++) {
            const int64_t weight = w[o * K + i];
            sum += weight;
            most += llabs(weight) * high;
            up += weight * (weight > 0 ? high : low);
            down += weight * (weight > 0 ? low : high);
        }
        start -= q->zero * sum;
        up += start;
        down += start;
        if (most + llabs(start) > INT32_MAX)
            return err_set(c->e, ERR_UNSUPPORTED, "The sums of output %d don't fit 32 bits", o);
        s->start[o] = (int32_t)start;
        s->bound[o] = (double)(llabs(up) > llabs(down) ? llabs(up) : llabs(down));
    }
    return 0;
}

const struct engine_step *compile_packed(const struct compile *c, const struct node *n)
{
    const struct program *like = c->p->like;
    for (int i = 0; like && i < like->steps; i++)
        if (like->step[i].type == &step_conv && like->step[i].node == n)
            return &like->step[i];
    return NULL;
}

/* By bit planes, where codes and weights have so few bits: codes begin at their lowest then. */
static int pack_thin(struct compile *c, const struct quantizer *q, struct engine_step *s, const int8_t *w)
{
    const struct engine_step *before = compile_packed(c, s->node);
    const struct conv *conv = &s->k.conv;
    struct thin_layer thin = { .k = { .conv = *conv, .zero = s->k.zero } };
    const size_t K = (size_t)(conv->C / conv->groups) * conv->KH * conv->KW;
    if (c->p->bits == BITS_NEVER || !bits_fit(&thin.k, (uint8_t)q->low, (uint8_t)q->high, w))
        return 0;
    if (c->p->bits == BITS_WHERE_THEY_PAY && !bits_pay(&thin.k, c->p->kernels))
        return 0;
    s->thin = mem_alloc(sizeof *s->thin);
    if (!s->thin)
        return err_set(c->e, ERR_NOMEM, "out of memory for the bits of weights");
    *s->thin = thin;
    for (int o = 0; o < conv->O; o++)
        for (size_t i = 0; i < K; i++)
            s->start[o] += q->low * w[(size_t)o * K + i];
    if (before) {
        s->thin->w = before->thin->w;
        s->borrowed = true;
        return 0;
    }
    return bits_pack(&s->thin->k, w, &s->thin->w, c->e);
}

static int pack_wide(struct compile *c, struct engine_step *s, const int8_t *w)
{
    const struct engine_step *before = compile_packed(c, s->node);
    if (before) {
        s->w = before->w;
        s->k.narrow = before->k.narrow;
        s->borrowed = true;
        return 0;
    }
    s->w = mem_aligned(64, int8_packed(&s->k.conv));
    if (!s->w)
        return err_set(c->e, ERR_NOMEM, "out of memory for the weights' integers");
    int8_pack(&s->k, w, s->w);
    return 0;
}

/* Uniform codes and weights. */
static int fill_codes(struct compile *c, const struct node *n, struct engine_step *s, const int8_t *w)
{
    const struct quantizer *q = &c->known[n->input[0]].quantizer;
    for (int o = 0; o < s->k.conv.O; o++) {
        s->factor[o] = q->scale * weight_scale(c->g->value[n->input[1]].codes, o);
        read_bias(c, n, s, o);
    }
    int bad = measure(c, s, w, q);
    if (!bad)
        bad = pack_thin(c, q, s, w);
    return bad || s->thin ? bad : pack_wide(c, s, w);
}

static int fill_bases(struct compile *c, const struct node *n, struct engine_step *s, const int8_t *w)
{
    for (int o = 0; o < s->k.conv.O; o++)
        read_bias(c, n, s, o);
    return compile_bases(c, n, s, w);
}

static int fill(struct compile *c, const struct node *n, struct engine_step *s)
{
    const struct value *weight = &c->g->value[n->input[1]];
    const size_t outs = (size_t)quads(s->k.conv.O) * QUAD;
    int8_t *w = mem_array((size_t)shape_count(&weight->shape), 1);
    s->start = mem_array(outs, sizeof *s->start);
    s->factor = mem_array(outs, sizeof *s->factor);
    s->shift = mem_array(outs, sizeof *s->shift);
    s->bound = mem_array(outs, sizeof *s->bound);
    int bad = 0;
    if (!w || !s->start || !s->factor || !s->shift || !s->bound)
        bad = err_set(c->e, ERR_NOMEM, "out of memory for the weights' integers");
    if (!bad)
        bad = read_weights(c, n, &s->k.conv, w);
    if (!bad && (weight->codes->planes || c->known[n->input[0]].form == KNOWN_LEVELS))
        bad = fill_bases(c, n, s, w);
    else if (!bad)
        bad = fill_codes(c, n, s, w);
    free(w);
    return bad;
}

static int grow_margins(struct activation *t, const struct conv *conv)
{
    t->top = t->top < conv->top ? conv->top : t->top;
    t->left = t->left < conv->left ? conv->left : t->left;
    t->bottom = t->bottom < conv->bottom ? conv->bottom : t->bottom;
    t->right = t->right < conv->right ? conv->right : t->right;
    return 0;
}

int compile_layer(struct compile *c, const struct node *n)
{
    const struct known *in = &c->known[n->input[0]];
    if (in->form != KNOWN_CODES && in->form != KNOWN_LEVELS)
        return err_set(c->e, ERR_UNSUPPORTED, "Its input is not quantized");
    if (c->g->value[n->input[1]].kind != VALUE_PARAM)
        return err_set(c->e, ERR_UNSUPPORTED, "Its weights are no parameter");
    struct engine_step *s = mem_alloc(sizeof *s);
    if (!s)
        return err_set(c->e, ERR_NOMEM, "out of memory");
    *s = (struct engine_step){ .type = &step_conv,
                               .node = n,
                               .in = in->tensor,
                               .more = NOTHING,
                               .out = NOTHING,
                               .codes = NOTHING,
                               .low = -INFINITY,
                               .high = INFINITY };
    c->known[n->output[0]] = (struct known){ .form = KNOWN_SUMS, .tensor = NOTHING, .sums = s };
    struct activation *t = &c->p->tensor[in->tensor];
    int bad = 0;
    if (is_conv(n) && !compile_shaped(c, in->tensor, n->input[0]))
        bad = err_set(c->e, ERR_UNSUPPORTED, "Its input is written in another shape");
    else if (is_conv(n))
        s->k.conv = *(const struct conv *)n->state;
    else
        bad = conv_of_matrix(c, n, t, &s->k.conv);
    if (bad)
        return bad;
    s->whole = s->k.conv;
    if (c->p->tiled)
        s->gathered = !tiles_conv(t, &s->whole, &s->k.conv);
    s->k.zero = (uint8_t)t->zero;
    grow_margins(t, &s->k.conv);
    return fill(c, n, s);
}

int compile_normalize(struct compile *c, const struct node *n)
{
    enum { GAMMA = 1, BETA, MEAN, VARIANCE };
    struct known *in = &c->known[n->input[0]];
    const real *at[VARIANCE + 1];
    if (in->form != KNOWN_SUMS || in->sums->more != NOTHING || in->sums->low > -INFINITY ||
        in->sums->high < INFINITY)
        return err_set(c->e, ERR_UNSUPPORTED, "Only the sums of a layer can be normalized");
    for (int i = GAMMA; i <= VARIANCE; i++)
        at[i] = c->g->param + c->g->value[n->input[i]].offset;
    const double epsilon = (double)(real)node_float(n, "epsilon", 1e-5);
    for (int o = 0; o < in->sums->k.conv.O; o++) {
        const double scale = (double)at[GAMMA][o] / sqrt((double)at[VARIANCE][o] + epsilon);
        in->sums->factor[o] *= scale;
        in->sums->shift[o] = (in->sums->shift[o] - (double)at[MEAN][o]) * scale + (double)at[BETA][o];
    }
    return 0;
}
