#include "worker/engine/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "worker/engine/program.h"
#include "worker/op/op.h"

#include <stdlib.h>

struct engine {
    struct program program;
    struct pool *pool;
    struct frame *frame; /* per thread */
    int threads;
    size_t in, out;  /* reals of one block */
    double *seconds; /* per step; borrowed; NULL */
    const real *x;
    real *y;
};

static size_t thread_bytes(const struct engine *n)
{
    return n->program.arena + n->program.scratch + (size_t)n->program.graph->values * sizeof(real *);
}

size_t engine_bytes(const struct engine *n)
{
    return thread_bytes(n) * (size_t)n->threads;
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
        f->program = &n->program;
        f->arena = mem_aligned(64, n->program.arena);
        f->scratch = mem_aligned(64, n->program.scratch);
        f->value = mem_array((size_t)n->program.graph->values, sizeof *f->value);
        if (!f->arena || !f->scratch || !f->value)
            return err_set(e, ERR_NOMEM, "out of memory for the integer engine");
    }
    return n->frame ? 0 : err_set(e, ERR_NOMEM, "out of memory for the integer engine");
}

int engine_new(const struct graph *g, const struct engine_options *o, struct engine **out, struct err *e)
{
    struct engine *n = mem_alloc(sizeof *n);
    *out = NULL;
    if (!n)
        return err_set(e, ERR_NOMEM, "out of memory for the integer engine");
    n->program.graph = g;
    n->program.kernels = o->kernels ? o->kernels : kernels_best();
    n->program.bits = o->bits;
    n->pool = o->pool;
    n->threads = o->pool ? pool_threads(o->pool) : 1;
    n->in = (size_t)shape_count(&g->value[g->input].shape) * LANES;
    n->out = (size_t)shape_count(&g->value[g->output[0]].shape) * LANES;
    int bad = program_compile(&n->program, e);
    if (!bad)
        bad = program_finish(&n->program, e);
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
        free(n->frame[t].value);
    }
    free(n->frame);
    program_deinit(&n->program);
    free(n);
}

int engine_steps(const struct engine *n)
{
    return n->program.steps;
}

struct engine_step_info engine_step(const struct engine *n, int index)
{
    const struct engine_step *s = &n->program.step[index];
    return (struct engine_step_info){ .type = s->type->name,
                                      .node = s->node ? s->node->name : "",
                                      .macs = s->type == &step_conv ? conv_macs(&s->k.conv) : 0,
                                      .bits = s->thin };
}

void engine_profile(struct engine *n, double *seconds)
{
    n->seconds = seconds;
}

static void run_steps(const struct engine *n, const struct frame *f)
{
    for (int i = 0; i < n->program.steps; i++) {
        const int64_t begin = n->seconds ? clock_mono_ns() : 0;
        n->program.step[i].type->run(f, &n->program.step[i]);
        if (n->seconds)
            n->seconds[i] += (double)(clock_mono_ns() - begin) * 1e-9;
    }
}

static void run_blocks(void *arg, int lo, int hi, int thread)
{
    const struct engine *n = arg;
    struct frame *f = &n->frame[thread];
    for (int b = lo; b < hi; b++) {
        f->x = n->x + (size_t)b * n->in;
        f->y = n->y + (size_t)b * n->out;
        run_steps(n, f);
    }
}

void engine_run(struct engine *n, const real *x, int blocks, real *y)
{
    n->x = x;
    n->y = y;
    if (n->pool)
        pool_run(n->pool, run_blocks, n, blocks);
    else
        run_blocks(n, 0, blocks, 0);
}
