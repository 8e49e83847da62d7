/* job_score.c - the figure that counts: the exported file is read back and judged like anybody's model. */
#include "worker/train/job_parts.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

/* Biases of folded normalizations, in units of the layer's products, and scales of few bits are rounded: that
 * is another quantization, not another way to write the same numbers. Of ResNet-20 with 4 bits the units of
 * biases alone changed 292 of 10,000 classes, and brought 11 more right ones. */
#define ROUNDED_TOLERANCES 10

/* How far the two figures may be apart: in a small test set one or two images between two classes are more
 * than the task's tolerance, and the last bit of a number decides about them. */
static double allowed(const struct job *j)
{
    const double two = j->loss->classes && j->samples > 0 ? 2.0 / (double)j->samples : 0;
    const double most = two > j->task->tolerance ? two : j->task->tolerance;

    return job_export_rounds(j) ? ROUNDED_TOLERANCES * most : most;
}

/* What the weights take in the memory of an engine. */
static int64_t held_bytes(const struct job *j, const struct graph *g, enum engine_bits bits)
{
    const struct engine_options o = { j->kernels, NULL, job_limit(j), bits };
    struct engine *engine;

    if (engine_new(g, &o, &engine, NULL))
        return -1;
    const int64_t bytes = (int64_t)engine_weight_bytes(engine);
    engine_free(engine);
    return bytes;
}

int job_score_file(struct job *j, struct err *e)
{
    char path[4096], *data;
    struct graph *g = NULL;
    size_t length;

    events_phase(j->events, "score");
    job_export_path(j, "model.onnx", path);
    int status = file_load(path, JOB_MODEL_MAX, &data, &length, e);
    if (status)
        return status;
    status = job_import(j, data, length, &g, e);
    free(data);
    if (status) {
        err_wrap(e, "our own export can't be read back");
        return ERR_INTERNAL;
    }
    status = job_judge(j, &(struct task_subject){ .graph = g }, !j->held_out, &j->value, e);
    j->int8_bytes = held_bytes(j, g, BITS_NEVER);
    j->bits_bytes = held_bytes(j, g, BITS_ALWAYS);
    graph_free(g);
    return status;
}

int job_score(struct job *j, struct err *e)
{
    const int status = job_score_file(j, e);

    if (status)
        return status;
    if (fabs(j->value - j->trained_value) > allowed(j) + 1e-9)
        return err_set(e, ERR_INTERNAL,
                       "the exported file scores %.4f, but training ended with %.4f (tolerance %g)", j->value,
                       j->trained_value, allowed(j));
    return 0;
}
