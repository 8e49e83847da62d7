/* steps.c - what each step of a program does with one block. */
#include "worker/engine/program.h"
#include "worker/op/op.h"
#include "worker/op/window.h"

enum { NUMBERS = LANES * sizeof(double) }; /* bytes of a pixel */

static const struct activation *activation_at(const struct frame *f, int index)
{
    return &f->program->tensor[index];
}

static struct int8_codes rule_of(const struct engine_step *s)
{
    const struct quantizer *q = &s->quantizer;
    return (struct int8_codes){ .factor = s->rule, .zero = q->zero, .low = q->low, .high = q->high };
}

/* Up to four channels of one sample as tiles; zeros outside of the picture. */
static const real *tile_input(const struct frame *f, const struct activation *t, int channel, int channels)
{
    const size_t plane = (size_t)t->height * t->width;
    const real *x = f->x + (size_t)channel * plane * LANES + f->sample;
    real *to = f->scratch;
    if (t->height < t->H * GRID || t->width < t->W * GRID)
        memset(to, 0, (size_t)channels * t->H * t->W * LANES * sizeof *to);
    for (int c = 0; c < channels; c++)
        for (int h = 0; h < t->height; h++)
            for (int w = 0; w < t->width; w += t->W) {
                const int columns = t->width - w < t->W ? t->width - w : t->W;
                real *row = to + tiles_place(t, c, h, w);
                for (int i = 0; i < columns; i++, x += LANES)
                    row[i * LANES] = *x;
            }
    return to;
}

const real *frame_input(const struct frame *f, const struct activation *t, int channel, int channels)
{
    return f->program->tiled ? tile_input(f, t, channel, channels)
                             : f->x + (ptrdiff_t)channel * t->H * t->W * LANES;
}

/* Real numbers of the sample to codes, by a true division as QuantizeLinear has it. */
static void run_input(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->codes);
    const struct quantizer *q = &s->quantizer;
    const struct quant_range r = { (real)q->scale, (real)q->zero, (real)q->low, (real)q->high, 0 };
    const ptrdiff_t plane = (ptrdiff_t)t->H * t->W * LANES;
    uint8_t *code = frame_codes(f, s->codes);
    for (int c = 0; c < t->C; c += QUAD) {
        const int channels = t->C - c < QUAD ? t->C - c : QUAD;
        const real *x = frame_input(f, t, c, channels);
        for (int h = 0; h < t->H; h++)
            f->program->kernels->int8->codes(
                code + (c / QUAD * activation_plane(t) + h * activation_row(t)) * PIXEL,
                x + (ptrdiff_t)h * t->W * LANES, plane, channels, (size_t)t->W, &r);
    }
}

/* The codes that a convolution reads: the input's, or windows that are gathered from its tiles. */
static struct int8_in conv_input(const struct frame *f, const struct engine_step *s)
{
    const struct activation *in = activation_at(f, s->in);
    const struct conv *c = &s->k.conv;
    uint8_t *code = frame_codes(f, s->in), *window = f->scratch;
    if (!s->gathered)
        return (struct int8_in){ code, activation_row(in), activation_plane(in), 0, true };
    f->program->kernels->fixed->patch(s->gather, s->gathers, in->zero, code, activation_plane(in), window,
                                      (ptrdiff_t)c->H * c->W, quads(c->C));
    return (struct int8_in){ window, c->W, (ptrdiff_t)c->H * c->W, 0, true };
}

static void run_conv(const struct frame *f, const struct engine_step *s)
{
    const struct int8_in x = conv_input(f, s);
    void *scratch = (char *)f->scratch + (s->gathered ? step_window(s) : 0);
    struct int8_out y = int8_dense_out(&s->k.conv, s->form, f->y);
    y.start = s->start;
    y.factor = s->factor;
    y.shift = s->shift;
    if (s->form == INT8_CODES) {
        const struct activation *out = activation_at(f, s->codes);
        y.at = frame_codes(f, s->codes);
        y.row = activation_row(out);
        y.plane = activation_plane(out);
        y.zero = s->quantizer.zero;
        y.low = s->quantizer.low;
        y.high = s->quantizer.high;
    } else if (s->form == INT8_NUMBERS) {
        y.at = s->out == NOTHING ? NULL : frame_numbers(f, s->out);
        y.more = s->more == NOTHING ? NULL : frame_numbers(f, s->more);
        y.least = s->low;
        y.most = s->high;
        if (s->codes != NOTHING) {
            const struct activation *out = activation_at(f, s->codes);
            y.codes = rule_of(s);
            y.codes.at = frame_codes(f, s->codes);
            y.codes.row = activation_row(out);
            y.codes.plane = activation_plane(out);
        }
    }
    if (s->thin)
        bits_of(f->program->kernels)->conv(&s->thin->k, &x, &s->thin->w, &y, 0, 1, scratch);
    else
        f->program->kernels->int8->conv(&s->k, &x, s->w, &y, 0, 1, scratch);
}

