/* compile_value.c - what becomes of a value: who reads it, how it is quantized, and when the sums of a layer
 * are closed, into numbers, into codes or into both. */
#include "worker/engine/compile.h"

#include "worker/op/op.h"
#include "worker/op/setup.h"

#include <stdlib.h>

int compile_refuse(const struct compile *c, const char *why)
{
    return err_set(c->e, ERR_UNSUPPORTED, "%s", why);
}

bool compile_shaped(const struct compile *c, int tensor, int value)
{
    const struct activation *t = &c->p->tensor[tensor];
    const struct picture p = picture_of(&c->g->value[value].shape);
    return t->C == p.C && t->height == p.H && t->width == p.W;
}

int compile_keeps_shape(const struct compile *c, int tensor, int value)
{
    return !c->p->tiled || compile_shaped(c, tensor, value)
               ? 0
               : compile_refuse(c, "Its numbers are given another shape");
}

/* --- who reads a value --- */

static int readers(const struct compile *c, int value, const struct node **one)
{
    int count = 0;
    for (int i = 0; i < c->g->outputs; i++)
        count += c->g->output[i] == value;
    for (int i = 0; i < c->g->nodes; i++)
        for (int k = 0; k < c->g->node[i].inputs; k++)
            if (c->g->node[i].input[k] == value) {
                *one = &c->g->node[i];
                count++;
            }
    return count;
}

const struct node *compile_reader(const struct compile *c, int value)
{
    const struct node *one = NULL;
    return readers(c, value, &one) == 1 ? one : NULL;
}

