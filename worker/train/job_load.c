/* job_load.c - the inputs of a job: what it is for, data, graph, and whether they belong together. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/file.h"
#include "worker/calibrate/correct.h"
#include "worker/onnx/onnx.h"
#include "worker/zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>

int job_import(const struct job *j, const void *data, size_t length, struct graph **g, struct err *e)
{
    struct onnx_info info;
    struct shape stands, sample = { 0 };
    const struct onnx_options plain = { .batch = ONNX_BATCH_FREE },
                              sized = { .batch = ONNX_BATCH_FREE, .sample = &sample };
    bool open = false;
    int status = onnx_info(data, length, &info, e);

    if (status)
        return status;
    j->task->sample(j->data, &stands);
    sample.rank = info.rank - 1;
    for (int a = 0; a < sample.rank; a++) {
        const int64_t size = info.axis[a + 1].size;
        open |= size < 0;
        sample.dim[a] = size < 0 && a < stands.rank ? stands.dim[a] : size;
    }
    return onnx_import_with(data, length, open ? &sized : &plain, g, e);
}

static int make_from_zoo(struct job *j, const char *name, struct err *e)
{
    struct zoo_request r;
    const int status = zoo_parse(name, &r, e);

    r.seed = (uint64_t)spec_int(j->spec, "/train/seed", 1);
    r.limit = job_limit(j);
    return status ? status : zoo_make(&r, &j->graph, e);
}

static int load_model(struct job *j, struct err *e)
{
    const char *zoo = spec_text(j->spec, "/inputs/model/zoo", NULL);
    const char *path = spec_text(j->spec, "/inputs/model/path", NULL);
    char full[4096], *data;

    if (zoo)
        return make_from_zoo(j, zoo, e);
    if (!path)
        return err_set(e, ERR_INVALID, "spec.json names no model in /inputs/model");
    snprintf(full, sizeof full, "%s/%s", j->dir, path);
    int status = file_load(full, JOB_MODEL_MAX, &data, &j->model_bytes, e);
    if (status)
        return status;
    status = job_import(j, data, j->model_bytes, &j->graph, e);
    free(data);
    return status;
}

/* Correction needs a bias or a normalization behind every layer. */
static int make_biases(struct job *j, struct err *e)
{
    int made, status = correct_make_biases(j->graph, &made, e);

    if (!status && made)
        events_log(j->events, "info", "%d layers got a bias, to be corrected", made);
    return status;
}

/* What is trained is no longer what the file's integers say. */
static void forget_codes(struct graph *g)
{
    for (int v = 0; v < g->values; v++) {
        value_codes_free(g->value[v].codes);
        g->value[v].codes = NULL;
    }
}

static bool has_loss(const struct task *t, const struct loss *l)
{
    for (const struct loss *const *one = t->losses; *one; one++)
        if (*one == l)
            return true;
    return false;
}

static int choose_loss(struct job *j, struct err *e)
{
    const char *name = spec_text(j->spec, "/train/loss", NULL);

    j->loss = name ? loss_find(name) : j->task->losses[0];
    if (j->loss && has_loss(j->task, j->loss))
        return 0;
    err_set(e, ERR_INVALID, "the task %s can't minimise \"%.40s\"", j->task->name, name);
    return err_at(e, "/train/loss");
}

static int take_teacher(struct job *j, struct err *e)
{
    const struct distill d = job_settings(j).distill;

    if (!(d.weight > 0 || d.features > 0))
        return 0;
    if (d.features > 0 && j->kind->prunes && job_equalizes(j)) {
        err_set(e, ERR_INVALID,
                "channels of a pruned model are no longer those of the model as it came once they are "
                "equalized: distill.features can't compare them");
        return err_at(e, "/calibrate/equalize");
    }
    const int status = graph_clone(j->graph, &j->teacher, e);
    if (status || !(d.features > 0) || hints_bytes(j->graph, j->teacher, 1) > 0)
        return status;
    err_set(e, ERR_INVALID,
            "the model has no layer but those that make its outputs: there are no others to "
            "learn from");
    return err_at(e, "/train/distill/features");
}

int job_load(struct job *j, struct err *e)
{
    const struct task_job t = { .dir = j->dir,
                                .spec = j->spec,
                                .trains = j->kind->trains || j->kind->analyses,
                                .holds_out = job_searches(j),
                                .memory = job_limit(j),
                                .kernels = j->kernels,
                                .pool = j->pool };
    int status;

    events_phase(j->events, "load");
    j->held_out = t.holds_out;
    if (j->held_out)
        j->trials = (int)spec_int(j->spec, "/goal/trials", 8);
    j->task = task_find(spec_text(j->spec, "/task", "classify"));
    if (!j->task)
        return err_set(e, ERR_INVALID, "unknown task");
    if ((status = choose_loss(j, e)) || (status = j->task->load(&t, &j->data, e)) ||
        (status = load_model(j, e)) || (status = j->task->fit(j->data, j->graph, e)))
        return status;
    if (j->kind->trains)
        forget_codes(j->graph);
    j->float_bytes = 4 * graph_parameters(j->graph);
    j->feed = j->task->feed(j->data);
    if (j->kind->quantizes && job_corrects(j) && (status = make_biases(j, e)))
        return status;
    return j->kind->trains ? take_teacher(j, e) : 0;
}
