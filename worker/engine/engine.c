#include "worker/engine/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "worker/engine/program.h"
#include "worker/op/op.h"

#include <stdlib.h>

struct engine {
    struct program program, single; /* for a block; for one sample, no steps: there is none */
    struct pool *pool;
    struct frame *frame; /* per thread */
    int threads;
    size_t in, out;  /* reals of one block */
    double *seconds; /* per step of `timed`; borrowed; NULL */
    const struct program *timed;
    int few; /* samples of a block that are sooner done one by one */
    int samples;
    const real *x;
    real *y;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t arena_bytes(const struct engine *n)
{
    return larger(n->program.arena, n->single.arena);
}

static size_t scratch_bytes(const struct engine *n)
{
    return larger(n->program.scratch, n->single.scratch);
}

static size_t thread_bytes(const struct engine *n)
{
    return arena_bytes(n) + scratch_bytes(n) + n->out * sizeof(real);
}

size_t engine_bytes(const struct engine *n)
{
    return thread_bytes(n) * (size_t)n->threads;
}

/* Of one layer, as int8_pack() and bits_pack() lay it out, with what its sums begin with and are worth. */
static size_t weight_bytes(const struct engine_step *s)
{
    const size_t outs = (size_t)quads(s->k.conv.O) * QUAD;
    const size_t rules = outs * ((s->start ? sizeof *s->start : 0) + (s->factor ? sizeof *s->factor : 0) +
                                 (s->shift ? sizeof *s->shift : 0));

    if (!s->thin)
        return int8_packed(&s->k.conv) + rules;
    const struct bits_conv *b = &s->thin->k;
    const size_t steps = (size_t)bits_steps(&b->conv);
    const size_t worths = b->term[b->terms - 1].worth ? (size_t)b->terms : 1;
    return (outs * (size_t)b->w_planes * steps + steps) * sizeof *s->thin->w.word +
           outs * (worths + (size_t)b->rests + 1) * sizeof *s->thin->w.worth + rules;
}

size_t engine_weight_bytes(const struct engine *n)
{
    size_t bytes = 0;

    for (int i = 0; i < n->program.steps; i++)
        if (n->program.step[i].type == &step_conv)
            bytes += weight_bytes(&n->program.step[i]);
    return bytes;
}

int engine_bit_layers(const struct engine *n)
{
    int count = 0;
    for (int i = 0; i < n->program.steps; i++)
        count += n->program.step[i].thin != NULL;
    return count;
}

static int make_frames(struct engine *n, struct err *e)
{
    n->frame = mem_array((size_t)n->threads, sizeof *n->frame);
    for (int t = 0; t < n->threads && n->frame; t++) {
        struct frame *f = &n->frame[t];
        f->arena = mem_aligned(64, arena_bytes(n));
        f->scratch = mem_aligned(64, scratch_bytes(n));
        f->one = mem_aligned(64, n->out * sizeof *f->one);
        if (!f->arena || !f->scratch || !f->one)
            return err_set(e, ERR_NOMEM, "out of memory for the integer engine");
    }
    return n->frame ? 0 : err_set(e, ERR_NOMEM, "out of memory for the integer engine");
}

static int make_program(struct program *p, struct err *e)
{
    const int bad = program_compile(p, e);
    return bad ? bad : program_finish(p, e);
}

/* Products that a program makes for what it does at once, those in lanes without a sample included. */
static double work(const struct program *p)
{
    double macs = 0;
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].type == &step_conv)
            macs += (double)conv_macs(&p->step[i].k.conv);
    return macs;
}

/* Not every network goes into tiles, and a matrix gains nothing there. Moving the tiles' borders takes about
 * as long as a fifth of the products. */
static int make_single(struct engine *n, struct err *e)
{
    struct err why = { 0 };
    const int bad = make_program(&n->single, &why);
    if (bad == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "out of memory for the integer engine");
    n->few = bad ? 0 : (int)(work(&n->program) / (1.25 * work(&n->single)));
    if (!n->few) {
        program_deinit(&n->single);
        n->single = (struct program){ 0 };
    }
    return 0;
}