static void run_add(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->out);
    f->program->kernels->fixed->add(frame_numbers(f, s->out), frame_numbers(f, s->in),
                                    s->more == NOTHING ? NULL : frame_numbers(f, s->more),
                                    (size_t)t->C * t->H * t->W * LANES, s->low, s->high);
}

static void run_codes(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->codes);
    const struct int8_codes rule = rule_of(s);
    const ptrdiff_t plane = (ptrdiff_t)t->H * t->W * LANES;
    const double *x = frame_numbers(f, s->in);
    uint8_t *code = frame_codes(f, s->codes);
    for (int c = 0; c < t->C; c += QUAD)
        for (int h = 0; h < t->H; h++) {
            int channels = t->C - c < QUAD ? t->C - c : QUAD;
            f->program->kernels->fixed->codes(
                code + (c / QUAD * activation_plane(t) + h * activation_row(t)) * PIXEL,
                x + c * plane + (ptrdiff_t)h * t->W * LANES, plane, channels, (size_t)t->W * LANES, &rule);
        }
}

static void run_numbers(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->in);
    const uint8_t *code = frame_codes(f, s->in);
    double *y = frame_numbers(f, s->out);
    for (int c = 0; c < t->C; c++)
        for (int h = 0; h < t->H; h++, y += (ptrdiff_t)t->W * LANES)
            f->program->kernels->fixed->numbers(
                y, code + (c / QUAD * activation_plane(t) + h * activation_row(t)) * PIXEL, c % QUAD,
                (size_t)t->W * LANES, s->quantizer.zero, s->rule);
}

/* A pass over the taps of every window; in and out are images of pixels of so many bytes. */
typedef void window_fn(const struct frame *f, char *y, const char *x, bool first);

static void each_tap(const struct frame *f, const struct engine_step *s, ptrdiff_t pixel, char *y,
                     ptrdiff_t y_row, const char *x, ptrdiff_t x_row, window_fn *fn)
{
    const struct window *w = s->window;
    for (int oh = 0; oh < w->OH; oh++)
        for (int ow = 0; ow < w->OW; ow++) {
            const struct span v = window_rows(w, oh), h = window_columns(w, ow);
            for (int i = v.lo; i < v.hi; i++)
                for (int j = h.lo; j < h.hi; j++)
                    fn(f, y + (oh * y_row + ow) * pixel,
                       x + ((v.at + i * w->dilation_h) * x_row + h.at + j * w->dilation_w) * pixel,
                       i == v.lo && j == h.lo);
        }
}

static void max_codes(const struct frame *f, char *y, const char *x, bool first)
{
    if (first)
        memcpy(y, x, PIXEL);
    else
        f->program->kernels->fixed->max_codes((uint8_t *)y, (const uint8_t *)x, 1);
}

static void max_numbers(const struct frame *f, char *y, const char *x, bool first)
{
    if (first)
        memcpy(y, x, NUMBERS);
    else
        f->program->kernels->fixed->max((double *)y, (const double *)x, LANES);
}

static void run_max(const struct frame *f, const struct engine_step *s)
{
    const struct activation *in = activation_at(f, s->in);
    if (in->form == TENSOR_CODES) {
        const struct activation *out = activation_at(f, s->codes);
        for (int q = 0; q < quads(in->C); q++)
            each_tap(f, s, PIXEL, (char *)frame_codes(f, s->codes) + q * activation_plane(out) * PIXEL,
                     activation_row(out),
                     (const char *)frame_codes(f, s->in) + q * activation_plane(in) * PIXEL,
                     activation_row(in), max_codes);
        return;
    }
    const struct activation *out = activation_at(f, s->out);
    for (int c = 0; c < in->C; c++)
        each_tap(f, s, NUMBERS, (char *)(frame_numbers(f, s->out) + c * activation_plane(out) * LANES),
                 activation_row(out),
                 (const char *)(frame_numbers(f, s->in) + c * activation_plane(in) * LANES),
                 activation_row(in), max_numbers);
}