bool compile_is(const struct node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

/* --- quantizers --- */

static int scalar(const struct compile *c, const struct node *n, int input, double *out)
{
    if (shape_count(&c->g->value[n->input[input]].shape) != 1)
        return compile_refuse(c, "Activations must have one scale for all channels");
    return setup_scalar(c->g, n, input, out, c->e);
}

/* Scale and zero point of a Q or DQ node; codes of signed ones are kept + 128. */
int compile_scale(const struct compile *c, const struct node *n, struct quantizer *q)
{
    double zero = 0;
    bool is_signed = false;
    int bad = scalar(c, n, 1, &q->scale);
    if (!bad && setup_has(n, 2)) {
        bad = scalar(c, n, 2, &zero);
        is_signed =
            c->g->value[n->input[2]].constant && c->g->value[n->input[2]].constant->dtype == DTYPE_INT8;
    }
    const int offset = is_signed ? 128 : 0;
    q->zero = (int)zero + offset;
    q->low = 0;
    q->high = UINT8_MAX;
    return bad                                  ? bad
           : q->scale > 0 && isfinite(q->scale) ? 0
                                                : compile_refuse(c, "A scale that is not positive");
}

/* The whole of QuantizeLinear and a Clip behind it, which narrows the codes. */
int compile_quantizer(const struct compile *c, const struct node *n, struct quantizer *q)
{
    int bad = compile_scale(c, n, q);
    const struct node *clip = compile_reader(c, n->output[0]);
    if (bad || !clip || !compile_is(clip, "Clip"))
        return bad;
    const bool is_signed = c->g->value[n->input[2]].constant->dtype == DTYPE_INT8;
    double low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    if (setup_has(clip, 1))
        bad = setup_scalar(c->g, clip, 1, &low, c->e);
    if (!bad && setup_has(clip, 2))
        bad = setup_scalar(c->g, clip, 2, &high, c->e);
    q->low = (int)low + (is_signed ? 128 : 0);
    q->high = (int)high + (is_signed ? 128 : 0);
    return bad || (q->low >= 0 && q->high <= UINT8_MAX && q->low <= q->high)
               ? bad
               : compile_refuse(c, "A Clip beyond the codes");
}

/* The only quantizer behind this value when nothing but the order of numbers matters until there. */
const struct node *compile_ahead(const struct compile *c, int value)
{
    static const char *const order_keeping[] = { "MaxPool", "GlobalMaxPool", "Relu",     "Flatten",
                                                 "Reshape", "Dropout",       "Identity", NULL };
    for (const struct node *n = compile_reader(c, value); n; n = compile_reader(c, n->output[0])) {
        bool keeps = false;
        if (compile_is(n, "QuantizeLinear"))
            return n;
        for (const char *const *op = order_keeping; *op; op++)
            keeps |= compile_is(n, *op);
        if (!keeps)
            return NULL;
    }
    return NULL;
}

/* --- sums become steps --- */

static int add_tensor(struct compile *c, enum activation_form form, const struct shape *shape, double bound)
{
    const int t = program_add_activation(c->p, form, shape, c->e);
    if (t >= 0)
        c->p->tensor[t].bound = bound;
    return t;
}

static int add_codes(struct compile *c, const struct shape *shape, const struct quantizer *q)
{
    const double low = (q->low - q->zero) * q->scale, high = (q->high - q->zero) * q->scale;
    const int t = add_tensor(c, TENSOR_CODES, shape, fmax(fabs(low), fabs(high)));
    if (t >= 0)
        c->p->tensor[t].zero = q->zero;
    return t;
}

int compile_codes(struct compile *c, int value, const struct quantizer *q)
{
    return add_codes(c, &c->g->value[value].shape, q);
}

static double clipped_bound(double bound, const struct engine_step *s)
{
    const double most = fmax(fabs(s->low), fabs(s->high));
    return bound < most ? bound : most;
}

/* No value of open sums, what is added included, is larger. */
static double sums_bound(const struct compile *c, const struct engine_step *s)
{
    double most = 0;
    for (int o = 0; o < s->k.conv.O; o++)
        most = fmax(most, fabs(s->factor[o]) * s->bound[o] + fabs(s->shift[o]));
    return most + (s->more == NOTHING ? 0 : c->p->tensor[s->more].bound);
}

void compile_set_codes(struct compile *c, int value, int tensor, const struct quantizer *q)
{
    c->known[value] = (struct known){ .form = KNOWN_CODES, .tensor = tensor, .quantizer = *q };
}

static int clip_code(const struct quantizer *q, double value)
{
    const double code = rint(value / q->scale) + q->zero;
    return code < q->low ? q->low : code > q->high ? q->high : (int)code;
}

/* Close the sums of `value`: into numbers, codes by q (NULL: none), or both. *codes: the tensor. */
int compile_close(struct compile *c, int value, bool numbers, const struct quantizer *q, int *codes)
{
    struct known *k = &c->known[value];
    struct engine_step *open = k->sums, *s = program_add_step(c->p, &step_conv, NULL, c->e);
    if (!s)
        return ERR_NOMEM;
    const int index = (int)(s - c->p->step);
    const struct conv *conv = &open->whole; /* the value may be flat by now, what the step writes is not */
    const struct shape shape = { 3, { conv->O, conv->OH, conv->OW } };
    *s = *open;
    free(open);
    *k = (struct known){ .form = KNOWN_NOT, .tensor = NOTHING };
    s->form = numbers || s->more != NOTHING ? INT8_NUMBERS : INT8_CODES;
    const double bound = sums_bound(c, s);
    s->number_bound = clipped_bound(bound, s);
    if (q) {
        s->quantizer = *q;
        if (s->form == INT8_CODES) {
            s->quantizer.low = clip_code(q, s->low);
            s->quantizer.high = clip_code(q, s->high);
        }
        const int t = add_codes(c, &shape, q);
        if (t < 0)
            return t;
        *codes = c->p->step[index].codes = t;
    }
    if (!numbers)
        return 0;
    const int t = add_tensor(c, TENSOR_NUMBERS, &shape, clipped_bound(bound, &c->p->step[index]));
    if (t < 0)
        return t;
    c->p->step[index].out = t;
    *k = (struct known){ .form = KNOWN_NUMBERS, .tensor = t };
    return compile_keeps_shape(c, t, value);
}

int compile_numbers_step(struct compile *c, const struct step_type *type, const struct node *n, int in,
                         int value, double bound, struct engine_step **step)
{
    const int t = add_tensor(c, TENSOR_NUMBERS, &c->g->value[value].shape, bound);
    struct engine_step *s = t < 0 ? NULL : program_add_step(c->p, type, n, c->e);
    if (!s)
        return ERR_NOMEM;
    s->in = in;
    s->out = t;
    c->known[value] = (struct known){ .form = KNOWN_NUMBERS, .tensor = t };
    *step = s;
    return 0;
}

/* Whatever the value is, it is numbers afterwards. */
int compile_numbers(struct compile *c, int value)
{
    struct known *k = &c->known[value];
    struct engine_step *s;
    int codes;
    if (k->form == KNOWN_NUMBERS)
        return 0;
    if (k->form == KNOWN_SUMS)
        return compile_close(c, value, true, NULL, &codes);
    if (k->form == KNOWN_LEVELS)
        return compile_refuse(c, "Learned levels are read by layers alone");
    if (k->form != KNOWN_CODES)
        return compile_refuse(c, "Its input is not quantized");
    const struct known was = *k;
    int bad = compile_keeps_shape(c, was.tensor, value);
    if (!bad)
        bad = compile_numbers_step(c, &step_numbers, NULL, was.tensor, value, c->p->tensor[was.tensor].bound,
                                   &s);
    if (!bad)
        s->quantizer = was.quantizer;
    return bad;
}
