/* trainer.h - stochastic gradient training of one graph, with or without quantization; stops and resumes at
 * any step with the same bits. One compute thread calls it; the pool's threads help. */
#ifndef WORKER_TRAIN_TRAINER_H
#define WORKER_TRAIN_TRAINER_H

#include "worker/quant/method.h"
#include "worker/train/loader.h"
#include "worker/train/loss.h"
#include "worker/train/optimizer.h"

#include <stdatomic.h>

/* Shared with the main thread's loop: wishes downward, progress upward. */
struct control {
    atomic_bool stop;       /* checkpoint, then return ERR_AGAIN */
    atomic_bool checkpoint; /* write one at the next step */
    _Atomic int64_t step, steps;
};

struct trainer_settings {
    int64_t epochs;
    int batch_size;
    double learning_rate, momentum, weight_decay;
    const struct optimizer *optimizer;
    const struct schedule *schedule;
    enum augment augment;
    double lambda;
};

/* Plain data: where training stands. Saved and restored as it is. */
struct trainer_position {
    int64_t epoch, sample, step; /* next epoch and sample of it; optimizer steps done */
    double epoch_loss;           /* sums over the samples of this epoch so far */
    int64_t epoch_correct;
    double span_loss; /* sums since the last point of the loss curve */
    int64_t span_samples;
    double regularizer[REGULARIZER_STATE];
};

struct trainer_piece;

/* What the trainer reports while it runs; all functions are given arg. */
struct trainer_sink {
    void *arg;
    void (*metric)(void *arg, const char *series, int64_t step, double value);
    int (*save)(void *arg, struct err *e); /* write a checkpoint now */
};

struct trainer {
    struct trainer_settings settings;
    struct graph *graph;
    struct net *net;
    struct pool *pool;
    struct loader *train, *test;
    struct quant *quant; /* NULL: float training */
    const struct method *method;
    struct control *control;
    struct trainer_sink sink;
    real *moment[2];             /* owned; layout of graph->param; [1] may be NULL */
    struct trainer_piece *piece; /* owned: the fixed cut of all trainable parameters */
    int pieces;
    int32_t *label; /* owned: of one batch */
    int classes;
    int64_t steps_total, steps_per_epoch;
    struct trainer_position at;
};

/* graph, net (of settings.batch_size), pool, loaders, quant (fitted) and method are borrowed. */
int trainer_init(struct trainer *t, struct err *e);
void trainer_deinit(struct trainer *t);

/* Run to the end. 0; ERR_AGAIN after a wished stop (checkpoint written); ERR_DIVERGED. */
int trainer_run(struct trainer *t, struct err *e);

/* Share of correct classes over a loader's samples, in natural order, in inference mode. */
double trainer_score(struct net *n, struct pool *p, struct loader *l, int batch, int classes, int32_t *label,
                     int64_t *correct);

#endif
