/* task.h - what a network is for: a const struct per task and one list. The rest of the job (training,
 * calibration, quantization, export) knows nothing of classes or pixels. */
#ifndef WORKER_TRAIN_TASK_H
#define WORKER_TRAIN_TASK_H

#include "worker/data/store.h"
#include "worker/engine/engine.h"
#include "worker/quant/quant.h"
#include "worker/train/feed.h"
#include "worker/train/loss.h"

#include <jansson.h>

/* What a task is told of its job; all borrowed, and valid while the task's data live. */
struct task_job {
    const char *dir;    /* inputs are below; what does not fit into memory spills there */
    const json_t *spec; /* complete */
    bool trains;
    bool holds_out; /* a tenth of the training part is not learned from, but for choices */
    size_t memory;  /* bytes of the whole job */
    const struct kernels *kernels;
    struct pool *pool;
};

/* A network to be judged. */
struct task_subject {
    struct graph *graph;
    const struct engine_kind *engine; /* NULL: float */
    const struct quant *quant;        /* weights are read from quant->q; NULL: from the graph */
    struct net *net; /* an idle net of the graph that reads these weights; NULL: there is none */
    int batch;       /* of that net */
    bool held_out;   /* on what is held out of the training part, not on the test part */
};

struct task_score {
    double value; /* the task's metric */
    int64_t samples;
    double per_second; /* samples through the network, without what comes before and behind it; 0: unknown */
    json_t *detail;    /* members for result.json; owned by whoever asked; NULL unless it was wanted */
};

struct task {
    const char *name, *title;
    double metric_most;               /* that any network could have */
    const char *metric;               /* "top1": result.json and the curve over the test part */
    const char *train_metric;         /* curve of the share that the loss found correct in training; NULL */
    double tolerance;                 /* of the metric, between the end of training and the exported file */
    int batch;                        /* samples at once where no batch size is given */
    const struct loss *const *losses; /* NULL-terminated; the first is the default */
    const char *const *augments;      /* NULL-terminated; the first is "none" */

    /* Read the data set; *data is the task's own, for the functions below. */
    int (*load)(const struct task_job *j, void **data, struct err *e);
    void (*free)(void *data); /* NULL is fine */

    /* The sample (C,H,W) that stands for axes a file leaves open. */
    void (*sample)(const void *data, struct shape *s);
    /* Hold the model against the data, and give it the size that it is trained with. */
    int (*fit)(void *data, struct graph *g, struct err *e);
    /* Samples to train with; borrowed, after fit. NULL in a job that does not train. */
    struct feed *(*feed)(void *data);
    /* Are inputs whole multiples of 1/255? Then eight bits hold them exactly. */
    bool (*exact)(const void *data);

    /* Judge a network on the test part, or on what is held out. detail: fill in score->detail too. */
    int (*score)(void *data, const struct task_subject *s, bool detail, struct task_score *score,
                 struct err *e);

    /* For the plan of the job's memory: the data themselves, and what scoring a graph takes beside them and
     * beside its net, if it has one. */
    size_t (*bytes)(const void *data, bool *spilled); /* spilled: some lie in a file */
    int (*score_bytes)(void *data, struct graph *g, bool has_net, size_t *bytes, struct err *e);
};

extern const struct task *const task_list[]; /* NULL-terminated */
const struct task *task_find(const char *name);

/* What reading a data set may use: half of the job's memory, beyond that a file in its directory. */
#define TASK_DATA_MAX ((size_t)16 << 30) /* decompressed bytes */
struct room task_room(const struct task_job *j);
size_t task_room_memory(size_t memory); /* bytes of pixels in memory, of a job of that much */

#endif
