#include "worker/bench.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/bench_engine.h"
#include "worker/bench_layers.h"
#include "worker/bench_model.h"
#include "worker/bench_time.h"
#include "worker/graph/precision.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/method.h"
#include "worker/train/trainer.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* One benchmark: a network on noise, answers at random. Nothing is learned from it but time. */
struct bench {
    const struct bench_options *options;
    struct graph *graph;
    struct pool *pool;
    struct net *net;
    struct quant *quant;
    struct feed feed;
    real *noise; /* one batch of inputs, copied for each step */
    struct trainer trainer;
    struct control control;
    struct bench_layers *layers; /* NULL unless they are asked for */
    uint64_t macs;
    int64_t parameters; /* as the network came, without what quantization adds */
};

static void fill(struct feed *f, struct pool *p, int64_t start, int samples, int blocks, real *x,
                 const struct target *t)
{
    const struct bench *b = (const struct bench *)((const char *)f - offsetof(struct bench, feed));
    const struct shape *in = &b->graph->value[b->graph->input].shape;
    (void)p;
    (void)start;

    memcpy(x, b->noise, (size_t)blocks * (size_t)shape_count(in) * LANES * sizeof *x);
    for (int i = 0; t->label && i < samples; i++)
        t->label[i] = (int32_t)(i % b->trainer.features);
}

static void shuffle(struct feed *f, uint64_t epoch)
{
    f->epoch = epoch;
}

static const struct feed_type noise_feed = { shuffle, fill, NULL, NULL };

static int make_noise(struct bench *b, struct err *e)
{
    size_t count =
        (size_t)net_blocks(b->net) * (size_t)shape_count(&b->graph->value[b->graph->input].shape) * LANES;
    struct rng r = rng_at(1, 1, 0);

    b->noise = mem_aligned(64, count * sizeof *b->noise);
    if (!b->noise)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        b->noise[i] = (real)rng_uniform(&r);
    b->feed = (struct feed){ .type = &noise_feed, .count = INT64_MAX / 4, .seed = 1 };
    return 0;
}

static void no_metric(void *arg, const char *series, int64_t step, double value)
{
    (void)arg;
    (void)series;
    (void)step;
    (void)value;
}

static int no_save(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

static int no_judge(void *arg, int64_t step, double train_share, struct err *e)
{
    (void)arg;
    (void)step;
    (void)train_share;
    (void)e;
    return 0;
}

static int prepare(struct bench *b, struct err *e)
{
    const struct bench_options *o = b->options;
    bool train = strcmp(o->mode, "eval") != 0;
    struct layer *layers = NULL;
    int count, status;

    if ((status = bench_model_load(o, &b->graph, e)))
        return status;
    b->parameters = graph_trainable(b->graph);
    if (strcmp(o->mode, "qat") == 0 && (status = bench_model_quantize(o, b->graph, &b->quant, e)))
        return status;
    struct net_options n = { .batch = o->batch,
                             .train = train,
                             .seed = 1,
                             .pool = b->pool,
                             .precision = (enum precision)precision_find(o->precision),
                             .codes = true,
                             .kernels = o->kernels ? kernels_find(o->kernels) : kernels_best() };
    if (!n.kernels)
        return err_set(e, ERR_UNSUPPORTED, "this CPU has no %s kernels", o->kernels);
    if ((status = net_new(b->graph, &n, &b->net, e)) || (status = make_noise(b, e)) ||
        (status = graph_layers(b->graph, &layers, &count, e)))
        return status;
    for (int i = 0; i < count; i++)
        b->macs += layers[i].macs;
    free(layers);
    const struct shape *out = &b->graph->value[b->graph->output[0]].shape;
    b->trainer = (struct trainer){
        .settings = { .epochs = 1,
                      .batch_size = o->batch,
                      .learning_rate = 1e-6,
                      .momentum = 0.9,
                      .weight_decay = 1e-4,
                      .optimizer = optimizer_find("sgd"),
                      .schedule = schedule_find("constant"),
                      .loss = out->rank <= 1 ? &loss_cross_entropy : &loss_l2,
                      .lambda = 1,
                      .coefficient = -1 },
        .graph = b->graph,
        .net = b->net,
        .pool = b->pool,
        .feed = &b->feed,
        .quant = b->quant,
        .method = b->quant ? method_find("msqe") : NULL,
        .control = &b->control,
        .sink = { NULL, no_metric, no_save, no_judge },
        .features = (int)shape_count(out),
    };
    if (o->layers && !(b->layers = bench_layers_new(b->net, b->graph)))
        return err_set(e, ERR_NOMEM, "out of memory");
    return trainer_init(&b->trainer, e);
}

static int one_step(void *arg, struct err *e)
{
    struct bench *b = arg;
    int status = 0;

    if (strcmp(b->options->mode, "eval") != 0) {
        status = trainer_step(&b->trainer, e);
    } else {
        fill(&b->feed, b->pool, 0, b->options->batch, net_blocks(b->net), net_input(b->net),
             &b->trainer.target);
        net_forward(b->net, b->options->batch, false, 0);
    }
    if (b->layers)
        bench_layers_step(b->layers);
    return status;
}

static void print(const struct bench *b, const struct bench_time *best)
{
    const struct bench_options *o = b->options;
    const char *kernels = o->kernels ? o->kernels : kernels_best()->name;
    double peak = kernels_peak(kernels_find(kernels), 0.3) * o->threads;
    /* forward, data gradient, weight gradient: three times two operations per multiply-accumulate */
    double flops = (double)b->macs * o->batch * (strcmp(o->mode, "eval") == 0 ? 2 : 6);
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "model", o->model,
                  "mode", o->mode, "precision", o->precision, "batch", o->batch, "threads", o->threads,
                  "kernels", kernels, "parameters", (json_int_t)b->parameters, "macs", (json_int_t)b->macs,
                  "images_per_s", o->batch / best->wall_s, "ms_per_step", best->wall_s * 1e3,
                  "cpu_ms_per_step", best->cpu_s * 1e3, "mean_ms_per_step", best->mean_s * 1e3, "peak_gflops",
                  peak, "share_of_peak", flops / best->wall_s * 1e-9 / peak);

    if (b->layers)
        bench_layers_print(b->layers, o->batch, peak);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    json_decref(line);
}

static int run_net(const struct bench_options *o)
{
    struct bench b = { .options = o, .pool = pool_new(o->threads) };
    struct err e = { 0 };
    struct bench_time best;
    int status = b.pool ? prepare(&b, &e) : err_set(&e, ERR_NOMEM, "out of memory");

    if (!status)
        status = bench_time_measure(one_step, &b, o->seconds, &best, &e);
    if (status)
        log_error("%s%s%s", e.text, e.place[0] ? " at " : "", e.place);
    else
        print(&b, &best);
    trainer_deinit(&b.trainer);
    bench_layers_free(b.layers);
    net_free(b.net);
    quant_free(b.quant);
    graph_free(b.graph);
    pool_free(b.pool);
    free(b.noise);
    return status ? EXIT_FAILURE : 0;
}

int bench_run(const struct bench_options *o)
{
    const struct engine_kind *kind = engine_kind_find(o->mode);

    return kind ? bench_engine(o, kind) : run_net(o);
}