static void add_all(const double *x, double steps, int64_t sum[LANES])
{
    for (int l = 0; l < LANES; l++)
        sum[l] += (int64_t)(x[l] * steps);
}

/* The lanes of a pixel that lie inside the picture. */
static void add_tiles(const struct activation *t, int h, int w, const double *x, double steps,
                      int64_t sum[LANES])
{
    if ((GRID - 1) * t->H + h < t->height && (GRID - 1) * t->W + w < t->width) {
        add_all(x, steps, sum);
        return;
    }
    for (int l = 0; l < LANES; l++)
        if (l / GRID * t->H + h < t->height && l % GRID * t->W + w < t->width)
            sum[l] += (int64_t)(x[l] * steps);
}

static void run_mean_of_tiles(const struct frame *f, const struct engine_step *s)
{
    const struct activation *in = activation_at(f, s->in);
    const double *x = frame_numbers(f, s->in);
    double *y = frame_numbers(f, s->out);
    memset(y, 0, (size_t)in->C * LANES * sizeof *y);
    for (int c = 0; c < in->C; c++, y += LANES) {
        int64_t sum[LANES] = { 0 };
        for (int h = 0; h < in->H; h++)
            for (int w = 0; w < in->W; w++, x += LANES)
                add_tiles(in, h, w, x, s->rule, sum);
        for (int l = 1; l < LANES; l++)
            sum[0] += sum[l];
        *y = (double)sum[0] / (in->height * in->width) / s->rule;
    }
}

/* The mean of a channel of the whole image, by a sum of integers: the order of its terms does not matter. */
static void run_mean(const struct frame *f, const struct engine_step *s)
{
    const struct activation *in = activation_at(f, s->in);
    const double *x = frame_numbers(f, s->in);
    double *y = frame_numbers(f, s->out);
    const int pixels = in->H * in->W;
    if (f->program->tiled) {
        run_mean_of_tiles(f, s);
        return;
    }
    for (int c = 0; c < in->C; c++, y += LANES) {
        int64_t sum[LANES] = { 0 };
        for (int i = 0; i < pixels; i++, x += LANES)
            add_all(x, s->rule, sum);
        for (int l = 0; l < LANES; l++)
            y[l] = (double)sum[l] / pixels / s->rule;
    }
}

static void move_tiles(const struct engine_step *s, const double *x, double *y)
{
    for (const struct patch *p = s->gather; p < s->gather + s->gathers; p++)
        for (int l = 0; l < LANES; l++)
            y[p->to * LANES + l] = p->from[l] == NOWHERE ? 0 : x[p->from[l]];
}

/* Whole pixels, or each lane of a tile from somewhere else. */
static void run_move(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->out);
    const double *x = frame_numbers(f, s->in);
    double *y = frame_numbers(f, s->out);
    if (s->gather) {
        move_tiles(s, x, y);
        return;
    }
    for (int i = 0; i < t->C * t->H * t->W; i++, y += LANES)
        if (s->source[i] < 0)
            memset(y, 0, NUMBERS);
        else
            memcpy(y, x + (ptrdiff_t)s->source[i] * LANES, NUMBERS);
}

static void run_output(const struct frame *f, const struct engine_step *s)
{
    const struct activation *t = activation_at(f, s->in);
    const double *x = frame_numbers(f, s->in);
    for (size_t i = 0; i < (size_t)t->C * t->H * t->W * LANES; i++)
        f->y[i] = (real)x[i];
}

const struct step_type step_input = { "input", run_input }, step_conv = { "conv", run_conv },
                       step_add = { "add", run_add }, step_codes = { "codes", run_codes },
                       step_numbers = { "numbers", run_numbers }, step_max = { "max", run_max },
                       step_mean = { "mean", run_mean }, step_move = { "move", run_move },
                       step_output = { "output", run_output };
