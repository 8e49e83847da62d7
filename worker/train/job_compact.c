/* job_compact.c - what is rounded last: judged by the loss on training samples and by the file's real bytes.
 */
#include "worker/train/job_parts.h"

#include "worker/coder/qdz.h"
#include "worker/quant/compact.h"

#include <stdlib.h>

#define SAMPLES     4096 /* at most, */
#define WORK        2e9  /* and no more multiplications than this for one figure; but a batch */
#define LEAST_PRICE 1e-6 /* nats a bit where the job names none */

struct judge {
    struct job *j;
    struct net *net;
    struct target target;
    int batch;
    int64_t samples;
};

static int affordable(const struct job *j, int batch, int64_t *samples, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = graph_layers(j->graph, &layers, &count, e);
    double work = 0;

    for (int i = 0; !status && i < count; i++)
        work += (double)layers[i].macs;
    free(layers);
    *samples = work * SAMPLES > WORK ? (int64_t)(WORK / work) : SAMPLES;
    *samples = *samples > batch ? *samples : batch;
    *samples = *samples < j->feed->count ? *samples : j->feed->count;
    return status;
}

/* Mean loss of the first samples, as they are. */
static double mean_loss(const struct judge *k)
{
    const struct job *j = k->j;
    const int blocks = net_blocks(k->net);
    double sum = 0;

    for (int64_t at = 0; at < k->samples; at += k->batch) {
        const int samples = k->samples - at < k->batch ? (int)(k->samples - at) : k->batch;
        j->feed->type->fill(j->feed, j->pool, at, samples, blocks, net_input(k->net), &k->target);
        net_forward(k->net, samples, false, 0);
        sum += j->loss
                   ->run(&(struct loss_call){
                       .y = net_output(k->net, 0),
                       .target = &k->target,
                       .features = (int)shape_count(&j->graph->value[j->graph->output[0]].shape),
                       .samples = samples,
                       .blocks = blocks })
                   .loss;
    }
    return sum / (double)k->samples;
}

static int cost(void *arg, double *cost, struct err *e)
{
    const struct judge *k = arg;
    const double lambda = job_rate_lambda(k->j);
    struct buf file;

    buf_init(&file, (size_t)1 << 31);
    const int status = qdz_encode(k->j->graph, coder_find("cabac"), &file, NULL, NULL, NULL, e);
    *cost = mean_loss(k) + (lambda > LEAST_PRICE ? lambda : LEAST_PRICE) * 8 * (double)file.length;
    buf_free(&file);
    return status;
}

int job_compact(struct job *j, struct err *e)
{
    struct judge k = { .j = j, .batch = (int)job_settings(j).batch_size };
    const struct compact_judge judge = { &k, cost };
    struct net_options o = job_net_options(j, false, k.batch);
    int status = trainer_target(&k.target, j->loss, j->graph, k.batch, e);

    o.precision = PRECISION_FP32;
    j->feed->augment = false;
    j->feed->type->shuffle(j->feed, 0);
    if (!status)
        status = affordable(j, k.batch, &k.samples, e);
    if (!status)
        status = net_new(j->graph, &o, &k.net, e);
    if (!status)
        status = compact_graph(j->graph, &judge, e);
    net_free(k.net);
    trainer_target_free(&k.target);
    return status;
}
