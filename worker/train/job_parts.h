/* job_parts.h - the stations of job_run, one file each. */
#ifndef WORKER_TRAIN_JOB_PARTS_H
#define WORKER_TRAIN_JOB_PARTS_H

#include "base/buf.h"
#include "worker/train/job.h"

int job_load(struct job *j, struct err *e);    /* data set, graph, loaders */
int job_prepare(struct job *j, struct err *e); /* quantization plan, calibration, quantizers */
int job_train(struct job *j, struct err *e);   /* the trainer with its checkpoint; snap */
int job_export(struct job *j, struct err *e);  /* out/model.onnx, out/model.qdz */
int job_score(struct job *j, struct err *e);   /* value: re-scored from out/model.onnx */
int job_log(struct job *j, struct err *e);     /* out/log.txt */
int job_finish(struct job *j, struct err *e);  /* report, result.json */

/* Top-1 of a graph on the test part; makes and frees a net of its own, of at most the job's memory. */
int job_evaluate(struct job *j, struct graph *g, double *value, struct err *e);
struct net_options job_net_options(const struct job *j, bool train, int batch);

#define JOB_EVAL_BATCH 128

#endif
