#include "worker/bench_engine.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/bench_model.h"
#include "worker/bench_time.h"
#include "worker/kernels/kernels.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct bench {
    const struct bench_options *options;
    struct graph *graph;
    struct quant *quant;
    struct pool *pool;
    struct engine *engine;
    real *x, *y;        /* one batch in lanes */
    double *now, *best; /* seconds per step; NULL unless they are asked for */
    uint64_t macs;
};

static bool is_quantized(const struct graph *g)
{
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].codes)
            return true;
    return false;
}

static real *make_batch(const struct bench *b, int value)
{
    const size_t blocks = ((size_t)b->options->batch + LANES - 1) / LANES;
    return mem_aligned(64,
                       (size_t)shape_count(&b->graph->value[value].shape) * LANES * blocks * sizeof(real));
}

static int prepare(struct bench *b, const struct engine_kind *kind, struct err *e)
{
    const struct bench_options *o = b->options;
    const struct engine_options options = { .kernels = o->kernels ? kernels_find(o->kernels) : kernels_best(),
                                            .pool = b->pool,
                                            .bits = kind->bits };
    struct rng r = rng_at(1, 1, 0);
    int status = bench_model_load(o, &b->graph, e);

    if (!status && !is_quantized(b->graph)) {
        status = bench_model_quantize(o, b->graph, &b->quant, e);
        if (!status)
            status = bench_model_stored(&b->graph, b->quant, e);
    }
    if (status)
        return status;
    if (!options.kernels)
        return err_set(e, ERR_UNSUPPORTED, "this CPU has no %s kernels", o->kernels);
    if ((status = engine_new(b->graph, &options, &b->engine, e)))
        return status;
    b->x = make_batch(b, b->graph->input);
    b->y = make_batch(b, b->graph->output[0]);
    b->now = o->layers ? mem_array((size_t)engine_steps(b->engine, b->options->batch), sizeof *b->now) : NULL;
    b->best =
        o->layers ? mem_array((size_t)engine_steps(b->engine, b->options->batch), sizeof *b->best) : NULL;
    if (!b->x || !b->y || (o->layers && (!b->now || !b->best)))
        return err_set(e, ERR_NOMEM, "out of memory");
    const size_t inputs = (size_t)shape_count(&b->graph->value[b->graph->input].shape) * LANES;
    for (size_t i = 0; i < inputs * (((size_t)o->batch + LANES - 1) / LANES); i++)
        b->x[i] = (real)rng_uniform(&r);
    for (int i = 0; i < engine_steps(b->engine, b->options->batch); i++) {
        b->macs += engine_step(b->engine, b->options->batch, i).macs;
        if (b->best)
            b->best[i] = INFINITY;
    }
    engine_profile(b->engine, o->batch, b->now);
    return 0;
}

static int one_step(void *arg, struct err *e)
{
    struct bench *b = arg;
    (void)e;

    engine_run(b->engine, b->x, b->options->batch, b->y);
    for (int i = 0; b->now && i < engine_steps(b->engine, b->options->batch); i++) {
        b->best[i] = fmin(b->best[i], b->now[i]);
        b->now[i] = 0;
    }
    return 0;
}

/* Milliseconds, and the share of the fp32 peak for what multiplies. */
static void print_steps(const struct bench *b, double peak)
{
    printf("%-28s %-10s %-6s %12s %8s\n", "node", "step", "", "ms", "share");
    for (int i = 0; i < engine_steps(b->engine, b->options->batch); i++) {
        const struct engine_step_info s = engine_step(b->engine, b->options->batch, i);
        printf("%-28.28s %-10s %-6s %12.4f", s.node, s.type, s.bits ? "bits" : "", b->best[i] * 1e3);
        if (s.macs)
            printf(" %8.2f", 2e-9 * (double)s.macs * b->options->batch / b->best[i] / peak);
        putchar('\n');
    }
}

static void print(const struct bench *b, const struct bench_time *best)
{
    const struct bench_options *o = b->options;
    const char *kernels = o->kernels ? o->kernels : kernels_best()->name;
    const double peak = kernels_peak(kernels_find(kernels), 0.3) * o->threads;
    const double flops = 2 * (double)b->macs * o->batch;
    json_t *line = json_pack("{s:s, s:s, s:i, s:i, s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "model",
                             o->model, "mode", o->mode, "batch", o->batch, "threads", o->threads, "kernels",
                             kernels, "bit_layers", engine_bit_layers(b->engine), "macs", (json_int_t)b->macs,
                             "images_per_s", o->batch / best->wall_s, "ms_per_step", best->wall_s * 1e3,
                             "cpu_ms_per_step", best->cpu_s * 1e3, "mean_ms_per_step", best->mean_s * 1e3,
                             "peak_gflops", peak, "share_of_peak", flops / best->wall_s * 1e-9 / peak);

    if (o->layers)
        print_steps(b, peak);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    json_decref(line);
}

int bench_engine(const struct bench_options *o, const struct engine_kind *kind)
{
    struct bench b = { .options = o, .pool = pool_new(o->threads) };
    struct err e = { 0 };
    struct bench_time best;
    int status = b.pool ? prepare(&b, kind, &e) : err_set(&e, ERR_NOMEM, "out of memory");

    if (!status)
        status = bench_time_measure(one_step, &b, o->seconds, &best, &e);
    if (status)
        log_error("%s%s%s", e.text, e.place[0] ? " at " : "", e.place);
    else
        print(&b, &best);
    engine_free(b.engine);
    quant_free(b.quant);
    graph_free(b.graph);
    pool_free(b.pool);
    free(b.x);
    free(b.y);
    free(b.now);
    free(b.best);
    return status ? EXIT_FAILURE : 0;
}
