/* levels.c - learned levels (QuantdLevels) as codes whose bits are planes of a basis (LQ-Nets, Zhang et al.,
 * arXiv 1807.10029, equation 4). A file has the sorted levels alone: their basis is found again. */
#include "worker/engine/compile.h"

#include "base/mem.h"
#include "worker/op/op.h"

/* Sums of floats in another order differ by so much of the whole range. */
#define SLACK 1e-5

/* The level nearest to `value` that has no code yet; -1: there is none. */
static int find_level(const real *level, int count, const bool *coded, double value)
{
    int best = -1;
    for (int j = 0; j < count; j++)
        if (!coded[j] && (best < 0 || fabs((double)level[j] - value) < fabs((double)level[best] - value)))
            best = j;
    return best >= 0 && fabs((double)level[best] - value) <= SLACK * (double)(level[count - 1] - level[0])
               ? best
               : -1;
}

/* Above the least level lie all sums of some positive numbers. The least that is not explained yet is the
 * next of them; with it, all sums so far are found once more. */
static bool find_basis(const real *level, int count, struct planes *p, uint8_t *code)
{
    bool coded[16] = { true };
    double sum[16] = { 0 };
    *p = (struct planes){ .base = (double)level[0] };
    code[0] = 0;
    for (int k = 0; 1 << k < count; k++, p->count++) {
        int first = 1;
        while (coded[first])
            first++;
        p->worth[k] = (double)level[first] - p->base;
        for (int e = 0; e < 1 << k; e++) {
            sum[e | 1 << k] = sum[e] + p->worth[k];
            const int j = find_level(level, count, coded, p->base + sum[e | 1 << k]);
            if (j < 0)
                return false;
            coded[j] = true;
            code[j] = (uint8_t)(e | 1 << k);
        }
    }
    return true;
}

static int read_levels(struct compile *c, const struct node *n, struct stair *s, struct planes *p)
{
    const struct value *threshold = &c->g->value[n->input[1]], *levels = &c->g->value[n->input[2]];
    const real *level = c->g->param + levels->offset;
    const int count = (int)shape_count(&levels->shape);
    *s = (struct stair){ .count = count - 1, .least = (double)level[0], .most = (double)level[count - 1] };
    for (int k = 0; k < s->count; k++) {
        s->threshold[k] = (double)c->g->param[threshold->offset + (size_t)k];
        if (level[k] > level[k + 1])
            return compile_refuse(c, "Its levels do not rise");
    }
    if (count & (count - 1) || !(s->most > s->least) || !find_basis(level, count, p, s->code))
        return compile_refuse(c, "Its levels are not the sums of a basis");
    s->numbers = (struct fixed_stair){ .count = s->count, .start = s->code[0] };
    for (int k = 0; k < s->count; k++) {
        s->numbers.limit[k] = s->threshold[k];
        s->numbers.change[k] = s->code[k] ^ s->code[k + 1];
    }
    return 0;
}

int compile_levels(struct compile *c, const struct node *n)
{
    struct known *in = &c->known[n->input[0]];
    struct planes planes;
    struct stair stair;
    if (c->p->bits != BITS_ALWAYS)
        return compile_refuse(c, "Learned levels are no multiples of a step: engine bits runs them");
    int bad = read_levels(c, n, &stair, &planes);
    if (!bad && in->form != KNOWN_INPUT)
        bad = compile_numbers(c, n->input[0]);
    if (!bad && in->form != KNOWN_INPUT)
        bad = compile_keeps_shape(c, in->tensor, n->output[0]);
    if (bad)
        return bad;
    const int t = program_add_activation(c->p, TENSOR_CODES, &c->g->value[n->output[0]].shape, c->e);
    struct engine_step *s = t < 0 ? NULL : program_add_step(c->p, &step_stair, n, c->e);
    if (!s)
        return ERR_NOMEM;
    c->p->tensor[t].bound = fmax(fabs(stair.least), fabs(stair.most));
    s->in = in->form == KNOWN_INPUT ? NOTHING : in->tensor;
    s->codes = t;
    s->stair = mem_alloc(sizeof *s->stair);
    if (!s->stair)
        return err_set(c->e, ERR_NOMEM, "out of memory");
    *s->stair = stair;
    c->known[n->output[0]] = (struct known){ .form = KNOWN_LEVELS, .tensor = t, .planes = planes };
    return 0;
}

/* --- as a step -------------------------------------------------------------------------------------------
 */

static uint8_t code_of(const struct stair *s, real x)
{
    int k = 0;
    while (k < s->count && x > (real)s->threshold[k])
        k++;
    return s->code[k];
}

/* Real numbers of the sample: rows of up to four channels. */
static void quantize_input(const struct frame *f, const struct engine_step *s, const struct activation *t,
                           int channel, int channels)
{
    const size_t row = (size_t)t->W * LANES;
    const real *x = frame_input(f, t, channel, channels);
    uint8_t *code = frame_codes(f, s->codes) + channel / QUAD * activation_plane(t) * PIXEL;
    for (int h = 0; h < t->H; h++, code += activation_row(t) * PIXEL) {
        memset(code, 0, row * QUAD);
        for (int c = 0; c < channels; c++)
            for (size_t i = 0; i < row; i++)
                code[i * QUAD + (size_t)c] = code_of(s->stair, x[((size_t)c * t->H + h) * row + i]);
    }
}

static void run_stair(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = &f->program->tensor[s->codes];
    const ptrdiff_t row = (ptrdiff_t)t->W * LANES, plane = t->H * row;
    for (int c = 0; c < t->C; c += QUAD) {
        const int channels = t->C - c < QUAD ? t->C - c : QUAD;
        uint8_t *code = frame_codes(f, s->codes) + c / QUAD * activation_plane(t) * PIXEL;
        if (s->in == NOTHING) {
            quantize_input(f, s, t, c, channels);
            continue;
        }
        for (int h = 0; h < t->H; h++)
            f->program->kernels->fixed->stair(code + h * activation_row(t) * PIXEL,
                                              frame_numbers(f, s->in) + c * plane + h * row, plane, channels,
                                              (size_t)row, &s->stair->numbers);
    }
}

const struct step_type step_stair = { "levels", run_stair };
