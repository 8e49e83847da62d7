/* program.c - what remains when all steps are known: factors as multiplier and shift,
 * and the places of tensors in the arena. */
#include "worker/engine/program.h"

#include "base/mem.h"
#include "worker/graph/space.h"
#include "worker/op/op.h"

#include <stdlib.h>

enum {
    EXACT_BITS = 52, /* of sum * multiplier + addend */
    MOST_BITS = 40,  /* of a multiplier */
    LEAST_BITS = 20, /* fewer would be too coarse */
    MEAN_BITS = 62,  /* of the sum of a mean, sign aside */
    HALF_BITS = 20   /* quotients that are no halves of integers are 2^-20 and more from one */
};

/* Doubles near it are multiples of 2^-22; even, and codes beside it fit 32 bits. */
#define HALVES (1.5 * (1 << 30))

/* Room for one more. */
static int grow(void **list, int *capacity, int count, size_t size, struct err *e)
{
    if (count < *capacity)
        return 0;
    void *more = mem_grow(*list, (size_t)count * 2 + 16, size);
    if (!more)
        return err_set(e, ERR_NOMEM, "out of memory");
    *list = more;
    *capacity = count * 2 + 16;
    return 0;
}

struct picture picture_of(const struct shape *s)
{
    struct picture p = { 1, 1, 1 };
    p.C = (int)(s->rank > 0 ? s->dim[0] : 1);
    p.H = (int)(s->rank > 1 ? s->dim[1] : 1);
    for (int d = 2; d < s->rank; d++)
        p.W *= (int)s->dim[d];
    return p;
}

int program_add_activation(struct program *p, enum activation_form form, const struct shape *shape,
                           struct err *e)
{
    if (grow((void **)&p->tensor, &p->tensors_capacity, p->tensors, sizeof *p->tensor, e))
        return ERR_NOMEM;
    struct activation *t = &p->tensor[p->tensors];
    const struct picture whole = picture_of(shape);
    *t = (struct activation){ .form = form,
                              .C = whole.C,
                              .H = p->tiled ? tile_side(whole.H) : whole.H,
                              .W = p->tiled ? tile_side(whole.W) : whole.W,
                              .height = whole.H,
                              .width = whole.W,
                              .last = NOTHING };
    return p->tensors++;
}

struct engine_step *program_add_step(struct program *p, const struct step_type *type, const struct node *n,
                                     struct err *e)
{
    if (grow((void **)&p->step, &p->steps_capacity, p->steps, sizeof *p->step, e))
        return NULL;
    struct engine_step *s = &p->step[p->steps++];
    *s = (struct engine_step){ .type = type,
                               .node = n,
                               .in = NOTHING,
                               .more = NOTHING,
                               .out = NOTHING,
                               .codes = NOTHING,
                               .low = -INFINITY,
                               .high = INFINITY };
    return s;
}

ptrdiff_t activation_row(const struct activation *t)
{
    return t->left + t->W + t->right;
}

ptrdiff_t activation_plane(const struct activation *t)
{
    return (t->top + t->H + t->bottom) * activation_row(t);
}

size_t activation_bytes(const struct activation *t)
{
    const size_t pixels = (size_t)activation_plane(t);
    return t->form == TENSOR_CODES ? pixels * PIXEL * quads(t->C) : pixels * LANES * sizeof(double) * t->C;
}

uint8_t *frame_codes(const struct frame *f, int tensor)
{
    const struct activation *t = &f->program->tensor[tensor];
    return (uint8_t *)f->arena + t->offset + (t->top * activation_row(t) + t->left) * PIXEL;
}

double *frame_numbers(const struct frame *f, int tensor)
{
    return (double *)(f->arena + f->program->tensor[tensor].offset);
}

size_t step_window(const struct engine_step *s)
{
    return (size_t)quads(s->k.conv.C) * s->k.conv.H * s->k.conv.W * PIXEL;
}

void frame_margins(const struct frame *f, int tensor)
{
    const struct activation *t = &f->program->tensor[tensor];
    size_t row = (size_t)activation_row(t) * PIXEL, left = (size_t)t->left * PIXEL,
           right = (size_t)t->right * PIXEL;
    char *at = f->arena + t->offset;
    if (t->patches) {
        uint8_t *code = frame_codes(f, tensor);
        f->program->kernels->fixed->patch(t->patch, t->patches, t->zero, code, activation_plane(t), code,
                                          activation_plane(t), quads(t->C));
    }
    if (f->program->tiled)
        return;
    if (!t->top && !t->bottom && !left && !right)
        return;
    for (int q = 0; q < quads(t->C); q++) {
        memset(at, t->zero, t->top * row);
        at += t->top * row;
        for (int h = 0; h < t->H; h++, at += row) {
            memset(at, t->zero, left);
            memset(at + row - right, t->zero, right);
        }
        memset(at, t->zero, t->bottom * row);
        at += t->bottom * row;
    }
}