int engine_new(const struct graph *g, const struct engine_options *o, struct engine **out, struct err *e)
{
    struct engine *n = mem_alloc(sizeof *n);
    *out = NULL;
    if (!n)
        return err_set(e, ERR_NOMEM, "out of memory for the integer engine");
    n->program = n->single =
        (struct program){ .graph = g, .kernels = o->kernels ? o->kernels : kernels_best(), .bits = o->bits };
    n->single.tiled = true;
    n->single.like = &n->program;
    n->pool = o->pool;
    n->threads = o->pool ? pool_threads(o->pool) : 1;
    n->in = (size_t)shape_count(&g->value[g->input].shape) * LANES;
    n->out = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES;
    int bad = make_program(&n->program, e);
    if (!bad)
        bad = make_single(n, e);
    if (!bad && o->limit && engine_bytes(n) > o->limit)
        bad = err_set(e, ERR_MEMORY, "the integer engine needs %zu bytes, the limit is %zu", engine_bytes(n),
                      o->limit);
    if (!bad)
        bad = make_frames(n, e);
    if (bad) {
        engine_free(n);
        return bad;
    }
    *out = n;
    return 0;
}

void engine_free(struct engine *n)
{
    if (!n)
        return;
    for (int t = 0; t < n->threads && n->frame; t++) {
        free(n->frame[t].arena);
        free(n->frame[t].scratch);
        free(n->frame[t].one);
    }
    free(n->frame);
    program_deinit(&n->program);
    program_deinit(&n->single);
    free(n);
}

/* Samples at the end that go one by one. */
static int singles(const struct engine *n, int samples)
{
    const int last = samples % LANES;
    return last <= n->few ? last : 0;
}

static const struct program *program_of(const struct engine *n, int samples)
{
    return samples < LANES && singles(n, samples) ? &n->single : &n->program;
}

int engine_steps(const struct engine *n, int samples)
{
    return program_of(n, samples)->steps;
}

struct engine_step_info engine_step(const struct engine *n, int samples, int index)
{
    const struct program *p = program_of(n, samples);
    const struct engine_step *s = &p->step[index];
    return (struct engine_step_info){ .type = s->type->name,
                                      .node = s->node ? s->node->name : "",
                                      .macs = s->type == &step_conv ? conv_macs(&s->whole) : 0,
                                      .bits = s->thin,
                                      .tiled = p->tiled };
}

void engine_profile(struct engine *n, int samples, double *seconds)
{
    n->timed = program_of(n, samples);
    n->seconds = seconds;
}

static void run_steps(const struct engine *n, const struct frame *f)
{
    double *seconds = f->program == n->timed ? n->seconds : NULL;
    for (int i = 0; i < f->program->steps; i++) {
        const struct engine_step *s = &f->program->step[i];
        const int64_t begin = seconds ? clock_mono_ns() : 0;
        s->type->run(f, s);
        if (s->codes != NOTHING)
            frame_margins(f, s->codes);
        if (seconds)
            seconds[i] += (double)(clock_mono_ns() - begin) * 1e-9;
    }
}

static void run_block(const struct engine *n, struct frame *f, int block)
{
    f->program = &n->program;
    f->x = n->x + (size_t)block * n->in;
    f->y = n->y + (size_t)block * n->out;
    run_steps(n, f);
}

/* Tiles of a picture, or lane 0 of what is none, to the sample's lane. */
static void put_single(const struct engine *n, const real *one, real *y)
{
    const struct activation *t = &n->single.result;
    for (int c = 0; c < t->C; c++)
        for (int h = 0; h < t->height; h++)
            for (int w = 0; w < t->width; w++, y += LANES)
                *y = one[tiles_place(t, c, h, w)];
}

static void run_single(const struct engine *n, struct frame *f, int sample)
{
    real *y = n->y + (size_t)(sample / LANES) * n->out + sample % LANES;
    f->program = &n->single;
    f->x = n->x + (size_t)(sample / LANES) * n->in;
    f->y = f->one;
    f->sample = sample % LANES;
    run_steps(n, f);
    put_single(n, f->one, y);
}

/* Whole blocks first, then single samples. */
static void run_items(void *arg, int lo, int hi, int thread)
{
    const struct engine *n = arg;
    const int alone = singles(n, n->samples), blocks = (n->samples - alone + LANES - 1) / LANES;
    for (int i = lo; i < hi; i++)
        if (i < blocks)
            run_block(n, &n->frame[thread], i);
        else
            run_single(n, &n->frame[thread], blocks * LANES + i - blocks);
}

void engine_run(struct engine *n, const real *x, int samples, real *y)
{
    const int alone = singles(n, samples), items = (samples - alone + LANES - 1) / LANES + alone;
    n->x = x;
    n->y = y;
    n->samples = samples;
    if (n->pool)
        pool_run(n->pool, run_items, n, items);
    else
        run_items(n, 0, items, 0);
}
