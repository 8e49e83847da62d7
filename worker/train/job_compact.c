/* job_compact.c - what is rounded last: judged by the loss on training samples and by the file's real bytes.
 *
 * [RULE] Where the job names no price of a bit, a percent of the file is worth a percent of the loss, at the
 * first figure. A price in nats would not do: squared errors of pixels are a thousand times smaller, and a
 * large network's file is a thousand times longer. */
#include "worker/train/job_parts.h"

#include "worker/coder/qdz.h"
#include "worker/quant/compact.h"

#include <stdlib.h>

#define SAMPLES 4096 /* at most, */
#define WORK    2e9  /* and no more multiplications than this for one figure; but a batch */

struct judge {
    struct job *j;
    struct job_look look;
    double price; /* of a byte; 0: not known yet */
};

int job_affordable(const struct job *j, int batch, int64_t most, double most_work, int64_t *samples,
                   struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(j->graph, &layers, &count, e);
    double work = 0;

    for (int i = 0; !status && i < count; i++)
        work += (double)layers[i].macs;
    free(layers);
    *samples = work * (double)most > most_work ? (int64_t)(most_work / work) : most;
    *samples = *samples > batch ? *samples : batch;
    *samples = *samples < j->feed->count ? *samples : j->feed->count;
    return status;
}

struct loss_result job_look(const struct job *j, const struct job_look *l, bool gradient)
{
    const int blocks = net_blocks(l->net);
    struct loss_result sum = { 0 };

    for (int64_t at = l->from; at < l->from + l->samples; at += l->batch) {
        const int64_t left = l->from + l->samples - at;
        const int samples = left < l->batch ? (int)left : l->batch;
        j->feed->type->fill(j->feed, j->pool, at, samples, blocks, net_input(l->net), l->target);
        net_forward(l->net, samples, false, 0);
        const struct loss_result one = j->loss->run(
            &(struct loss_call){ .y = net_output(l->net, 0),
                                 .target = l->target,
                                 .features = (int)shape_count(&j->graph->value[j->graph->output[0]].shape),
                                 .samples = samples,
                                 .blocks = blocks,
                                 .gradient = gradient ? net_output_gradient(l->net, 0) : NULL });
        sum.loss += one.loss;
        sum.correct += one.correct;
    }
    return sum;
}

static int cost(void *arg, double *cost, struct err *e)
{
    struct judge *k = arg;
    struct buf file;

    buf_init(&file, (size_t)1 << 31);
    const int status = qdz_encode(k->j->graph, coder_find("cabac"), &file, NULL, NULL, NULL, e);
    const double loss = job_look(k->j, &k->look, false).loss / (double)k->look.samples;
    if (!status && !(k->price > 0))
        k->price = loss / (double)file.length;
    *cost = loss + k->price * (double)file.length;
    buf_free(&file);
    return status;
}

int job_compact(struct job *j, struct err *e)
{
    struct target target = { 0 };
    struct judge k = { .j = j,
                       .look = { .target = &target, .batch = (int)job_settings(j).batch_size },
                       .price = 8 * job_rate_lambda(j) };
    const struct compact_judge judge = { &k, cost };
    struct net_options o = job_net_options(j, false, k.look.batch);
    int status = trainer_target(&target, j->loss, j->graph, k.look.batch, e);

    o.codes = false;
    j->feed->augment = false;
    j->feed->type->shuffle(j->feed, 0);
    if (!status)
        status = job_affordable(j, k.look.batch, SAMPLES, WORK, &k.look.samples, e);
    if (!status)
        status = net_new(j->graph, &o, &k.look.net, e);
    if (!status)
        status = compact_graph(j->graph, &judge, e);
    net_free(k.look.net);
    trainer_target_free(&target);
    return status;
}