/* factor = m / 2^s and shift = n / 2^s, so that m * v + n is exact for |v| <= bound. */
static int make_rule(double *factor, double *shift, double bound, struct err *e)
{
    int exponent;
    if (!isfinite(*factor) || !isfinite(*shift))
        return err_set(e, ERR_UNSUPPORTED, "A scale that is no number");
    frexp(*factor, &exponent);
    int bits = MOST_BITS;
    double most = bound * fabs(*factor) + fabs(*shift);
    while (bits >= LEAST_BITS && most >= ldexp(1, EXACT_BITS + exponent - bits))
        bits--;
    if (bits < LEAST_BITS && *factor != 0)
        return err_set(e, ERR_UNSUPPORTED, "Its sums and its scales are too far apart");
    double step = ldexp(1, exponent - bits);
    *factor = rint(*factor / step) * step;
    *shift = rint(*shift / step) * step;
    return most < INT32_MAX ? 0 : err_set(e, ERR_UNSUPPORTED, "Values that don't fit 32 bits");
}

static bool from_numbers(const struct engine_step *s)
{
    return s->type == &step_codes ||
           (s->type == &step_conv && s->form == INT8_NUMBERS && s->codes != NOTHING);
}

/* Codes from numbers, numbers from codes; means are sums of integers, so that their order does not matter. */
static int finish_rule(const struct program *p, struct engine_step *s, struct err *e)
{
    int exponent;
    if (s->type == &step_numbers) {
        s->rule = s->quantizer.scale;
    } else if (s->type == &step_mean) {
        const struct activation *in = &p->tensor[s->in];
        frexp(in->bound * in->height * in->width, &exponent);
        s->rule = ldexp(1, MEAN_BITS - exponent);
    } else if (from_numbers(s)) {
        s->rule = 1 / s->quantizer.scale;
        if (!(s->number_bound * s->rule < INT32_MAX))
            return err_set(e, ERR_UNSUPPORTED,
                           "Its step %g is too small for numbers as large as they are here",
                           s->quantizer.scale);
    }
    return 0;
}

/* The last bit of a number as a number. */
static double last_bit(double x)
{
    int exponent;
    const int64_t bits = (int64_t)ldexp(frexp(x, &exponent), 53);
    return ldexp((double)(bits & -bits), exponent - 53);
}

/* Do halves of integers stand out among the quotients of this layer's sums by the scale of its codes? They do
 * where the scales are numbers of few bits (worker/quant/exact.h). */
static bool halves_stand_out(const struct engine_step *s)
{
    const double scale = s->quantizer.scale, half = last_bit(scale) / 2;
    for (int o = 0; o < s->k.conv.O; o++) {
        const double bit = fmin(s->factor[o] != 0 ? last_bit(fabs(s->factor[o])) : half, half);
        if (s->shift[o] != 0 || bit < ldexp(scale, -HALF_BITS) ||
            fabs(s->factor[o]) * s->bound[o] / scale >= HALVES / 3)
            return false;
    }
    return true;
}

/* Then a quotient is found by a product and is a half of an integer when it is as near to one as that: added
 * to HALVES it is rounded to 2^-22 and goes to the even side after that. */
static void keep_halves(struct engine_step *s)
{
    for (int o = 0; o < s->k.conv.O; o++) {
        s->factor[o] /= s->quantizer.scale;
        s->shift[o] = HALVES;
    }
    s->quantizer.zero -= (int)HALVES;
}

static int finish_conv(struct engine_step *s, struct err *e)
{
    if (s->form == INT8_CODES && halves_stand_out(s)) {
        keep_halves(s);
        return 0;
    }
    const double scale = s->form == INT8_CODES ? s->quantizer.scale : 1;
    int bad = 0;
    for (int o = 0; o < s->k.conv.O && !bad; o++) {
        s->factor[o] /= scale;
        s->shift[o] /= scale;
        if (s->form != INT8_REALS)
            bad = make_rule(&s->factor[o], &s->shift[o], s->bound[o], e);
    }
    return bad;
}

static void note_reader(struct program *p, int tensor, int step)
{
    if (tensor != NOTHING)
        p->tensor[tensor].last = step;
}

