/* job_parts.h - the stations of job_run, one file each. */
#ifndef WORKER_TRAIN_JOB_PARTS_H
#define WORKER_TRAIN_JOB_PARTS_H

#include "base/buf.h"
#include "worker/calibrate/activations.h"
#include "worker/graph/precision.h"
#include "worker/train/job.h"
#include "worker/train/search.h"

int job_load(struct job *j, struct err *e);    /* task, data, graph */
int job_memory(struct job *j, struct err *e);  /* what all of it will take: ERR_MEMORY beyond the limit */
int job_prepare(struct job *j, struct err *e); /* quantization plan, calibration, quantizers */
int job_prune(struct job *j, struct err *e);   /* a trainer of its own; then the mask is fixed */
int job_train(struct job *j, struct err *e);   /* the trainer with its checkpoint; snap */
int job_polish(struct job *j, struct err *e);  /* codes nearer to zero where that pays */
int job_compact(struct job *j, struct err *e); /* biases and other vectors in few bits */
int job_export(struct job *j, struct err *e);  /* out/model.onnx, out/model.qdz */
bool job_exact(const struct job *j);           /* are its scales to be of few bits? */
bool job_export_rounds(const struct job *j);   /* is it not the trained network to the last bit? */
int job_score(struct job *j, struct err *e);   /* value: re-scored from out/model.onnx */
int job_log(struct job *j, struct err *e);     /* out/log.txt */
int job_search(struct job *j, struct err *e);  /* the pipeline several times, in place of once */
int job_finish(struct job *j, struct err *e);  /* report, result.json */

/* From pruning to the score of the exported file. */
int job_pipeline(struct job *j, struct err *e);
void job_forget(struct job *j);                   /* graph, mask, quantizers: what a pipeline works on */
int job_score_file(struct job *j, struct err *e); /* value: of the exported file, whatever was expected */
/* Where the exported file `name` goes; the metric's series. */
void job_export_path(const struct job *j, const char *name, char path[4096]);
const char *job_series(const struct job *j, char series[48]);
int64_t job_steps(const struct job *j); /* of one pipeline, in all stages */

bool job_searches(const struct job *j); /* has it a goal? */
/* One trial of j->source, or its findings where an attempt before has made it: bytes, metric, findings. */
int job_trial(struct job *j, int trial, const struct search_point *p, json_t **found, struct err *e);
void job_trial_adopt(struct job *j, const json_t *found);             /* into the job, for the result */
int job_trial_deliver(const struct job *j, int trial, struct err *e); /* its files to out/ */
void job_trial_drop(const struct job *j, int trial);                  /* its files but the findings */
void job_trial_forget(const struct job *j, int trial);                /* all of them */

/* An ONNX file in memory; axes that it leaves open get the task's size. */
int job_import(const struct job *j, const void *data, size_t length, struct graph **g, struct err *e);

/* The metric of a network on the test part, or on what is held out for the search. last: the figures go into
 * the result. */
int job_judge(struct job *j, const struct task_subject *s, bool last, double *value, struct err *e);

/* Widths of every layer by specification and overrides; ranges are not known yet. free(*plan). */
int job_plan_layers(struct job *j, struct quant_layer_plan **plan, int *count, struct err *e);

/* One run of the trainer over j->graph, with a checkpoint of its own below the job's directory. A stage that
 * has ended leaves its checkpoint: a new attempt finds there that nothing is left to do. */
struct job_stage {
    const char *phase, *checkpoint; /* name of the event; file */
    struct trainer_settings settings;
    int64_t epochs_before, epochs_after;                           /* of other stages */
    int (*after)(struct job *j, struct trainer *t, struct err *e); /* while the net is there; NULL */
};
int job_stage(struct job *j, const struct job_stage *s, struct err *e);

/* Training samples that a net sees, as the feed now has them. */
struct job_look {
    struct net *net;
    struct target *target;
    int batch; /* of the net */
    int64_t from, samples;
};
/* Sums over the samples; gradient: of the last batch, for net_backward. */
struct loss_result job_look(const struct job *j, const struct job_look *l, bool gradient);
/* How many samples one figure may look at: at most so many, with so many multiplications, but a batch. */
int job_affordable(const struct job *j, int batch, int64_t most, double most_work, int64_t *samples,
                   struct err *e);

double job_polish_allowance(const struct job *j); /* of the metric; negative: codes stay where they are */
size_t job_polish_bytes(const struct job *j);     /* beside its net */

/* Kind sensitivity: rows of the result, and curves over the widths. */
int job_sensitivity(struct job *j, struct err *e);
bool job_has_budget(const struct job *j);
/* Widths in the plan so that the budget is met; ERR_INVALID where it can't be. */
int job_allocate(struct job *j, struct quant_layer_plan *plan, int count, struct err *e);
int job_sensitivity_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e);
bool job_overridden(const struct job *j, const char *layer);     /* does an override say its widths? */
double job_own_sparsity(const struct job *j, const char *layer); /* of an override; negative: none does */

/* The samples to look at; `fallback` batches where the specification doesn't say how many. */
struct batches job_batches(const struct job *j, const struct target *target, int fallback);

/* What the specification says of looking at activations; without a net. */
struct calibration job_calibration(struct job *j, const struct method *m, const struct target *target);

/* Channels equalized where that is wanted, then the ranges of the activations in the plan. */
int job_calibrate(struct job *j, const struct method *m, struct quant_layer_plan *plan, int count,
                  struct err *e);
bool job_equalizes(const struct job *j); /* are channels equalized? */
bool job_corrects(const struct job *j);  /* are biases corrected? */
/* Correct them; plain: the graph before it was quantized. */
int job_correct(struct job *j, struct graph *plain, struct err *e);
/* The greatest of the nets of both, beside data and model. */
int job_calibration_bytes(struct job *j, struct graph *quantized, size_t *bytes, struct err *e);

/* Method, grid, granularity of the specification. */
int job_quant_options(const struct job *j, struct quant_options *o, struct err *e);

struct trainer_settings job_settings(const struct job *j);
/* For the statistics of normalizations at the end; 0: they stay. */
int64_t job_statistics_samples(const struct job *j);
struct trainer_settings job_prune_settings(const struct job *j);
double job_rate_lambda(const struct job *j); /* nats a bit; 0: bits cost nothing */
size_t job_prune_bytes(const struct job *j); /* what pruning holds beside the graph */
enum precision job_precision(const struct job *j);
struct net_options job_net_options(const struct job *j, bool train, int batch);
size_t job_limit(const struct job *j); /* bytes: /resources/memory_mb */
size_t job_peak_bytes(void);           /* that this process has had in memory so far */

#define JOB_MODEL_MAX ((size_t)2 << 30)

#endif
