/* trainer.h - stochastic gradient training of one graph, with or without quantization; stops and resumes at
 * any step with the same bits. One compute thread calls it; the pool's threads help. */
#ifndef WORKER_TRAIN_TRAINER_H
#define WORKER_TRAIN_TRAINER_H

#include "worker/prune/pruner.h"
#include "worker/quant/method.h"
#include "worker/rate/rate.h"
#include "worker/train/feed.h"
#include "worker/train/hints.h"
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
    const struct loss *loss;
    double label_smoothing;
    struct distill distill;     /* all of it 0: no teacher */
    double lambda, coefficient; /* coefficient: struct regularizer_settings */
    struct {
        double lambda, warmup, ramp; /* the last two: shares of the run */
        bool hold;
    } bins; /* bin regularization: struct regularizer_settings */
};

/* Plain data: where training stands. Saved and restored as it is. */
struct trainer_position {
    int64_t epoch, sample, step; /* next epoch and sample of it; optimizer steps done */
    double epoch_loss;           /* sums over the samples of this epoch so far */
    int64_t epoch_correct;
    double span_loss; /* sums since the last point of the loss curve */
    int64_t span_samples;
    double span_hints; /* likewise, over steps */
    int64_t span_steps;
    double regularizer[REGULARIZER_STATE];
};

struct trainer_piece;

/* What the trainer reports while it runs; all functions are given arg. */
struct trainer_sink {
    void *arg;
    void (*metric)(void *arg, const char *series, int64_t step, double value);
    int (*save)(void *arg, struct err *e); /* write a checkpoint now */
    /* an epoch has ended; train_share: of samples that the loss found correct */
    int (*judge)(void *arg, int64_t step, double train_share, struct err *e);
};

struct trainer {
    struct trainer_settings settings;
    struct graph *graph;
    struct net *net;
    struct pool *pool;
    struct feed *feed;
    struct net *teacher; /* of the same batch size, in inference mode; NULL without distillation */
    struct hints *hints; /* from that teacher; NULL: it is asked for its outputs alone */
    struct quant *quant; /* NULL: float training */
    const struct method *method;
    struct prune *prune; /* begins with the first step unless its mask is fixed; NULL: none */
    struct rate *rate;   /* what the codes of quant cost; NULL: nothing */
    struct control *control;
    int64_t steps_before, steps_after; /* of the job's other stages: progress counts them */
    struct trainer_sink sink;
    real *moment[2]; /* owned; layout of graph->param; [1] may be NULL */
    const struct update_pass *pass;
    struct trainer_piece *piece; /* owned: the fixed cut of all trainable parameters */
    int pieces;
    struct target target; /* owned: of one batch */
    int features;         /* of the output */
    int64_t steps_total, steps_per_epoch;
    struct trainer_position at;
};

/* graph, net (of settings.batch_size), pool, feed, teacher, hints, quant (fitted), method and prune are
 * borrowed. The net reads quantized weights from then on. */
int trainer_init(struct trainer *t, struct err *e);
void trainer_deinit(struct trainer *t);

/* One batch: forward, backward, update. 0 or ERR_DIVERGED. */
int trainer_step(struct trainer *t, struct err *e);

/* Run to the end. 0; ERR_AGAIN after a wished stop (checkpoint written); ERR_DIVERGED. */
int trainer_run(struct trainer *t, struct err *e);

/* Memory for the answers of a batch: labels or values as the loss wants them. Owned by the caller. */
int trainer_target(struct target *t, const struct loss *l, const struct graph *g, int batch, struct err *e);
void trainer_target_free(struct target *t);

#endif