static int place(struct program *p, struct space *space, int tensor, struct err *e)
{
    struct activation *t = tensor == NOTHING ? NULL : &p->tensor[tensor];
    return t && space_take(space, activation_bytes(t), &t->offset) ? err_set(e, ERR_NOMEM, "out of memory")
                                                                   : 0;
}

/* The activation whose place the step's numbers can take, because it is read for the last time, number by
 * number; else NOTHING. What is written then is still in the cache. */
static int given(const struct program *p, int step)
{
    const struct engine_step *s = &p->step[step];
    const int from = s->type == &step_conv ? s->more : s->type == &step_add ? s->in : NOTHING;
    return from != NOTHING && s->out != NOTHING && p->tensor[from].last == step ? from : NOTHING;
}

static int release(struct program *p, struct space *space, int step, struct err *e)
{
    const int kept = given(p, step);
    for (int i = 0; i < p->tensors; i++)
        if (p->tensor[i].last == step && i != kept &&
            space_give(space, p->tensor[i].offset, activation_bytes(&p->tensor[i])))
            return err_set(e, ERR_NOMEM, "out of memory");
    return 0;
}

static int arrange(struct program *p, struct err *e)
{
    struct space space = { 0 };
    int bad = 0;
    for (int i = 0; i < p->steps; i++) {
        const struct engine_step *s = &p->step[i];
        const int seen[] = { s->out, s->codes, s->in, s->more }; /* what nobody reads dies at once */
        for (size_t k = 0; k < sizeof seen / sizeof *seen; k++)
            note_reader(p, seen[k], i);
    }
    for (int i = 0; i < p->steps && !bad; i++) {
        const int from = given(p, i);
        if (from != NOTHING)
            p->tensor[p->step[i].out].offset = p->tensor[from].offset;
        else
            bad = place(p, &space, p->step[i].out, e);
        if (!bad)
            bad = place(p, &space, p->step[i].codes, e);
        if (!bad)
            bad = release(p, &space, i, e);
    }
    p->arena = space.peak;
    space_free(&space);
    return bad;
}

static void need_scratch(struct program *p, size_t bytes)
{
    p->scratch = bytes > p->scratch ? bytes : p->scratch;
}

/* A window lies before what the kernel needs. */
static size_t conv_scratch(const struct program *p, const struct engine_step *s)
{
    return (s->gathered ? step_window(s) : 0) +
           (s->thin ? bits_of(p->kernels)->scratch(&s->thin->k) : p->kernels->int8->scratch(&s->k));
}

static int make_patches(struct program *p, struct err *e)
{
    int bad = 0;
    for (int i = 0; i < p->tensors && !bad; i++)
        if (p->tensor[i].form == TENSOR_CODES)
            bad = tiles_margins(&p->tensor[i], &p->tensor[i].patch, &p->tensor[i].patches, e);
    for (int i = 0; i < p->steps && !bad; i++) {
        struct engine_step *s = &p->step[i];
        if (s->gathered)
            bad = tiles_window(&p->tensor[s->in], &s->whole, &s->gather, &s->gathers, e);
        else if (s->in == NOTHING)
            need_scratch(p,
                         (size_t)p->tensor[s->codes].H * p->tensor[s->codes].W * QUAD * LANES * sizeof(real));
    }
    return bad;
}

int program_finish(struct program *p, struct err *e)
{
    int bad = p->tiled ? make_patches(p, e) : 0;
    for (int i = 0; i < p->steps && !bad; i++) {
        struct engine_step *s = &p->step[i];
        if (s->type == &step_conv) {
            need_scratch(p, conv_scratch(p, s));
            bad = finish_conv(s, e);
        }
        if (!bad)
            bad = finish_rule(p, s, e);
        if (bad && s->node)
            return err_at(e, "node %s (%s)", s->node->name, s->node->op->name);
    }
    return bad ? bad : arrange(p, e);
}

void step_deinit(struct engine_step *s)
{
    free(s->tile);
    free(s->stair);
    free(s->gather);
    free(s->source);
    if (!s->borrowed)
        free(s->w);
    if (s->thin && !s->borrowed)
        bits_free(&s->thin->w);
    free(s->thin);
    free(s->start);
    free(s->factor);
    free(s->shift);
    free(s->bound);
}

void program_deinit(struct program *p)
{
    for (int i = 0; i < p->steps; i++)
        step_deinit(&p->step[i]);
    for (int i = 0; i < p->tensors; i++)
        free(p->tensor[i].patch);
    free(p->step);
    free(p->tensor);
}
