/* job.h - one job in one directory, from specification to artifacts. Runs on the compute thread. */
#ifndef WORKER_TRAIN_JOB_H
#define WORKER_TRAIN_JOB_H

#include "worker/coder/qdz.h"
#include "worker/events.h"
#include "worker/report/report.h"
#include "worker/train/task.h"
#include "worker/train/trainer.h"

#include <jansson.h>

/* What a kind of job does, in the order of the pipeline. */
struct kind {
    const char *name, *title;
    bool prunes, quantizes, trains, analyses;
    const char *const *sections; /* of the specification; NULL-terminated */
};

extern const struct kind *const kind_list[]; /* NULL-terminated */
const struct kind *kind_find(const char *name);

struct job {
    const char *dir; /* borrowed */
    json_t *spec;    /* borrowed: complete specification */
    unsigned char spec_hash[32];
    const struct kind *kind;
    struct events *events;   /* borrowed */
    struct control *control; /* borrowed */
    int threads;
    const struct kernels *kernels;
    const struct engine_kind *engine; /* of kind evaluate */

    const struct task *task;
    const struct loss *loss;
    struct feed *feed; /* the task's */

    /* owned */
    void *data; /* the task's */
    struct graph *graph;
    struct graph *teacher; /* the model as it came, for distillation; NULL without. Where layers are compared
                              (hints) its channels are equalized if those of graph are */
    struct graph *source;  /* the same, for each trial of a search; NULL without */
    struct pool *pool;
    struct prune *prune;
    struct quant *quant;
    struct rate *rate;
    struct net *net;
    struct curves curves;
    json_t *layers; /* of the result, built on the way */
    json_t *detail; /* members of the result that the task adds */
    json_t *search; /* member of the result: what a search has seen; NULL without */

    /* a search; else the first trial of one */
    int trial, trials; /* the present one, of at most so many */
    char prefix[32];   /* of its files in dir; empty: checkpoints as they are, what is exported to out/ */
    bool held_out;     /* networks are judged on what is held out of the training part */

    /* findings */
    double float_value, trained_value, latent_value, value;
    double judged_value;                /* at the end of an epoch: */
    int64_t judged_step;                /* after so many steps of the stage; -1: never */
    double pruned_before, pruned_value; /* around the cut of the pruned weights */
    double pruned_share;                /* of the weights that can be */
    int64_t units_removed;              /* filters and hidden units that were dead after it */
    int64_t parameters_left;
    double per_second, float_per_second; /* samples through the network; 0: unknown */
    int64_t samples;
    struct qdz_sizes sizes;         /* of model.qdz */
    int64_t int8_bytes, bits_bytes; /* what engines hold of the exported weights; -1: they can't run it */
    int64_t float_bytes, onnx_bytes, file_bytes, payload_bytes;
    int64_t exact_layers; /* of the exported file, in floating point; where that was wanted */
    char weights_hash[72];
    double started_s;
    size_t base_bytes;  /* of the process before it read anything */
    size_t model_bytes; /* of the model's file */
    size_t planned_bytes;
};

/* Inputs are opened and parsed here: call it inside the sandbox. 0, or an error (ERR_AGAIN: stopped,
 * checkpointed). */
int job_run(struct job *j, struct err *e);
void job_deinit(struct job *j);

#endif
